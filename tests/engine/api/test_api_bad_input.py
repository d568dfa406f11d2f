"""Bad input: always a 4xx with a message or a clean end, never a fault, a hang or an engine that serves no more."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.api import Answer, Api, served
from support.bad_input import WRONG, body_with, places, talk

from pydockmagic.engine.api.execs import StartRequest
from pydockmagic.engine.containers.config import CreateRequest, UpdateRequest
from pydockmagic.engine.containers.execs import ExecConfig

pytestmark = pytest.mark.root

DOCKERS_500 = (
    "Unknown option ", "could not select device driver", "--storage-opt is supported only", "Docker Hub is not asked",
)  # fmt: skip
"""What dockerd answers with a 500 as well; and the Hub is out of reach here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    with served(folder, ["--stop-containers", "--hub", "off"]) as made:
        yield made
        assert made("GET", "/_ping").body == b"OK"
        log = (folder / "engine.log").read_text()
        assert "Traceback" not in log, log[-4000:]


@pytest.fixture(scope="module")
def sleeper(api: Api) -> Iterator[str]:
    with api.sleeper() as container:
        yield container


def is_refusal(answer: Answer) -> bool:
    """Tell whether it is an error with a message; a 500 only where dockerd's own is one."""
    if answer.status < 400:
        return False
    assert set(answer.json) == {"message"}, answer
    assert answer.message
    assert answer.status < 500 or answer.message.startswith(DOCKERS_500), answer
    return True


def test_a_wrong_type_anywhere_in_a_create_is_refused_or_harmless(api):
    refused = 0
    for place in places(CreateRequest):
        for value in WRONG:
            answer = api("POST", "/containers/create", body_with({"Image": "busybox", "Cmd": ["true"]}, place, value))
            if is_refusal(answer):
                refused += 1
            else:
                removed = api("DELETE", f"/containers/{answer.json['Id']}", v="1")
                assert removed.status == 204, (place, value, removed)
    assert refused > 1000


@pytest.mark.parametrize(
    ("type_", "path", "base"),
    [
        (ExecConfig, "/containers/{}/exec", {"Cmd": ["true"]}),
        (UpdateRequest, "/containers/{}/update", {}),
        (StartRequest, "/exec/nosuch/start", {}),
    ],
)
def test_a_wrong_type_elsewhere_is_refused_or_harmless(api, sleeper, type_, path, base):
    for place in places(type_):
        for value in WRONG:
            is_refusal(api("POST", path.format(sleeper), body_with(base, place, value)))


@pytest.mark.parametrize(
    ("path", "base", "members"),
    [
        ("/volumes/create", {}, ("Name", "Driver", "DriverOpts", "Labels", "ClusterVolumeSpec")),
        (
            "/networks/create",
            {"Name": "bad"},
            ("Name", "Driver", "Internal", "EnableIPv6", "Options", "Labels", "IPAM", "ConfigFrom", "ConfigOnly"),
        ),
        (
            "/networks/create",
            {"Name": "bad", "IPAM": {}},
            (("IPAM", "Driver"), ("IPAM", "Options"), ("IPAM", "Config")),
        ),
        (
            "/networks/create",
            {"Name": "bad"},
            (
                ("IPAM", "Config", 0, "Subnet"),
                ("IPAM", "Config", 0, "Gateway"),
                ("IPAM", "Config", 0, "IPRange"),
                ("IPAM", "Config", 0, "AuxiliaryAddresses"),
            ),
        ),
        ("/networks/bridge/connect", {}, ("Container", "EndpointConfig")),
        ("/networks/bridge/disconnect", {}, ("Container", "Force")),
        ("/auth", {}, ("username", "password", "email", "identitytoken")),
        ("/commit", {}, ("Cmd", "Env", "ExposedPorts", "Volumes", "Labels", "Healthcheck")),
    ],
)
def test_a_wrong_type_in_the_other_families_is_refused_or_harmless(api, path, base, members):
    for member in members:
        place = (member,) if isinstance(member, str) else member
        for value in WRONG:
            answer = api("POST", path, body_with(base, place, value))
            if not is_refusal(answer) and answer.status == 201:
                made = answer.json.get("Id") or answer.json["Name"]
                assert api("DELETE", f"/{path.split('/')[1]}/{made}").status == 204, (member, value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    path=st.sampled_from(["/containers/create", "/networks/create", "/volumes/create", "/auth", "/commit"]),
)
def test_any_json_is_refused_or_harmless(api, body, path):
    answer = api("POST", path, body)
    if not is_refusal(answer) and answer.status == 201:
        assert api("DELETE", f"/volumes/{answer.json['Name']}").status == 204


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(min_size=1, max_size=30) | st.text(alphabet='{}[]:,"atrue1. \\', min_size=1, max_size=20))
def test_what_is_no_json_is_refused(api, sleeper, text):
    raw = text if isinstance(text, bytes) else text.encode()
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        request = (
            b"POST /containers/%s/exec HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n" % sleeper.encode()
        )
        found = talk(api.path, request + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(raw) + raw)
        assert found.startswith(b"HTTP/1.1 400 "), found
        assert b'{"message":"' in found


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("text/plain", "Content-Type"), ("", "Content-Type"), ("application/x-tar", "Content-Type")],
)
def test_a_body_of_another_kind_is_refused(api, kind, sentence):
    head = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 2\r\n"
    found = talk(api.path, head + (f"Content-Type: {kind}\r\n" if kind else "").encode() + b"\r\n{}")
    assert found.startswith(b"HTTP/1.1 400 ")
    assert sentence.encode() in found


