"""A daemon behind ssh: a real sshd on the loopback, the real docker command or ours on the other side."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from support.engine import engine
from support.leaks import until
from support.sshd import available, sshd

from pydockmagic.client import BadAddress, Client, ConnectionFailed, ConnectionLost, parse_address
from pydockmagic.client.ssh import parse_ssh

needs_sshd = [
    pytest.mark.root,
    pytest.mark.skipif(not available() and not os.environ.get("CI"), reason="needs sshd"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd(tmp_path_factory.mktemp("ssh") / "d") as made:
        yield made


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture
def far(server, daemon, monkeypatch):
    """The address of the engine behind ssh; the other side has our command only."""
    monkeypatch.setenv("PATH", server.path)
    ours = f"DOCKER_HOST={daemon} exec {sys.executable} -c 'from pydockmagic.cli import main; exit(main())' \"$@\""
    server.program("pydock", ours)
    return server.url


@pytest.mark.parametrize(
    ("url", "user", "host", "port", "socket"),
    [
        ("ssh://host", "", "host", None, ""),
        ("ssh://me@host:2222", "me", "host", 2222, ""),
        ("ssh://me@host/run/user/1/docker.sock", "me", "host", None, "/run/user/1/docker.sock"),
    ],
)
def test_an_address_names_user_host_port_and_socket(url, user, host, port, socket):
    found = parse_ssh(url)
    assert (found.user, found.host, found.port, found.socket) == (user, host, port, socket)
    assert str(parse_address(url)) == url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ssh://", "no host specified"),
        ("ssh://me:secret@host", "plain-text password is not supported"),
        ("ssh://host?x=1", "query parameters are not allowed"),
        ("ssh://host:port", "unable to parse docker host"),
        ("ssh://-oProxyCommand=evil", "unable to parse docker host"),
        ("ssh://-l@host", "unable to parse docker host"),
    ],
)
def test_what_ssh_could_misunderstand_is_refused(url, sentence):
    with pytest.raises(BadAddress, match=sentence):
        parse_address(url)


def test_a_machine_without_ssh_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with Client(parse_address("ssh://host")) as client, pytest.raises(BadAddress, match="ssh command"):
        client.version()


class TestBehindSshd:
    pytestmark = needs_sshd

    def test_requests_streams_and_hijacked_connections_pass(self, far):
        with Client(parse_address(far)) as client:
            list(client.image_pull("busybox"))
            made = client.container_create({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True})
            with client.container_attach(made["Id"], stdin=True, stdout=True) as stream:
                client.container_start(made["Id"])
                stream.write(b"through ssh\n")
                stream.close_stdin()
                assert b"".join(frame.data for frame in stream) == b"through ssh\n"
            client.container_remove(made["Id"], force=True)

    def test_the_real_docker_command_on_the_other_side_does_as_well(self, far, server, daemon):
        server.program("docker", f'DOCKER_HOST={daemon} exec {shutil.which("docker")} "$@"')
        try:
            with Client(parse_address(far)) as client:
                assert client.version()["ApiVersion"]
        finally:
            (server.programs / "docker").unlink()

    def test_a_socket_in_the_address_is_the_daemons(self, far, daemon):
        with Client(parse_address(far + daemon.removeprefix("unix://"))) as client:
            assert client.info()["ID"]

    def test_what_ssh_complains_of_is_told(self, server, monkeypatch):
        monkeypatch.setenv("PATH", server.path)
        closed = server.url.rpartition(":")[0] + ":1"
        with Client(parse_address(closed)) as client, pytest.raises(ConnectionFailed) as caught:
            client.version()
        assert "ssh ended with exit status 255" in str(caught.value)
        assert "Connection refused" in str(caught.value)

    def test_nothing_is_left_behind(self, far, monkeypatch, tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with Client(parse_address(far)) as client:
            client.version()
            assert list(tmp_path.iterdir())
            marks = str(tmp_path)
        assert list(tmp_path.iterdir()) == []
        assert not [pid for pid in _processes() if marks in pid]

    def test_a_process_that_ends_without_a_word_leaves_nothing_behind(self, far, monkeypatch, tmp_path):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        code = f"""if True:
            from pydockmagic.client import Client, parse_address
            client = Client(parse_address({far!r}))
            print(client.version()["ApiVersion"])
            events = client.events()
        """
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert list(tmp_path.iterdir()) == []
        until(lambda: not [pid for pid in _processes() if str(tmp_path) in pid])

    def test_a_login_that_breaks_is_a_lost_connection_and_the_next_request_logs_in_again(
        self, far, monkeypatch, tmp_path
    ):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with Client(parse_address(far)) as client:
            events = client.events()
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    if str(tmp_path) in path.read_text():
                        os.kill(int(path.parent.name), signal.SIGKILL)
            with pytest.raises(ConnectionLost, match=f"the connection to the Docker daemon at {far} was lost"):
                list(events)
            assert client.version()["ApiVersion"]


def _processes() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found
