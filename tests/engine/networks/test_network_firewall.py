import ipaddress
import os
import shutil
import subprocess

import pytest
from support.networks import inside, new_network

from pydockmagic.engine.networks import firewall as module
from pydockmagic.engine.networks.firewall import BridgeRules, Firewall

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("iptables") is None and not os.environ.get("CI"), reason="needs iptables"),
]
BRIDGES = [
    BridgeRules("one", ipaddress.IPv4Network("10.1.0.0/16")),
    BridgeRules("two", ipaddress.IPv4Network("10.2.0.0/16"), internal=True),
]


@pytest.fixture
def namespace():
    descriptor = new_network()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def iptables(namespace):
    def run(*arguments):
        command = ["iptables", "-w", *arguments]
        return inside(namespace, lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return run


@pytest.fixture
def rules(namespace):
    return Firewall("pydock-test", sandboxed=False)


def ours(text):
    return [line.split(" -m comment")[0] for line in text.splitlines() if "pydock-test" in line]


def test_where_nobody_drops_the_filters_of_others_stay_untouched(namespace, rules, iptables):
    assert inside(namespace, lambda: rules.apply(BRIDGES)) == []
    assert inside(namespace, lambda: rules.make_peace(BRIDGES)) == []
    assert ours(iptables("-S")) == []


def test_a_filter_that_drops_lets_containers_through(namespace, rules, iptables):
    iptables("-P", "FORWARD", "DROP")
    for _ in range(2):  # doing it again changes nothing
        assert inside(namespace, lambda: rules.make_peace(BRIDGES)) == []
        assert sorted(ours(iptables("-S"))) == [
            "-A FORWARD -i one",
            "-A FORWARD -i two",
            "-A FORWARD -o one -m conntrack --ctstate RELATED,ESTABLISHED",
            "-A FORWARD -o two -m conntrack --ctstate RELATED,ESTABLISHED",
        ]
    inside(namespace, lambda: rules.make_peace(BRIDGES[:1]))
    assert len(ours(iptables("-S"))) == 2
    inside(namespace, rules.remove)
    assert ours(iptables("-S")) == []


def test_beside_dockerd_its_chain_for_users_is_used(namespace, rules, iptables):
    iptables("-P", "FORWARD", "DROP")
    iptables("-N", "DOCKER-USER")
    inside(namespace, lambda: rules.make_peace(BRIDGES[:1]))
    assert len(ours(iptables("-S", "DOCKER-USER"))) == 2
    assert ours(iptables("-S", "FORWARD")) == []


def test_without_nf_tables_iptables_masquerades(namespace, rules, iptables, monkeypatch):
    def refuse(*_):
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(module.nftables, "replace_table", refuse)
    assert inside(namespace, lambda: rules.apply(BRIDGES)) == []
    assert inside(namespace, lambda: rules.make_peace(BRIDGES)) == []
    assert ours(iptables("-t", "nat", "-S")) == ["-A POSTROUTING -s 10.1.0.0/16 ! -o one"]
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    (warning,) = inside(namespace, lambda: rules.make_peace(BRIDGES))
    assert warning.endswith("nf_tables is refused here (Protocol not supported), iptables is missing")


def test_in_a_sandbox_without_nf_tables_nothing_leads_out_and_it_is_said(namespace, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(module.nftables, "replace_table", refuse)
    assert inside(namespace, lambda: Firewall("pydock-test", sandboxed=True).apply(BRIDGES)) == [
        "containers cannot reach other machines: nf_tables is refused here (Operation not permitted)"
    ]
