"""Parameters, filters, times and versions as Docker reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.api.events_filter import EventFilter
from pydockmagic.engine.api.messages import Request
from pydockmagic.engine.api.router import Route, Router, split_version
from pydockmagic.engine.errors import InvalidParameter, NotFound
from pydockmagic.engine.events import Event
from pydockmagic.engine.timestamps import ZERO_TIME, parse_timestamp, rfc3339


def request(**query: str) -> Request:
    return Request("GET", "/", {name: [value] for name, value in query.items()}, {}, None, (1, 50))


@pytest.mark.parametrize(
    ("text", "truth"),
    [("", False), ("0", False), ("no", False), ("False", False), ("none", False), ("1", True), ("true", True),
     ("yes", True), ("anything", True)],
)  # fmt: skip
def test_a_flag_is_what_docker_takes_it_for(text, truth):
    assert request(all=text).flag("all") is truth
    assert request().flag("all", True) is True


def test_filters_come_as_sets_and_as_lists():
    assert request(filters='{"label":{"a=b":true,"c":true}}').filters() == {"label": ["a=b", "c"]}
    assert request(filters='{"label":["a=b"]}').filters() == {"label": ["a=b"]}
    for wrong in ("notjson", '{"label":1}', '{"label":{"a":"b"}}', "[]"):
        with pytest.raises(InvalidParameter):
            request(filters=wrong).filters()


def test_a_number_that_is_none_is_refused_as_go_says_it():
    assert request(t="-1").integer("t") == -1
    assert request(t="").integer("t") is None
    with pytest.raises(InvalidParameter, match=r'strconv.Atoi: parsing "x": invalid syntax'):
        request(t="x").integer("t")


async def handler(_):
    raise AssertionError


def test_the_router_prefers_what_is_listed_first_and_fixed():
    general, fixed = Route("GET", "/images/{name...}", handler), Route("GET", "/images/json", handler)
    particular = Route("GET", "/images/{name...}/json", handler)
    router = Router([particular, general, fixed])
    assert router.find("GET", "/images/json") == (fixed, {})
    assert router.find("GET", "/images/host:5000/a/b/json") == (particular, {"name": "host:5000/a/b"})
    assert router.find("GET", "/images/a/b") == (general, {"name": "a/b"})
    for method, path in (("POST", "/images/json"), ("GET", "/images/"), ("GET", "/"), ("GET", ""), ("GET", "x")):
        with pytest.raises(NotFound, match="page not found"):
            router.find(method, path)


@given(st.text(alphabet="/v.1234567890abc", max_size=12))
def test_splitting_a_version_never_fails_but_for_versions(path):
    try:
        version, rest = split_version(path)
    except InvalidParameter:
        assert path.startswith("/v")
    else:
        assert (1, 24) <= version <= (1, 50)
        assert path.endswith(rest)


def test_times_are_written_as_go_writes_them():
    assert rfc3339(0) == ZERO_TIME
    assert rfc3339(1_000_000_000) == "1970-01-01T00:00:01Z"
    assert rfc3339(1_500_000_000) == "1970-01-01T00:00:01.5Z"


@given(st.integers(min_value=1, max_value=4_000_000_000_000_000_000))
def test_a_written_time_reads_back(time_ns):
    assert parse_timestamp(rfc3339(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("1", 10**9),
        ("1.5", 1_500_000_000),
        ("0.000000001", 1),
        ("10m", 1_000_000 * 10**9 - 600 * 10**9),
        ("1h30m", 1_000_000 * 10**9 - 5400 * 10**9),
        ("1970-01-02", 86400 * 10**9),
        ("1970-01-01T00:01", 60 * 10**9),
        ("1970-01-01T00:00:01.25Z", 1_250_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_since_and_until_take_seconds_durations_and_dates(text, expected):
    assert parse_timestamp(text, 1_000_000 * 10**9) == expected


@pytest.mark.parametrize("text", ["x", "1x", "1970-13-01", "--1", "1.2.3"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InvalidParameter):
        parse_timestamp(text)


EVENT = Event("container", "exec_create: ls", "abcdef", {"name": "box", "image": "busybox:1", "k": "v"}, 1)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        ({"type": ["container"]}, True),
        ({"type": ["image"]}, False),
        ({"event": ["exec_create"]}, True),
        ({"event": ["exec_create: ls"]}, True),
        ({"event": ["start", "stop"]}, False),
        ({"container": ["box"]}, True),
        ({"container": ["abc"]}, True),
        ({"container": ["other"]}, False),
        ({"image": ["busybox"]}, True),
        ({"image": ["busybox:2"]}, False),
        ({"label": ["k=v"]}, True),
        ({"label": ["k"]}, True),
        ({"label": ["k=v", "x"]}, False),
        ({"scope": ["swarm"]}, False),
        ({"container": ["box"], "event": ["die"]}, False),
    ],
)
def test_event_filters_choose_as_dockerds(filters, passes):
    assert EventFilter(filters).matches(EVENT) is passes


def test_an_unknown_event_filter_says_nothing():
    assert EventFilter({"bogus": ["1"]}).matches(EVENT)


def test_an_image_is_found_with_and_without_its_tag():
    event = Event("image", "tag", "sha256:abc", {"name": "localhost:5000/team/app:1"}, 1)
    for name in ("localhost:5000/team/app", "localhost:5000/team/app:1", "sha256:abc"):
        assert EventFilter({"image": [name]}).matches(event)
    assert not EventFilter({"image": ["localhost"]}).matches(event)
