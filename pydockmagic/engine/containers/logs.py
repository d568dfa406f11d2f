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
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_plus

import msgspec

from pydockmagic.engine.errors import EngineError

from .container import Container
from .core import Core
from .frames import STDERR, STDOUT, frame_head
from .logfiles import LogPart, log_files

__all__ = ["LogQuery", "Logs"]

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
_CHUNK = 1 << 18
_MOMENT = 0.1
"""Seconds."""
_ROTATED_AGAIN = 20
_IN_MODIFY, _IN_CREATE, _IN_MOVED_FROM, _IN_MOVED_TO = 0x2, 0x100, 0x40, 0x80
_libc = ctypes.CDLL(None, use_errno=True)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class _Line(msgspec.Struct):
    log: str
    stream: str
    time: str
    attrs: dict[str, str] = msgspec.field(default_factory=dict)


_decode = msgspec.json.Decoder(_Line).decode
_decode_lines = msgspec.json.Decoder(_Line).decode_lines


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
        if not query.follow:
            await _first_words(container)
        follower = _Follower(path) if query.follow else None
        reader = _Reader(path)
        try:
            past = reader.past(query)
            while (lines := await asyncio.to_thread(next, past, None)) is not None:
                yield _render(lines, query, tty=tty)
            if follower is not None:
                async for lines in self._follow(container, reader, follower):
                    yield _render(_wanted(lines, query), query, tty=tty)
                    if query.until is not None and any(_time_ns(line.time) > query.until for line in lines):
                        return
        finally:
            reader.close()
            if follower is not None:
                follower.close()

    async def _follow(self, container: Container, reader: _Reader, follower: _Follower) -> AsyncIterator[list[_Line]]:
        """Give new lines, in batches, until the container has ended (and does not wait for a restart)."""
        while True:
            change = container.next_change
            ended = container.ended.is_set() and not container.record.state.restarting
            ended = ended or container.gone
            new = reader.more()
            while (lines := await asyncio.to_thread(next, new, None)) is not None:
                yield lines
            if ended and container.record.state.started_ns:
                return
            await follower.changed(change)


async def _first_words(container: Container) -> None:
    """Let a program end or run for a moment before its log is read.

    Our start answers while a program is still being loaded; dockerd's answers later, and its clients count on it.
    """
    left = _MOMENT - (time.time() - container.record.state.started_ns / 1e9)
    if 0 < left <= _MOMENT:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await container.ended.wait()


class _Reader:
    """Reads lines from the log's files, and goes on where it stopped, over rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part = LogPart(path, 0, None)
        self._rest = b""

    def past(self, query: LogQuery) -> Iterator[list[_Line]]:
        """Give all that is there and passes the query; leaves the newest file open for ``more``. Blocks."""
        parts, files = self._open_all()
        try:
            if query.tail is not None:
                yield _tail(files, query, query.tail)
                return
            for file in files:
                self._rest = b""
                yield from (_wanted(lines, query) for lines in self._batches(file))
        finally:
            if files:
                self._part, self._file = parts[-1], files[-1]
            for file in files[:-1]:
                file.close()

    def _batches(self, file: BinaryIO) -> Iterator[list[_Line]]:
        while data := file.read(_CHUNK):
            whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
            if newline:
                yield _parse_all(whole)

    def more(self) -> Iterator[list[_Line]]:
        """Give the lines written since the last call."""
        while True:
            if self._file is None and not self._next():
                return
            assert self._file is not None
            newest = self._is_newest()
            yield from self._batches(self._file)  # after the look for newer files: by then it grows no more
            if newest or not self._next():
                return

    def _is_newest(self) -> bool:
        try:
            return self._part.packed is None and self._path.stat().st_ino == self._part.number
        except FileNotFoundError:  # it is being rotated right now
            return False

    def _next(self) -> bool:
        """Open the file that came after this one; tell whether there is one."""
        for _ in range(_ROTATED_AGAIN):
            try:
                parts = self._parts()
                # the newest that it can be, for inodes are used again; where it is gone, the oldest that is left
                later = max((at for at, part in enumerate(parts) if self._part.is_now(part)), default=-1) + 1
                opened = parts[later].open() if later < len(parts) else None
            except FileNotFoundError:  # the files were just moved
                continue
            if not self._stands(parts):  # a file was moved between two looks, and may have been missed
                if opened is not None:
                    opened.close()
                continue
            if opened is None:
                return False
            self.close()
            self._part, self._file, self._rest = parts[later], opened, b""
            return True
        return False

    def _open_all(self) -> tuple[list[LogPart], list[BinaryIO]]:
        """Open all files of the log, oldest first, though it may be rotated meanwhile."""
        for _ in range(_ROTATED_AGAIN):
            opened: list[BinaryIO] = []
            try:
                parts = self._parts()
                opened += (part.open() for part in parts)
                if self._stands(parts):
                    return parts, opened
            except FileNotFoundError:
                pass
            for file in opened:
                file.close()
        raise EngineError("the log is rotated faster than it can be read")

    def _parts(self) -> list[LogPart]:
        return [LogPart.of(path) for path in log_files(self._path)]

    def _stands(self, parts: list[LogPart]) -> bool:
        """Tell whether the files are still where they were seen: one after the other, not all at one moment."""
        try:
            return parts == self._parts()
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _tail(files: Sequence[BinaryIO], query: LogQuery, count: int) -> list[_Line]:
    """Give the last lines, reading from the end: a long log costs no more than a short one."""
    found: list[_Line] = []
    newest_end = 0
    for file in reversed(files):
        end = _whole_end(file)
        lines = (line for raw in _backwards(file, end) if (line := _parse(raw)) is not None)
        found += islice((line for line in lines if _wanted([line], query)), count - len(found))
        if file is files[-1]:
            newest_end = end
        if len(found) >= count:
            break
    if files:
        files[-1].seek(newest_end)
    return found[::-1]


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


def _parse_all(raw: bytes) -> list[_Line]:
    try:
        return _decode_lines(raw)
    except (msgspec.DecodeError, UnicodeError):
        return [line for piece in raw.split(b"\n") if (line := _parse(piece)) is not None]


def _wanted(lines: list[_Line], query: LogQuery) -> list[_Line]:
    if not (query.stdout and query.stderr):
        lines = [line for line in lines if (query.stderr if line.stream == "stderr" else query.stdout)]
    if query.since is not None:
        lines = [line for line in lines if _time_ns(line.time) >= query.since]
    if query.until is not None:
        lines = [line for line in lines if _time_ns(line.time) <= query.until]
    return lines


def _render(lines: Sequence[_Line], query: LogQuery, *, tty: bool) -> bytes:
    if query.details or query.timestamps:
        texts = [_prefix(line, query) + line.log.encode() for line in lines]
    else:
        texts = [line.log.encode() for line in lines]
    if tty:
        return b"".join(texts)
    pieces: list[bytes] = []
    for line, text in zip(lines, texts, strict=True):
        pieces += (frame_head(_STREAMS.get(line.stream, STDOUT), len(text)), text)
    return b"".join(pieces)


def _prefix(line: _Line, query: LogQuery) -> bytes:
    text = ""
    if query.details:
        pairs = (f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(line.attrs.items()))
        text = ",".join(pairs) + " "
    return _padded_time(line.time) + b" " + text.encode() if query.timestamps else text.encode()


def _padded_time(text: str) -> bytes:
    """Write the time with all nine digits, so that columns line up (moby ``jsonmessage.RFC3339NanoFixed``)."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text.encode()
    return f"{match[1]}.{(match[2] or '').ljust(9, '0')}{match[3]}".encode()


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
