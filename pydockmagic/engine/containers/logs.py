r"""Reading a container's output again: the ``json-file`` format, with follow, tail, since, until and timestamps.

One JSON object a line: ``{"log": "text\n", "stream": "stdout", "time": "RFC 3339"}``. Rotated files are ``FILE.1``
(newest) to ``FILE.N``. New lines are noticed by inotify(7), without polling.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from pydockmagic.engine.errors import EngineError

from .container import Container
from .core import Core
from .frames import STDERR, STDOUT, frame

__all__ = ["LogQuery", "Logs", "log_files"]

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
_CHUNK = 65536
_IN_MODIFY, _IN_CREATE, _IN_MOVED_FROM, _IN_MOVED_TO = 0x2, 0x100, 0x40, 0x80
_libc = ctypes.CDLL(None, use_errno=True)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class _Line(msgspec.Struct):
    log: str
    stream: str
    time: str
    attrs: dict[str, str] = msgspec.field(default_factory=dict)


_decode = msgspec.json.Decoder(_Line).decode


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to read; ``tail`` None is everything. Times are Unix nanoseconds."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: int | None = None
    until: int | None = None
    timestamps: bool = False
    details: bool = False
    tail: int | None = None


def log_files(path: Path) -> list[Path]:
    """Give the log's files, oldest first."""
    rotated = []
    for found in path.parent.glob(f"{path.name}.*"):
        number = found.name[len(path.name) + 1 :]
        if number.isdecimal():
            rotated.append((int(number), found))
    return [p for _, p in sorted(rotated, reverse=True)] + ([path] if path.exists() else [])


class Logs:
    """Reads the logs of containers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def read(self, container: Container, query: LogQuery) -> AsyncIterator[bytes]:
        """Give the log as a client gets it: framed, or plain for a terminal."""
        driver = container.record.host_config.log_config.type
        if driver == "none":
            raise EngineError("configured logging driver does not support reading")
        return self._read(container, query)

    async def _read(self, container: Container, query: LogQuery) -> AsyncIterator[bytes]:
        path = self._core.files(container.id).log
        tty = container.record.config.tty
        follower = _Follower(path) if query.follow else None
        try:
            reader = _Reader(path)
            past = reader.past(query)
            while lines := await asyncio.to_thread(_batch, past):
                yield b"".join(_render(line, query, tty=tty) for line in lines)
            if follower is not None:
                async for line in self._follow(container, reader, follower):
                    time_ns = _time_ns(line.time)
                    if query.until is not None and time_ns > query.until:
                        return
                    if _wanted(line, query):
                        yield _render(line, query, tty=tty)
        finally:
            if follower is not None:
                follower.close()

    async def _follow(self, container: Container, reader: _Reader, follower: _Follower) -> AsyncIterator[_Line]:
        """Give new lines until the container has ended (and does not wait for a restart)."""
        while True:
            change = container.next_change
            ended = container.ended.is_set() and not container.record.state.restarting
            ended = ended or container.gone
            for line in reader.more():
                yield line
            if ended and container.record.state.started_ns:
                return
            await follower.changed(change)


class _Reader:
    """Reads lines from the log's files, and goes on where it stopped, over rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def past(self, query: LogQuery) -> Iterator[_Line]:
        """Give all that is there and passes the query; leaves the newest file open for ``more``. Blocks."""
        if query.tail is not None:
            yield from self._tail(query, query.tail)
            return
        for file in log_files(self._path):
            self._open(file)
            yield from (line for line in self.more(rotate=False) if _wanted(line, query))

    def _tail(self, query: LogQuery, count: int) -> Iterator[_Line]:
        """Give the last lines, reading from the end: a long log costs no more than a short one."""
        found: list[_Line] = []
        newest_end = 0
        files = log_files(self._path)
        for file in reversed(files):
            self._open(file)
            if self._file is None:
                continue
            end = _whole_end(self._file)
            newest_end = newest_end if found or file is not files[-1] else end
            lines = (line for raw in _backwards(self._file, end) if (line := _parse(raw)) is not None)
            found += islice((line for line in lines if _wanted(line, query)), count - len(found))
            if len(found) >= count:
                break
        if files:
            self._open(files[-1])
            if self._file is not None:
                self._file.seek(newest_end)
        yield from reversed(found)

    def _open(self, path: Path) -> None:
        if self._file is not None:
            self._file.close()
        self._rest = b""
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            self._file = None

    def more(self, *, rotate: bool = True) -> Iterator[_Line]:
        """Give the lines written since the last call."""
        while True:
            if self._file is None:
                if not rotate or not self._path.exists():
                    return
                self._file = self._path.open("rb")
            while data := self._file.read(_CHUNK):
                *whole, self._rest = (self._rest + data).split(b"\n")
                for raw in whole:
                    if (line := _parse(raw)) is not None:
                        yield line
            if not rotate or not self._rotated():
                return
            self._file.close()
            self._file, self._rest = None, b""

    def _rotated(self) -> bool:
        if self._file is None:
            return False
        try:
            return self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


