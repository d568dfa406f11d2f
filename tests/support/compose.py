"""A project of three services for docker-compose 1.29, and hosts on which it is brought up: one engine each."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.dockerd import dockerd
from support.engine import engine
from support.ordinary import NOBODY, OrdinaryUser, interpreter
from support.replay.stage import SUBORDINATE_IDS, Stage, stage

PORT = 18080
_LIMIT = 120.0
_WAIT = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
_FILES = {
    "docker-compose.yml": f"""version: "2.4"
services:
  web:
    build: ./web
    ports: ["127.0.0.1:{PORT}:8080"]
    networks:
      back:
        aliases: [site]
  store:
    image: busybox
    command: ["sh", "-c", "echo kept >> /data/log; touch /data/ready; {_WAIT}"]
    environment:
      LEVEL: ${{LEVEL:-low}}
    volumes: ["data:/data", "/scratch"]
    healthcheck:
      test: ["CMD", "test", "-e", "/data/ready"]
      interval: 1s
      timeout: 10s
      retries: 30
    networks: [back]
  worker:
    image: busybox
    command: ["sh", "-c", "wget -qO- http://site:8080/; echo working for $$OWNER; {_WAIT}"]
    environment:
      OWNER: ${{OWNER:-nobody}}
    depends_on:
      store: {{condition: service_healthy}}
      web: {{condition: service_started}}
    networks: [back]
volumes:
  data:
networks:
  back:
""",
    "web/Dockerfile": """FROM busybox