@pytest.mark.parametrize("path", ["/containers/create", "/networks/create", "/containers/{}/exec"])
def test_a_missing_body_is_refused(api, sleeper, path):
    answer = api("POST", path.format(sleeper))
    assert (answer.status, answer.message) == (400, "invalid JSON: got EOF while reading request body")


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("POST", "/containers/{}/stop?t=x", 'strconv.Atoi: parsing "x": invalid syntax'),
        ("POST", "/containers/{}/stop?signal=NOSUCH", "invalid signal: NOSUCH"),
        ("POST", "/containers/{}/kill?signal=NOSUCH", "invalid signal: NOSUCH"),
        ("POST", "/containers/{}/kill?signal=-1", "invalid signal: -1"),
        ("POST", "/containers/{}/resize?h=x&w=1", ""),
        ("POST", "/containers/{}/resize", ""),
        ("POST", "/containers/{}/resize?h=99999999999999999999&w=1", ""),
        ("POST", "/containers/{}/wait?condition=x", 'invalid condition: "x"'),
        ("GET", "/containers/{}/logs?stdout=1&since=x", ""),
        ("GET", "/containers/{}/logs", "Bad parameters: you must choose at least one stream"),
        ("GET", "/containers/{}/archive", ""),
        ("PUT", "/containers/{}/archive", ""),
        ("PUT", "/containers/{}/archive?path=/nosuch", ""),
        ("GET", "/containers/json?limit=x", ""),
        ("GET", "/containers/json?filters=x", ""),
        ("GET", "/containers/json?filters=[1]", ""),
        ("GET", "/containers/json?filters=%7B%22nosuch%22%3A%7B%22x%22%3Atrue%7D%7D", ""),
        ("GET", "/containers/json?filters=%7B%22status%22%3A%7B%22x%22%3Atrue%7D%7D", ""),
        ("GET", "/images/json?filters=x", ""),
        ("GET", "/networks?filters=x", ""),
        ("GET", "/volumes?filters=x", ""),
        ("GET", "/events?since=x", ""),
        ("GET", "/events?filters=x", ""),
        ("POST", "/containers/{}/rename?name=", ""),
        ("POST", "/containers/{}/rename?name=a%20b", ""),
        ("POST", "/containers/create?name=%00", None),
        ("POST", "/images/busybox/tag?repo=A_B!", ""),
        ("POST", "/images/create", ""),
        ("POST", "/images/create?fromImage=A_B!", ""),
        ("POST", "/build?t=A_B!", ""),
        ("POST", "/build?buildargs=x", ""),
        ("POST", "/commit?container={}&repo=A_B!", ""),
        ("POST", "/exec/{}/resize?h=1", ""),
        ("DELETE", "/images/A_B!", ""),
        ("GET", "/images/A_B!/json", ""),
    ],
)
def test_a_bad_value_in_the_query_is_refused(api, sleeper, method, path, sentence):
    answer = api(method, path.format(sleeper), {"Image": "busybox"} if sentence is None else None)
    assert is_refusal(answer), answer
    if sentence:
        assert answer.message.lower().endswith(sentence.lower())


