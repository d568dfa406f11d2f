"""Searching, choosing registries, and what the engine loads for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.distribution import RegistryWorld
from support.registry import FakeRegistry

from pydockmagic.engine.distribution.options import HUB, registry_options
from pydockmagic.engine.distribution.progress import bar
from pydockmagic.engine.errors import EngineError, InvalidParameter

ROWS = [
    {"name": "ubuntu", "description": "U", "star_count": 17000, "is_official": True, "is_automated": False},
    {"name": "me/ubuntu", "description": None, "star_count": 3, "is_official": False, "is_automated": True},
]


def search(world: RegistryWorld, term: str, limit: int | None = None, **filters: list[str]) -> list[str]:
    chosen = {name.replace("_", "-"): values for name, values in filters.items()}
    return [row["name"] for row in world.run(world.distribution.search(term, limit, chosen, None))]


def test_a_search_asks_the_index_and_filters_what_it_says(world: RegistryWorld, registry: FakeRegistry) -> None:
    world.choose(hub=f"http://{registry.host}", index=f"http://{registry.host}")
    registry.results = ROWS
    assert search(world, "ubuntu") == ["ubuntu", "me/ubuntu"]
    assert registry.seen[-1].path == "/v1/search?q=ubuntu&n=25"
    assert search(world, "docker.io/a b", 5) == ["ubuntu", "me/ubuntu"]
    assert registry.seen[-1].path == "/v1/search?q=a+b&n=5"
    assert search(world, "u", is_official=["true"]) == ["ubuntu"]
    assert search(world, "u", is_automated=["true"]) == ["me/ubuntu"]
    assert search(world, "u", stars=["4"]) == ["ubuntu"]
    row = world.run(world.distribution.search("u", None, {}, None))[1]
    assert row == {**ROWS[1], "description": ""}


def test_another_registry_can_be_searched_by_its_name(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.results = ROWS
    assert search(world, f"{registry.host}/ubuntu") == ["ubuntu", "me/ubuntu"]
    registry.fault("GET", "/v1/search", lambda handler: handler.answer(404))
    with pytest.raises(EngineError, match=r"^Unexpected status code 404$"):
        search(world, f"{registry.host}/ubuntu")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"limit": 0}, r"Limit 0 is outside the range of \[1, 100\]"),
        ({"limit": 101}, r"Limit 101 is outside the range of \[1, 100\]"),
        ({"term": "http://x"}, r"repository name \(http://x\) should not have a scheme"),
        ({"color": ["red"]}, "invalid filter 'color'"),
        ({"is_official": ["maybe"]}, r"invalid filter 'is-official=\[maybe\]'"),
        ({"stars": ["-1"]}, r"invalid filter 'stars=\[-1\]'"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(world: RegistryWorld, arguments: dict, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        search(world, **{"term": "x", **arguments})


def test_options_come_from_the_command_line_or_the_environment() -> None:
    assert registry_options({}).hub == HUB
    assert registry_options({"PYDOCK_HUB": "off"}).hub == ""
    assert registry_options({"PYDOCK_HUB": "off"}, hub="http://127.0.0.1:1/").hub == "http://127.0.0.1:1"
    chosen = registry_options(
        {"PYDOCK_REGISTRY_MIRRORS": "http://a:1, https://b", "PYDOCK_INSECURE_REGISTRIES": "c:5000,10.0.0.0/8"}
    )
    assert chosen.mirrors == ("http://a:1", "https://b")
    assert chosen.insecure_hosts == {"c:5000"}
    assert chosen.insecure_networks == ("127.0.0.0/8", "::1/128", "10.0.0.0/8")
    shown = chosen.document()
    assert shown["InsecureRegistryCIDRs"] == ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]
    assert shown["Mirrors"] == shown["IndexConfigs"]["docker.io"]["Mirrors"] == ["http://a:1/", "https://b/"]
    assert shown["IndexConfigs"]["c:5000"]["Secure"] is False


@pytest.mark.parametrize(
    ("mirror", "sentence"),
    [
        ("ftp://a", 'invalid mirror: unsupported scheme "ftp" in "ftp://a"'),
        ("http://a/b", 'invalid mirror: path, query, or fragment at end of the URI "http://a/b"'),
        ("http://u:p@a", 'invalid mirror: username/password not allowed in URI "http://u:p@a"'),
    ],
)
def test_a_mirror_that_is_none_is_refused(mirror: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{sentence}$"):
        registry_options({}, mirrors=(mirror,))
    with pytest.raises(InvalidParameter, match="insecure registry a/b should not contain '/'"):
        registry_options({}, insecure=("a/b",))


def test_bars_are_drawn_as_old_clients_know_them() -> None:
    assert bar(0, 100) == "[>                                                  ]       0B/100B"
    assert bar(1155, 2310) == "[=========================>                         ]  1.155kB/2.31kB"
    assert bar(100, 100) == "[==================================================>]     100B/100B"
    assert bar(1500, 0) == "   1.5kB"


def test_an_engine_that_asks_no_registry_loads_no_http_client() -> None:
    code = "import sys, pydockmagic.engine.daemon as d; print('httpx' in sys.modules, 'ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
