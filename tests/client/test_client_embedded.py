from __future__ import annotations

import os
import socket
import stat
import sys
import threading

import pytest

from pydockmagic.client import EngineStartFailed, embedded

# An engine of a few lines: listens, says where, ends when told to.
ENGINE = """
import os, signal, socket, sys, threading
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
arguments = dict(zip(sys.argv[2::2], sys.argv[3::2]))
path = arguments["--host"].removeprefix("unix://")
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
with open(os.path.join(arguments["--data-root"], "starts"), "a") as file:
    file.write("x")
def accept():
    while True:
        listener.accept()
threading.Thread(target=accept, daemon=True).start()
print("unix://" + path, flush=True)
signal.sigwait({signal.SIGTERM})
"""


@pytest.fixture
def environ(tmp_path, monkeypatch):
    """An environment whose engine is the little one."""
    program = tmp_path / "engine.py"
    program.write_text(ENGINE)

    def command(where, _environ):
        return [sys.executable, str(program), "serve", "--host", str(where.address), "--data-root", str(where.root)]

    monkeypatch.setattr(embedded, "command", command)
    yield {"PYDOCK_ROOT": str(tmp_path / "root"), "XDG_RUNTIME_DIR": str(tmp_path)}
    embedded.stop({"PYDOCK_ROOT": str(tmp_path / "root"), "XDG_RUNTIME_DIR": str(tmp_path)})


def test_the_engine_is_started_once_and_found_again(environ):
    assert not embedded.status(environ).running
    address = embedded.ensure(environ)
    assert embedded.ensure(environ) == address
    found = embedded.status(environ)
    assert found.running
    assert found.pid
    assert (found.root / "starts").read_text() == "x"


def test_kernels_that_start_together_get_one_engine(environ):
    addresses = []
    threads = [threading.Thread(target=lambda: addresses.append(embedded.ensure(environ))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(addresses)) == 1
    assert (embedded.places(environ).root / "starts").read_text() == "x"


def test_the_engine_lives_in_a_session_of_its_own(environ):
    embedded.ensure(environ)
    pid = embedded.status(environ).pid
    assert os.getsid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)


def test_stopping_waits_until_it_has_ended(environ):
    embedded.ensure(environ)
    assert embedded.stop(environ)
    assert not embedded.status(environ).running
    assert not embedded.stop(environ)


def test_the_runtime_folder_is_for_its_owner_alone(environ):
    embedded.ensure(environ)
    run = embedded.places(environ).run
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE(run.parent.stat().st_mode) == 0o700


def test_an_engine_that_fails_is_told_with_its_own_last_words(environ, monkeypatch):
    def failing(_where, _environ):
        return [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]

    monkeypatch.setattr(embedded, "command", failing)
    with pytest.raises(EngineStartFailed, match=r"exit code 1: the disk is full") as caught:
        embedded.ensure(environ)
    assert "the disk is full" in caught.value.log


def test_an_engine_that_says_nothing_is_given_up(environ, monkeypatch):
    def mute(_where, _environ):
        return [sys.executable, "-c", "import signal; signal.pause()"]

    monkeypatch.setattr(embedded, "command", mute)
    with pytest.raises(EngineStartFailed, match="no address within"):
        embedded.ensure(environ, timeout=0.5)


def test_two_data_roots_have_two_engines(tmp_path):
    one = embedded.places({"PYDOCK_ROOT": "/a", "XDG_RUNTIME_DIR": str(tmp_path)})
    two = embedded.places({"PYDOCK_ROOT": "/b", "XDG_RUNTIME_DIR": str(tmp_path)})
    assert one.socket != two.socket


def test_a_socket_path_that_no_socket_can_have_is_avoided(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    where = embedded.places({"PYDOCK_ROOT": "/a", "XDG_RUNTIME_DIR": str(deep), "TMPDIR": str(deep)})
    assert len(os.fsencode(where.socket)) < 108
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(FileNotFoundError):
        probe.connect(str(where.socket))


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    environ = {"PYDOCK_ROOT": str(tmp_path / "root"), "XDG_RUNTIME_DIR": str(tmp_path)}
    real = os.getuid()
    monkeypatch.setattr(embedded.os, "getuid", lambda: real + 1)
    with pytest.raises(EngineStartFailed, match="belongs to somebody else"):
        embedded.ensure(environ)