@pytest.mark.parametrize(
    ("version", "status", "sentence"),
    [
        ("v1.23", 400, "client version 1.23 is too old."),
        ("v0.0", 400, "client version 0.0 is too old."),
        ("v1.51", 400, "client version 1.51 is too new."),
        ("v9.9", 400, "client version 9.9 is too new."),
        ("v999999999999.9", 400, "client version 999999999999.9 is too new."),
        ("v1", 404, "page not found"),
        ("v1.x", 404, "page not found"),
        ("1.40", 404, "page not found"),
    ],
)
def test_a_version_that_is_none_of_ours_is_refused(api, version, status, sentence):
    answer = api("GET", f"/{version}/containers/json")
    assert answer.status == status
    assert answer.message.startswith(sentence)


@pytest.mark.parametrize(
    "path",
    ["/", "//", "/containers", "/containers//json", "/containers/%2e%2e/json", "/containers/a%00b/json",
     "/containers/%ff%fe/json", "/networks/%00", "/volumes/..%2f..%2fetc", "/images/%00/json", "/exec/%00/json",
     "/containers/" + "a" * 60000 + "/json", "http://[", "http://x/nosuch", "//x/y", "/%",
     "/?" + "a&" * 20000],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_a_404(api, path):
    found = talk(api.path, f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert found[:12] in (b"HTTP/1.1 404", b"HTTP/1.1 400"), found
    assert b'{"message":"' in found or b"Bad Request" in found


_CREATE = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /_ping HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /_ping HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET /_ping HTTP/2.0\r\nHost: d\r\n\r\n", b"505"),
        (b"GET /_ping HTTP/9\r\n\r\n", b"400"),
        (b"NOSUCH /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET http://d/_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", b"200"),
        (b"G\0T /_ping HTTP/1.1\r\nHost: d\r\n\r\n", b"400"),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: a\0b\r\n\r\n", b"400"),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + b"X: y\r\n" * 50_000 + b"Connection: close\r\n\r\n", b"200"),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + b"X: y\r\n" * 400_000 + b"\r\n", b"431"),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"y" * (2 << 20) + b"\r\n\r\n", b"431"),
        (_CREATE + b"Content-Length: x\r\n\r\n", b"400"),
        (_CREATE + b"Content-Length: -1\r\n\r\n", b"400"),
        (_CREATE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (_CREATE + b"Transfer-Encoding: gzip\r\n\r\n", b"501"),
        (_CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (_CREATE + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", b"400"),
        (_CREATE + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n", b"400"),
        (_CREATE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", b"400"),
        (_CREATE + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", b"400"),
        (_CREATE + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2;e=1\r\n{}\r\n0\r\nT: x\r\n\r\n", b"400"),
        (_CREATE + b"Content-Length: 5\r\n\r\n{}", b"400"),  # breaks off
        (_CREATE + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", b"400"),
        (_CREATE + b"Expect: nonsense\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (b"POST /containers/nosuch/attach HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", b"404"),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n", b"200"),
        (b"GET /_ping HT", b"400"),
        (b"", b""),
        (b"\r\n\r\n\r\n", b"400"),
    ],
)  # fmt: skip
def test_odd_http_is_answered_or_ends_cleanly(api, sent, expected):
    found = talk(api.path, sent)
    status = found[9:12]
    assert status == expected, (sent[:200], found[:300])
    assert api("GET", "/_ping").status == 200


def test_pipelined_requests_are_answered_in_order(api):
    ping, bad = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n", b"GET /nosuch HTTP/1.1\r\nHost: d\r\n\r\n"
    found = talk(api.path, ping + bad + _CREATE + b"Content-Length: 2\r\n\r\n{}" + ping)
    assert [part[:3] for part in found.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"400", b"200"]


def test_hundreds_of_half_requests_hold_nobody_up(api):
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            half = stack.enter_context(socket.socket(socket.AF_UNIX))
            half.connect(api.path)
            half.sendall(b"GET /containers/json HTTP/1.1\r\nHos")
        assert api("GET", "/_ping").status == 200
    assert api("GET", "/_ping").status == 200
