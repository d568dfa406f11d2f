"""Writes a container's log as Docker's json-file driver does: one JSON object a line, long lines in parts, rotation.

Format and splitting follow moby ``daemon/logger`` (``copier.go``, ``jsonfilelog``, ``loggerutils/logfile.go``).
Standard library only; runs in the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

__all__ = ["LINE_LIMIT", "LogWriter", "encode", "timestamp"]

LINE_LIMIT = 16 * 1024
"""Longer lines are written in parts of this many bytes, without a newline but for the last."""

_NOT_PLAIN = re.compile('[\\x00-\\x1f"\\\\<>&\\u2028\\u2029\\udc80-\\udcff]')
_GO = str.maketrans(
    {
        **{chr(code): f"\\u{code:04x}" for code in range(32)},
        "\n": "\\n",
        "\r": "\\r",
        '"': '\\"',
        "\\": "\\\\",
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
        **{chr(code): "\\ufffd" for code in range(0xDC80, 0xDD00)},  # a byte that is not UTF-8
    }
)


def encode(text: bytes) -> str:
    """Encode one log line as dockerd does: UTF-8 is kept; bad bytes, controls and html characters are escaped."""
    decoded = text.decode("utf-8", "surrogateescape")
    return decoded.translate(_GO) if _NOT_PLAIN.search(decoded) else decoded


def timestamp(nanoseconds: int) -> str:
    """Give RFC 3339 in UTC with as many digits as needed (Go's RFC3339Nano)."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + digits + "Z"


class _Pending:
    """What a stream wrote after its last newline."""

    def __init__(self) -> None:
        self.data = b""
        self.partial_since = ""  # the timestamp of a long line's first part; its other parts carry the same


class LogWriter:
    """Takes output chunks and writes whole lines. A full disk loses lines, never the container."""

    def __init__(self, target: Mapping[str, Any]) -> None:
        self._path = str(target["path"]) if target["driver"] != "none" else ""
        self._limit = int(target["max_size"])
        self._files = max(1, int(target["max_file"]))
        attributes = {str(key): str(value) for key, value in target["labels"]}
        self._attributes = self._encode_attributes(attributes)
        self._pending = {"stdout": _Pending(), "stderr": _Pending()}
        self._descriptor = -1
        self._size = 0
        if self._path:
            self._open()

    def write(self, stream: str, chunk: bytes) -> None:
        """Take what was read from ``stdout`` or ``stderr`` just now."""
        if self._descriptor < 0:
            return
        pending = self._pending[stream]
        now = timestamp(time.time_ns())
        data = pending.data + chunk
        entries: list[str] = []
        start = 0
        while True:
            end = data.find(b"\n", start)
            if end < 0 and len(data) - start < LINE_LIMIT:
                break
            if end < 0 or end - start >= LINE_LIMIT:
                pending.partial_since = pending.partial_since or now
                entries.append(self._entry(data[start : start + LINE_LIMIT], stream, pending.partial_since, ""))
                start += LINE_LIMIT
                continue
            entries.append(self._entry(data[start:end], stream, pending.partial_since or now, "\\n"))
            pending.partial_since = ""
            start = end + 1
        pending.data = data[start:]
        self._append(entries)

    def close(self) -> None:
        """Write what has no newline yet, as the stream ended there, and close the file."""
        now = timestamp(time.time_ns())
        for stream, pending in self._pending.items():
            if pending.data and self._descriptor >= 0:
                self._append([self._entry(pending.data, stream, pending.partial_since or now, "")])
                pending.data = b""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _entry(self, line: bytes, stream: str, when: str, newline: str) -> str:
        return f'{{"log":"{encode(line)}{newline}","stream":"{stream}"{self._attributes},"time":"{when}"}}\n'

    @staticmethod
    def _encode_attributes(attributes: Mapping[str, str]) -> str:
        if not attributes:
            return ""
        pairs = (f"{encode_basestring(key)}:{encode_basestring(attributes[key])}" for key in sorted(attributes))
        return f',"attrs":{{{",".join(pairs)}}}'

    def _append(self, entries: list[str]) -> None:
        if not self._limit:
            self._put("".join(entries))
            return
        for entry in entries:
            if self._size >= self._limit:
                self._rotate()
            self._put(entry)

    def _put(self, text: str) -> None:
        data = text.encode()
        with contextlib.suppress(OSError):
            while data:
                written = os.write(self._descriptor, data)
                self._size += written
                data = data[written:]

    def _open(self, extra: int = 0) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | extra
        self._descriptor = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        if self._files == 1:
            self._open(os.O_TRUNC)
            return
        for number in range(self._files - 1, 0, -1):
            older = f"{self._path}.{number - 1}" if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                os.rename(older, f"{self._path}.{number}")
        self._open()
