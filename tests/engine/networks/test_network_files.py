from pydockmagic.engine.networks.files import host_resolv_conf, hosts_text, nameservers, resolv_conf_text

# Recorded from dockerd 20.10.24: docker run --rm -h hh --domainname dd --add-host a:1.2.3.4 ... cat /etc/hosts
HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
1.2.3.4\ta
172.31.0.2\thh.dd hh
"""


def test_hosts_are_written_as_docker_writes_them():
    assert hosts_text([("1.2.3.4", "a"), ("172.31.0.2", "hh.dd hh")]) == HOSTS


def test_the_hosts_own_file_can_be_the_base():
    assert hosts_text([("1.2.3.4", "a")], base="127.0.0.1 here") == "127.0.0.1 here\n1.2.3.4\ta\n"


def test_the_hosts_resolver_is_passed_on():
    assert resolv_conf_text("# made by dhcp\nnameserver 192.0.2.10\n") == "nameserver 192.0.2.10\n"


def test_options_take_the_place_of_the_hosts():
    # Recorded from dockerd 20.10.24: --dns 9.9.9.9 --dns-search x.y --dns-option ndots:3
    text = resolv_conf_text(
        "nameserver 1.1.1.1\nsearch a.b\noptions timeout:1\n", dns=["9.9.9.9"], search=["x.y"], options=["ndots:3"]
    )
    assert text == "search x.y\nnameserver 9.9.9.9\noptions ndots:3\n"


def test_a_dot_means_no_search_domain():
    assert resolv_conf_text("nameserver 1.1.1.1\nsearch a.b\n", search=["."]) == "nameserver 1.1.1.1\n"


def test_resolvers_on_the_hosts_loopback_are_left_out():
    host = "nameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.1\nsearch lan\n"
    assert resolv_conf_text(host) == "search lan\nnameserver 10.0.0.1\n"
    assert resolv_conf_text("nameserver 127.0.0.1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    assert resolv_conf_text("") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_a_networks_own_server_is_the_only_one():
    # Recorded from dockerd 20.10.24: docker run --net my_net busybox cat /etc/resolv.conf
    assert resolv_conf_text("nameserver 192.0.2.10\n", nameserver="127.0.0.11") == (
        "nameserver 127.0.0.11\noptions ndots:0\n"
    )


def test_the_last_line_of_a_kind_counts():
    assert resolv_conf_text("domain a\nsearch b c\nnameserver 1.1.1.1\n") == "search b c\nnameserver 1.1.1.1\n"


def test_nameservers_are_found_among_comments():
    assert nameservers("; x\n#nameserver 1.1.1.1\nnameserver 2.2.2.2 # two\nnameserver\n") == ["2.2.2.2"]


def test_a_missing_file_is_an_empty_one(tmp_path):
    assert host_resolv_conf(tmp_path / "missing") == ""
