"""`pydock` as a person uses it: a program with streams, a terminal, exit codes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.engine import engine

from pydockmagic.client import Client, parse_address

PYDOCK = [sys.executable, "-m", "pydockmagic.cli"]


def run(*words, environ=None, **options):
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(environ or {})}
    return subprocess.run([*PYDOCK, *words], capture_output=True, env=environ, timeout=60, check=False, **options)


def test_mistakes_go_to_stderr_with_dockers_exit_code():
    done = run("ps", "-z")
    assert done.returncode == 125
    assert done.stdout == b""
    assert done.stderr.startswith(b"unknown shorthand flag: 'z' in -z\n\nUsage:  docker ps [OPTIONS]\n")


def test_help_goes_to_stdout():
    done = run("run", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(b"Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n")


def test_nobody_at_the_socket_is_told():
    done = run("ps", environ={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert done.returncode == 1
    assert done.stderr == (
        b"Cannot connect to the Docker daemon at unix:///nonexistent.sock. Is the docker daemon running?\n"
    )


def test_a_reader_that_leaves_is_no_error():
    reader = subprocess.Popen(["true"])
    reader.wait()
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PYDOCK, "--help"], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert done.stderr == b""


def test_the_engine_is_served_in_the_same_process(tmp_path):
    address = f"unix://{tmp_path}/e.sock"
    words = ["engine", "serve", "--host", address, "--data-root", str(tmp_path / "root")]
    process = subprocess.Popen([*PYDOCK, *words], stdout=subprocess.PIPE, start_new_session=True)
    with process.stdout as announced:
        assert announced.readline().decode().strip() == address
    assert b"pydockmagic" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    with Client(parse_address(address)) as client:
        client.ping()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("engine")) as address:
        yield {"DOCKER_HOST": address}


root = pytest.mark.root


@root
def test_streams_stay_apart_and_bytes_stay_bytes(environ):
    run("pull", "-q", "busybox", environ=environ)
    data = bytes(range(256)) * 40
    done = run("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 6", environ=environ, input=data)
    assert (done.stdout, done.stderr, done.returncode) == (data, b"err\n", 6)


@root
def test_archives_go_through_pipes(environ):
    saved = run("save", "busybox", environ=environ)
    assert saved.returncode == 0
    assert run("load", environ=environ, input=saved.stdout).stdout == b"Loaded image: busybox:latest\n"


class Terminal:
    """`pydock` on a pseudo-terminal."""

    def __init__(self, environ, *words, size=(31, 77)):
        import fcntl
        import struct
        import termios

        self.read, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(child)
        self.child = child
        self.process = subprocess.Popen(
            [*PYDOCK, *words], stdin=child, stdout=child, stderr=child, env={**os.environ, **environ},
            start_new_session=True,
        )  # fmt: skip
        self.seen = b""

    def wait_for(self, text):
        while text not in self.seen:
            self.seen += os.read(self.read, 4096)

    def type(self, text):
        os.write(self.read, text)

    def resize(self, *size):
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.read, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def end(self):
        import termios

        code = self.process.wait(30)
        assert termios.tcgetattr(self.child) == self.before  # the terminal is as it was
        os.close(self.child)
        os.close(self.read)
        return code


@root
def test_a_shell_in_a_terminal_knows_its_size_and_hears_of_changes(environ):
    terminal = Terminal(environ, "run", "-it", "--rm", "busybox", "sh")
    terminal.wait_for(b"# ")
    terminal.type(b"stty size; echo A$((1+1))B\n")
    terminal.wait_for(b"A2B")
    assert b"31 77" in terminal.seen
    terminal.resize(44, 99)
    terminal.type(b"trap 'stty size' WINCH; until stty size | grep 44; do sleep 0.1; done; echo C$((1+2))D\n")
    terminal.wait_for(b"C3D")
    terminal.type(b"exit 5\n")
    assert terminal.end() == 5


@root
def test_the_detach_keys_leave_the_container_running(environ):
    terminal = Terminal(environ, "run", "-it", "--name", "kept", "busybox", "sh")
    terminal.wait_for(b"# ")
    terminal.type(b"\x10\x11")
    assert terminal.end() == 0
    assert run("inspect", "-f", "{{.State.Running}}", "kept", environ=environ).stdout == b"true\n"
    again = Terminal(environ, "attach", "kept")
    again.type(b"\n")
    again.wait_for(b"# ")
    again.type(b"exit 3\n")
    assert again.end() == 3
    run("rm", "kept", environ=environ)


@root
def test_an_interrupt_goes_to_the_container(environ):
    program = "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        [*PYDOCK, "run", "--rm", "busybox", "sh", "-c", program], stdout=subprocess.PIPE, env={**os.environ, **environ}
    )
    with process.stdout as output:
        assert output.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 9
