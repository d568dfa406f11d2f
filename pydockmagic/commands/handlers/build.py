"""``docker build``: the context to the daemon, its progress to the output, an image at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError, ConnectionLost
from pydockmagic.commands.context import PullProgress
from pydockmagic.commands.credentials import CredentialsFile
from pydockmagic.commands.errors import CommandError, Interrupted, Lost
from pydockmagic.commands.options.hosts import check_extra_host
from pydockmagic.commands.options.pairs import to_map
from pydockmagic.commands.references import normalized
from pydockmagic.commands.results import BuildResult
from pydockmagic.commands.units import human_size

from .build_steps import StepKeeper
from .context_tar import ADDED_DOCKERFILE, BuildContext, ContextProblem, text_context
from .progress import StreamFailed, raise_error
from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.client import JsonStream
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["build", "run_build"]

_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_TAR_MAGIC = slice(257, 262)


def build(parsed: Parsed, context: Context) -> BuildResult:
    """``docker build PATH | URL | -``."""
    return run_build(parsed, context, dockerfile_text=None, folder=None)


def run_build(parsed: Parsed, context: Context, *, dockerfile_text: str | None, folder: Path | None) -> BuildResult:
    """Build; ``dockerfile_text`` and ``folder`` stand in for the files that the arguments would name.

    Raises ``CommandError``, with a ``BuildResult`` of the steps that were done.
    """
    return _Build(parsed, context).run(dockerfile_text, folder)


class _Build:
    """One build."""

    def __init__(self, parsed: Parsed, context: Context) -> None:
        self._parsed = parsed
        self._context = context
        self._quiet = parsed.flag("quiet")
        self._draws = context.output.draws_progress
        self._sink = Sink(context, live=not self._draws and not self._quiet)
        self._steps = StepKeeper(context.output)
        self._sent: BuildContext | None = None
        self._remote = ""

    def run(self, dockerfile_text: str | None, folder: Path | None) -> BuildResult:
        try:
            body, name = self._body(dockerfile_text, folder)
        except (ContextProblem, OSError) as problem:
            raise self._sink.failure(f"unable to prepare context: {problem}") from None
        try:
            auths = CredentialsFile(self._context.environ).header_for_all()
            headers = {"X-Registry-Config": auths}
            stream = self._context.client.build(self._announced(body), params=self._params(name), headers=headers)
            with closing(stream):
                self._follow(stream)
        except ContextProblem as problem:
            raise self._failure(str(problem), 1) from None
        except StreamFailed as error:
            self._steps.failed(error.code)
            raise self._failure(str(error), error.code or 1) from None
        except ConnectionLost as error:
            message = f"{error}; the build {self._steps.place()}"
            raise Lost(message, result=self._result(1), embedded=error.embedded) from error
        except ClientError as error:
            raise self._failure(str(error), 1) from error
        except KeyboardInterrupt:
            message = f"interrupted: the build was stopped, it {self._steps.place()}"
            raise Interrupted(message, 130, result=self._result(130)) from None
        self._steps.finished()
        result = self._result(0)
        if self._parsed.text("iidfile"):
            (self._context.directory / self._parsed.text("iidfile")).write_text(result.id, encoding="ascii")
        return result

    def _failure(self, message: str, exit_code: int) -> CommandError:
        return CommandError(message, exit_code, result=self._result(exit_code))

    def _result(self, exit_code: int) -> BuildResult:
        tags = self._steps.tags
        if not tags and not exit_code:
            tags = [normalized(text).with_default_tag().familiar for text in self._parsed.list("tag")]
        result = BuildResult(id=self._steps.image, tags=tags, steps=self._steps.steps)
        return self._sink.fill(result, exit_code)

    # -- what is sent

    def _body(self, dockerfile_text: str | None, folder: Path | None) -> tuple[Iterable[bytes] | None, str]:
        """Return the context's tar and the Dockerfile's name in it."""
        named = self._parsed.text("file")
        if dockerfile_text is not None:
            assert folder is not None
            return self._folder(folder, dockerfile_text, "")
        where = self._parsed.arguments[0] if self._parsed.arguments else "."
        if where == "-":
            return self._from_stdin(named)
        if "://" in where or where.startswith(("git@", "github.com/")):
            self._remote = where
            return None, named or "Dockerfile"
        path = self._context.directory / where
        if not path.exists():
            raise ContextProblem(f'path "{where}" not found')
        if not path.is_dir():
            raise ContextProblem(f"context must be a directory: {os.fspath(path)}")
        if named == "-":
            return self._folder(path, b"".join(self._context.chunks()).decode(errors="replace"), "")
        return self._folder(path, None, named)

    def _folder(self, folder: Path, text: str | None, named: str) -> tuple[Iterable[bytes], str]:
        if not folder.is_dir():
            raise ContextProblem(f'path "{folder}" not found')
        if text is None:
            name, text = _dockerfile_in(folder, named, self._context.directory)
        else:
            name = ADDED_DOCKERFILE
        self._sent = BuildContext(folder, name, text)
        return self._sent.chunks(), ADDED_DOCKERFILE if text is not None else name

    def _from_stdin(self, named: str) -> tuple[Iterable[bytes], str]:
        if named == "-":
            raise ContextProblem("invalid argument: can't use stdin for both build context and dockerfile")
        data = b"".join(self._context.chunks())
        if data.startswith(_ARCHIVES) or data[_TAR_MAGIC] == b"ustar":
            return [data], named or "Dockerfile"
        if named:
            raise ContextProblem("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
        return text_context(data.decode(errors="replace")), "Dockerfile"

    def _announced(self, body: Iterable[bytes] | None) -> Iterator[bytes] | None:
        """Say how large the context is once it is sent, as docker does."""
        if body is None:
            return None

        def pieces() -> Iterator[bytes]:
            sent = 0
            for piece in body:
                sent += len(piece)
                yield piece
            if not self._quiet:
                self._sink.out(f"Sending build context to Docker daemon {human_size(sent):>8}\n")

        return pieces()

    def _params(self, name: str) -> dict[str, Any]:
        parsed = self._parsed
        given: dict[str, str | None] = {}
        for text in parsed.list("build-arg"):
            key, equals, value = text.partition("=")
            given[key] = value if equals else self._context.environ.get(key)
        security = parsed.list("security-opt")
        return {
            "version": "1",
            "dockerfile": name,
            "remote": self._remote,
            "t": [normalized(text).familiar for text in parsed.list("tag")],
            "q": self._quiet,
            "nocache": parsed.flag("no-cache"),
            "pull": parsed.flag("pull"),
            "rm": None if parsed.flag("rm") else "0",
            "forcerm": parsed.flag("force-rm"),
            "squash": parsed.flag("squash"),
            "target": parsed.text("target"),
            "platform": parsed.text("platform"),
            "networkmode": parsed.text("network") if parsed.given("network") else None,
            "extrahosts": [check_extra_host(text) for text in parsed.list("add-host")],
            "buildargs": _json(given),
            "labels": _json(to_map(parsed.list("label"))),
            "cachefrom": _json(parsed.list("cache-from")),
            "ulimits": _json(parsed.list("ulimit")),
            "securityopt": _json(security),
            "memory": parsed.number("memory") or None,
            "memswap": parsed.number("memory-swap") or None,
            "cpushares": parsed.number("cpu-shares") or None,
            "cpuperiod": parsed.number("cpu-period") or None,
            "cpuquota": parsed.number("cpu-quota") or None,
            "cpusetcpus": parsed.text("cpuset-cpus"),
            "cpusetmems": parsed.text("cpuset-mems"),
            "cgroupparent": parsed.text("cgroup-parent"),
            "shmsize": parsed.number("shm-size") or None,
        }

    # -- what comes back

    def _follow(self, stream: JsonStream) -> None:
        held: list[str] = []
        for message in stream:
            try:
                raise_error(message)
            except StreamFailed:
                if self._quiet:  # a quiet build that fails tells what it did after all
                    self._sink.err("".join(held))
                raise
            if "aux" in message:
                self._aux(message["aux"])
            elif "stream" in message:
                text = str(message["stream"])
                if self._quiet and not text.startswith("sha256:"):
                    held.append(text)
                    continue
                self._text(text)
            elif "status" in message:
                self._status(message)

    def _aux(self, value: Any) -> None:
        if not isinstance(value, dict):
            return
        if "pydock.step" in value:
            self._steps.message(value["pydock.step"])
        elif value.get("ID"):
            self._steps.image = str(value["ID"])

    def _text(self, text: str) -> None:
        self._sink.out(text)
        if self._quiet:
            self._steps.image = text.strip()
        else:
            self._steps.text(text)

    def _status(self, message: dict[str, Any]) -> None:
        """Show the pull of a base image."""
        detail = message.get("progressDetail") or {}
        identity, status = str(message.get("id", "")), str(message["status"])
        self._context.output.pull(PullProgress(identity, status, detail.get("current") or 0, detail.get("total") or 0))
        if not detail.get("current") and not self._quiet:
            self._sink.out(f"{identity}: {status}\n" if identity else f"{status}\n")


def _json(value: Any) -> str | None:
    return json.dumps(value, separators=(",", ":")) if value else None


def _dockerfile_in(folder: Path, named: str, directory: Path) -> tuple[str, str | None]:
    """Return the Dockerfile's name inside the context, or its text where it is outside."""
    path = directory / named if named else folder / "Dockerfile"
    if not named and not path.exists() and (folder / "dockerfile").exists():
        path = folder / "dockerfile"
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        where = os.path.normpath(directory / path)
        raise ContextProblem(
            f"unable to evaluate symlinks in Dockerfile path: lstat {where}: no such file or directory"
        ) from None
    inside = Path(os.path.normpath(directory / path))
    root = Path(os.path.normpath(directory / folder))
    for candidate, base in ((inside, root), (real, root.resolve())):
        if candidate.is_relative_to(base):
            return candidate.relative_to(base).as_posix(), None
    return ADDED_DOCKERFILE, real.read_text(encoding="utf-8", errors="replace")
