import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.errors import Forbidden, InvalidParameter
from pydockmagic.engine.networks.addresses import POOLS, AddressPool, free_subnet, mac_of, parse_subnet

SMALL = ipaddress.IPv4Network("10.1.2.0/28")


def test_the_pools_are_dockers():
    assert [str(pool) for pool in POOLS[:2]] == ["172.17.0.0/16", "172.18.0.0/16"]
    assert [str(pool) for pool in POOLS[14:17]] == ["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]
    assert len(POOLS) == 31


@given(st.sets(st.sampled_from(POOLS)))
def test_a_free_subnet_overlaps_nothing_in_use_and_is_the_first(used):
    if used == set(POOLS):
        with pytest.raises(Forbidden, match="could not find an available, non-overlapping IPv4 address pool"):
            free_subnet(used)
        return
    chosen = free_subnet(used)
    assert not any(chosen.overlaps(network) for network in used)
    assert all(pool in used for pool in POOLS[: POOLS.index(chosen)])


def test_a_route_inside_a_pool_keeps_the_whole_pool():
    assert str(free_subnet([ipaddress.IPv4Network("172.17.4.0/24")])) == "172.18.0.0/16"


@given(st.lists(st.booleans(), max_size=30))
def test_the_lowest_free_address_is_taken(moves):
    pool, held = AddressPool(SMALL, gateway="10.1.2.1"), []
    for take in moves:
        if take and len(held) < 13:
            address = pool.take()
            usable = [host for host in SMALL.hosts() if str(host) != "10.1.2.1"]
            assert address.ip == min(set(usable) - set(held))
            held.append(address.ip)
        elif held:
            pool.give_back(f"{held.pop(0)}/28")


def test_a_full_network_says_so():
    pool = AddressPool(SMALL, gateway="10.1.2.1")
    taken = [pool.take() for _ in range(13)]
    assert str(taken[0]) == "10.1.2.2/28"
    assert SMALL.broadcast_address not in {address.ip for address in taken}
    with pytest.raises(Forbidden, match="no available IPv4 addresses on this network's address pools"):
        pool.take()


def test_a_wanted_address_is_given_once_and_only_inside_the_subnet():
    pool = AddressPool(SMALL, gateway="10.1.2.1", reserved=["10.1.2.3"])
    assert str(pool.take("10.1.2.7")) == "10.1.2.7/28"
    for taken in ("10.1.2.7", "10.1.2.1", "10.1.2.3"):
        with pytest.raises(Forbidden, match="Address already in use"):
            pool.take(taken)
    with pytest.raises(InvalidParameter, match="does not belong to any of this network's subnets"):
        pool.take("10.1.3.1")
    with pytest.raises(InvalidParameter, match="invalid IPv4 address"):
        pool.take("10.1.2")


def test_a_range_narrows_what_is_given():
    assert str(AddressPool(SMALL, gateway="10.1.2.1", ip_range="10.1.2.8/29").take()) == "10.1.2.8/28"


def test_the_mac_is_made_of_the_address():
    assert mac_of(ipaddress.IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"


@pytest.mark.parametrize("text", ["10.0.0.0/33", "abc", "10.0.0.0", "", "10.0.0/8"])
def test_bad_subnets_are_refused_in_dockers_words(text):
    # Recorded from dockerd 20.10.24: Invalid subnet abc : invalid CIDR address: abc
    with pytest.raises(InvalidParameter) as refused:
        parse_subnet(text)
    assert str(refused.value) == f"Invalid subnet {text} : invalid CIDR address: {text}"
