"""Running docker's commands in a test: an output that keeps what it is shown, and a context around a client."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydockmagic.client import Client
from pydockmagic.commands import BuildProgress, CommandError, Connection, Context, PullProgress, Result, execute, split

__all__ = ["Shown", "context_for", "docker", "failing"]


@dataclass
class Shown:
    """An output that keeps everything."""

    draws_progress: bool = False
    texts: list[tuple[str, str]] = field(default_factory=list)
    steps: list[BuildProgress] = field(default_factory=list)
    pulls: list[PullProgress] = field(default_factory=list)

    def write(self, stream, text):
        self.texts.append((stream, text))

    def program(self, stream, text):
        self.write(stream, text)

    def step(self, progress):
        self.steps.append(progress)

    def pull(self, progress):
        self.pulls.append(progress)

    def text(self, stream="stdout"):
        return "".join(text for name, text in self.texts if name == stream)


def context_for(client: Client, directory, **details) -> Context:
    """Give a context whose connection is this client."""
    details.setdefault("output", Shown())
    details.setdefault("environ", {})
    return Context(directory=directory, connection=Connection(factory=lambda _target: client), **details)


def docker(line: str, context: Context) -> Result:
    """Run a line as a person types it."""
    return execute(split(line), context)


def failing(line: str, context: Context) -> CommandError:
    """Run a line that must fail, and give its error."""
    try:
        result = docker(line, context)
    except CommandError as error:
        return error
    raise AssertionError(f"docker {line} succeeded: {result!r}")
