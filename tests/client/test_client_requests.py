from __future__ import annotations

import httpx
import pytest
from support.daemon import FakeDaemon

import pydockmagic.client as public
from pydockmagic.client import (
    ApiError,
    Client,
    ClientError,
    Conflict,
    ConnectionFailed,
    EngineAddress,
    NotFound,
    ServerError,
    StreamInterrupted,
)


def test_exported_names_exist_and_are_sorted():
    assert public.__all__ == sorted(public.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(public, name) for name in public.__all__)


@pytest.mark.parametrize(("offered", "spoken"), [("1.50", "1.50"), ("1.41", "1.41"), ("1.99", "1.50"), ("", "1.24")])
def test_the_lower_version_of_both_sides_is_spoken(offered, spoken):
    daemon = FakeDaemon(offered).on("GET", "/info", {})
    client = daemon.client()
    client.info()
    client.info()
    assert daemon.lines == [f"GET /v{spoken}/info"] * 2
    assert [each.method for each in daemon.asked].count("HEAD") == 1  # negotiated once


def test_a_daemon_too_old_to_understand_is_refused():
    with pytest.raises(ClientError, match="speaks API version"):
        FakeDaemon("1.12").client().info()


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (409, Conflict), (500, ServerError), (599, ServerError), (418, ApiError)]
)
def test_a_refusal_keeps_dockers_sentence_and_status(status, kind):
    daemon = FakeDaemon().refuse("GET", "/containers/x/json", status, "No such container: x")
    with pytest.raises(kind) as caught:
        daemon.client().container_inspect("x")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.message == "No such container: x"
    assert str(caught.value) == "Error response from daemon: No such container: x"


def test_a_refusal_that_is_no_json_is_told_as_it_is():
    daemon = FakeDaemon().on("GET", "/info", status=502, raw=b"bad gateway\n")
    with pytest.raises(ServerError, match="bad gateway"):
        daemon.client().info()


def test_nobody_at_the_socket_is_told_in_dockers_words(tmp_path):
    client = Client(EngineAddress(f"unix://{tmp_path}/none.sock"))
    with client, pytest.raises(ConnectionFailed) as caught:
        client.info()
    assert str(caught.value) == (
        f"Cannot connect to the Docker daemon at unix://{tmp_path}/none.sock. Is the docker daemon running?"
    )


def test_a_connection_lost_in_the_middle_is_its_own_error():
    def lose(request):
        raise httpx.ReadError("gone")

    daemon = FakeDaemon().on("GET", "/info", lose)
    with pytest.raises(StreamInterrupted):
        daemon.client().info()


def test_parameters_are_left_out_when_false_or_empty_and_repeated_for_lists():
    daemon = FakeDaemon().on("GET", "/images/get", raw=b"tar").on("DELETE", "/containers/x", status=204)
    client = daemon.client()
    assert b"".join(client.image_save(["a:1", "b"])) == b"tar"
    client.container_remove("x", force=True)
    assert daemon.lines == ["GET /v1.50/images/get?names=a%3A1&names=b", "DELETE /v1.50/containers/x?force=1"]


def test_filters_are_written_as_docker_writes_them():
    daemon = FakeDaemon().on("GET", "/containers/json", [])
    daemon.client().containers(all=True, filters={"status": ["running"], "name": ["a", "b"]})
    assert daemon.asked[-1].url.params["filters"] == '{"status":{"running":true},"name":{"a":true,"b":true}}'


def test_image_names_keep_their_slashes_and_colons_in_paths():
    daemon = FakeDaemon().on("GET", "/images/127.0.0.1:5000/a/b:1/json", {"Id": "x"})
    assert daemon.client().image_inspect("127.0.0.1:5000/a/b:1") == {"Id": "x"}


def test_answers_are_asked_for_uncompressed():
    daemon = FakeDaemon().on("GET", "/info", {})
    daemon.client().info()
    assert daemon.asked[-1].headers["accept-encoding"] == "identity"


def test_a_real_daemon_has_no_extensions():
    assert FakeDaemon().client().features() == frozenset()


def test_extensions_are_asked_for_once():
    daemon = FakeDaemon().on("GET", "/pydock", {"Version": "1", "Features": ["layers", "states"]})
    client = daemon.client()
    assert client.features() == {"layers", "states"}
    assert client.features() == {"layers", "states"}
    assert daemon.lines == ["GET /pydock"]


def test_extension_routes_have_no_version():
    daemon = (
        FakeDaemon()
        .on("GET", "/pydock", {"Features": ["image-layers", "layer-files"]})
        .on("GET", "/pydock/images/a/b:1/layers", {"Layers": []})
        .on("GET", "/pydock/layers/sha256:1/files", {"Total": 0})
    )
    client = daemon.client()
    assert client.layers("a/b:1") == {"Layers": []}
    client.files("sha256:1", offset=10, limit=5, sort="size")
    assert daemon.lines[-1] == "GET /pydock/layers/sha256:1/files?limit=5&offset=10&sort=size"


def test_an_empty_answer_is_none():
    daemon = FakeDaemon().on("POST", "/containers/x/start", status=304)
    assert daemon.client().container_start("x") is None


def test_a_path_in_a_container_is_described_by_a_header():
    import base64

    stat = base64.b64encode(b'{"name":"passwd","size":5}').decode()
    daemon = FakeDaemon().on("GET", "/containers/x/archive", raw=b"tar", headers={"X-Docker-Container-Path-Stat": stat})
    found, stream = daemon.client().container_archive_get("x", "/etc/passwd")
    assert found == {"name": "passwd", "size": 5}
    assert b"".join(stream) == b"tar"


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda client: client.container_inspect(".."), "/v1.50/containers/%2E%2E/json"),
        (lambda client: client.container_remove("../volumes"), "/v1.50/containers/%2E%2E/volumes"),
        (lambda client: client.volume_inspect("."), "/v1.50/volumes/%2E"),
        (lambda client: client.image_inspect("a/./b:1.0"), "/v1.50/images/a/%2E/b:1.0/json"),
        (lambda client: client.container_inspect("web.1"), "/v1.50/containers/web.1/json"),
    ],
)
def test_a_name_of_dots_leads_nowhere_else(call, path):
    daemon = FakeDaemon()
    with pytest.raises(ClientError):
        call(daemon.client())
    assert daemon.lines[-1].split()[1] == path


def test_an_empty_name_is_refused_in_dockers_words():
    client = FakeDaemon().client()
    for kind, call in (
        ("container", client.container_inspect),
        ("network", client.network_remove),
        ("volume", client.volume_inspect),
    ):
        with pytest.raises(ClientError, match=f"invalid {kind} name or ID: value is empty"):
            call("")