RUN mkdir -p /www
COPY index.html /www/
EXPOSE 8080
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
""",
    "web/index.html": "<h1>three services</h1>\n",
    "wrong.yml": "services:\n  web:\n    imag: busybox\n",
}
_MASKS = (
    (re.compile(r"\b[0-9a-f]{12}_(?=shop_)"), ""),  # a container that is being recreated: only sometimes in time
    (re.compile(r"\b[0-9a-f]{12}([0-9a-f]{52})?\b"), "<ID>"),
    (re.compile(r"context: .*/project"), "context: <PROJECT>"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+:\d{4,5}\b(?!->)"), "<ADDRESS>"),
    (re.compile(r"\d+(\.\d+)?(B|kB|MB)\b"), "<SIZE>"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"-{3,}"), "---"),
)


class Outcome(NamedTuple):
    """How a command ended, what it printed (both streams, masked), line by line."""

    exit: int
    lines: tuple[str, ...]

    @property
    def told(self) -> tuple[int, tuple[str, ...]]:
        """What is the same wherever it ran: services work side by side, so their lines and names come in any order."""
        return self.exit, tuple(sorted(_in_order(line) for line in self.lines))


def _in_order(line: str) -> str:
    """Order the names of a list: containers that were made at the same moment have no order of their own."""
    for verb in ("Attaching to ", "Going to remove "):
        head, to, names = line.partition(verb)
        if to:
            return f"{head}{to}{', '.join(sorted(names.split(', ')))}"
    return line


class Bench(NamedTuple):
    """A host with an engine, and the project in a folder there."""

    host: Stage
    folder: Path
    environment: dict[str, str]

    def compose(self, *arguments: str, **variables: str) -> Outcome:
        """Run docker-compose on the project; ``variables`` go into its environment."""
        return self.run(["docker-compose", "-p", "shop", *arguments], **variables)

    def run(self, command: Sequence[str], **variables: str) -> Outcome:
        """Run a command in the project's folder."""
        done = subprocess.run(
            self._here(command), env=self.environment | variables, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=_LIMIT, check=False, text=True, errors="replace",
        )  # fmt: skip
        return Outcome(done.returncode, _masked(done.stdout + done.stderr))

    def docker(self, *arguments: str) -> str:
        """Run the docker command, which has to succeed; give what it printed."""
        done = subprocess.run(
            self._here(["docker", *arguments]), env=self.environment, capture_output=True,
            timeout=_LIMIT, check=False, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def _here(self, command: Sequence[str]) -> list[str]:
        """Give what runs a command on the host, in the project's folder there."""
        return self.host.command(["sh", "-c", 'cd "$0" && exec "$@"', str(self.folder), *command])

    @contextmanager
    def followed(self, *arguments: str) -> Iterator[Followed]:
        """Run docker-compose and read along."""
        # Who runs the tests in the background has an interrupt ignored, and every program that they start as well.
        hearing = ["env", "--default-signal=INT"]
        process = subprocess.Popen(
            self._here([*hearing, "docker-compose", "-p", "shop", *arguments]), env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        # A command that never says what is waited for must not hold the test: it is ended, and its output too.
        guard = threading.Timer(_LIMIT, process.kill)
        guard.start()
        try:
            yield Followed(process)
        finally:
            guard.cancel()
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Followed:
    """A docker-compose that runs on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def until(self, text: str) -> str:
        """Read up to a line that holds ``text``; give that line."""
        assert self._process.stdout is not None
        seen = []
        for line in self._process.stdout:
            seen.append(line)
            if text in line:
                return line
        msg = f"{text!r} never came: {''.join(seen)}"
        raise AssertionError(msg)

    def interrupt(self) -> Outcome:
        """Press Ctrl-C; give how it ended and what it still said."""
        self._process.send_signal(signal.SIGINT)
        rest, _ = self._process.communicate(timeout=_LIMIT)
        assert self._process.returncode != -signal.SIGKILL, f"it did not end when it was interrupted: {rest}"
        return Outcome(self._process.returncode, _masked(rest))


def _masked(text: str) -> tuple[str, ...]:
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return tuple(line for line in (line.strip() for line in text.replace("\r", "\n").split("\n")) if line)


def _bench(host: Stage, folder: Path, address: str) -> Bench:
    for name, text in _FILES.items():
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder),
        "LANG": "C.UTF-8", "DOCKER_HOST": address, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(folder / "config"),
    }  # fmt: skip
    return Bench(host, folder / "project", environment)


@contextmanager
def on_engine(folder: Path) -> Iterator[Bench]:
    """Give a host with a mini-engine of root's."""
    with stage(folder) as host, engine(folder, ["--stop-containers"], host.command([])) as address:
        bench = _bench(host, folder, address)
        bench.docker("pull", "-q", "busybox")
        yield bench
        bench.compose("down", "-v", "--rmi", "local", "-t", "1")


@contextmanager
def on_dockerd(folder: Path, like: Bench) -> Iterator[Bench]:
    """Give a host with a real dockerd, which has the same busybox image as another host."""
    saved = folder / "busybox.tar"
    saved.write_bytes(b"")
    like.docker("save", "-o", str(saved), "busybox")
    with stage(folder) as host, dockerd(folder, (), host.command([])) as address:
        bench = _bench(host, folder, address)
        bench.docker("load", "-i", str(saved))
        yield bench
        bench.compose("down", "-v", "--rmi", "local", "-t", "1")


@contextmanager
def on_rootless_engine() -> Iterator[Bench]:
    """Give a host with a mini-engine of an ordinary user, who runs docker-compose as well."""
    user = OrdinaryUser()  # type: ignore[no-untyped-call]
    folder = user.home / "compose"
    folder.mkdir()
    try:
        with stage(folder, user=NOBODY, subordinate=SUBORDINATE_IDS) as host:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)
            inside = host.command(["env", f"PYTHONPATH={user.folder}", f"HOME={folder}"])
            with engine(folder, ["--stop-containers"], inside, interpreter()) as address:
                bench = _bench(host, folder, address)
                subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder / "project"], check=True)
                bench.docker("pull", "-q", "busybox")
                yield bench
                bench.compose("down", "-v", "--rmi", "local", "-t", "1")
    finally:
        user.close()
