"""Networks: bridges, endpoints, addresses and published ports, by netlink."""