class _Follower:
    """Wakes a reader when the log's directory changes, or the container ends."""

    def __init__(self, path: Path) -> None:
        self._event = asyncio.Event()
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise EngineError(f"cannot watch the log: {os.strerror(ctypes.get_errno())}")
        mask = _IN_MODIFY | _IN_CREATE | _IN_MOVED_FROM | _IN_MOVED_TO
        _libc.inotify_add_watch(self._fd, os.fsencode(path.parent), mask)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, _CHUNK)
        self._event.set()

    async def changed(self, change: asyncio.Event) -> None:
        """Wait for a change of the files or of the container's state."""
        waits = [asyncio.create_task(self._event.wait()), asyncio.create_task(change.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._event.clear()

    def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


def _parse(raw: bytes) -> _Line | None:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        return None  # a line cut off by a crash


def _time_ns(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        return 0
    zone = "+00:00" if match[3] == "Z" else match[3]
    seconds = int(datetime.fromisoformat(match[1] + zone).timestamp())
    return seconds * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


def _wanted(line: _Line, query: LogQuery) -> bool:
    if not (query.stderr if line.stream == "stderr" else query.stdout):
        return False
    if query.since is None and query.until is None:
        return True
    time_ns = _time_ns(line.time)
    return (query.since is None or time_ns >= query.since) and (query.until is None or time_ns <= query.until)


def _render(line: _Line, query: LogQuery, *, tty: bool) -> bytes:
    text = line.log.encode("utf-8", "surrogateescape")
    if query.details:
        text = ",".join(f"{k}={v}" for k, v in sorted(line.attrs.items())).encode() + b" " + text
    if query.timestamps:
        text = _padded_time(line.time) + b" " + text
    return text if tty else frame(_STREAMS.get(line.stream, STDOUT), text)


def _padded_time(text: str) -> bytes:
    """Write the time with all nine digits, so that columns line up (moby ``jsonmessage.RFC3339NanoFixed``)."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text.encode()
    return f"{match[1]}.{(match[2] or '').ljust(9, '0')}{match[3]}".encode()


def _batch(lines: Iterator[_Line]) -> list[_Line]:
    batch: list[_Line] = []
    total = 0
    for line in lines:
        batch.append(line)
        total += len(line.log)
        if total >= _CHUNK:
            break
    return batch


def _whole_end(file: BinaryIO) -> int:
    """Give where the last whole line of a file ends."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _CHUNK)
        file.seek(start)
        at = file.read(position - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        position = start
    return 0


def _backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Give the lines up to ``end``, where one ends, last first."""
    position, rest = max(end - 1, 0), b""
    while position > 0:
        start = max(0, position - _CHUNK)
        file.seek(start)
        lines = (file.read(position - start) + rest).split(b"\n")
        position, rest = start, lines[0]
        yield from reversed(lines[1:])
    if end:
        yield rest
