"""Messages between engine, zygote and supervisors: JSON and descriptors over SOCK_SEQPACKET sockets.

A message too large for one packet travels in a memfd, more descriptors than the kernel takes at once (253) in
packets ahead of it. Standard library only.
"""

from __future__ import annotations

import json
import os
import socket
import zlib
from array import array
from collections.abc import Sequence
from typing import Any

__all__ = ["PROTOCOL", "Receiver", "close_all", "connect", "listen", "send", "zygote_name"]

PROTOCOL = 1
"""Raised when messages between an engine and supervisors change."""

_MAX_INLINE = 96_000
_MAX_DESCRIPTORS = 240


def send(connection: socket.socket, message: Any, descriptors: Sequence[int] = (), flags: int = 0) -> None:
    """Send one message. Raises OSError as ``sendmsg`` does (BlockingIOError with MSG_DONTWAIT)."""
    data = json.dumps(message, separators=(",", ":")).encode()
    passed = list(descriptors)
    carrier = -1
    try:
        if len(data) > _MAX_INLINE:
            carrier = os.memfd_create("message", os.MFD_CLOEXEC)
            with os.fdopen(os.dup(carrier), "wb") as file:
                file.write(data)
            data = b'{"carried":true}'
            passed.append(carrier)
        while len(passed) > _MAX_DESCRIPTORS:
            _send_packet(connection, b'{"more":true}', passed[:_MAX_DESCRIPTORS], flags)
            del passed[:_MAX_DESCRIPTORS]
        _send_packet(connection, data, passed, flags)
    finally:
        if carrier >= 0:
            os.close(carrier)


# socket.send_fds and recv_fds drop their flags (before Python 3.14), and without CLOEXEC descriptors would leak.


def _send_packet(connection: socket.socket, data: bytes, descriptors: Sequence[int], flags: int) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
    connection.sendmsg([data], ancillary, flags)


def _receive_packet(connection: socket.socket) -> tuple[bytes, list[int]]:
    room = socket.CMSG_SPACE((_MAX_DESCRIPTORS + 10) * array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(_MAX_INLINE + 1024, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def zygote_name() -> str:
    """Name the zygote of this very code: an engine of another version starts one of its own beside it."""
    folder = os.path.dirname(os.path.abspath(__file__))
    mark = 0
    for entry in sorted(os.listdir(folder)):
        if entry.endswith(".py"):
            status = os.stat(f"{folder}/{entry}")
            mark = zlib.crc32(f"{entry} {status.st_size} {status.st_mtime_ns}".encode(), mark)
    return f"zygote-{PROTOCOL}-{mark:08x}"


class Receiver:
    """Receives messages from one socket; holds the descriptors of a message that is not complete yet."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._descriptors: list[int] = []

    def receive(self) -> tuple[Any, list[int]] | None:
        """Give the next message and its descriptors, or None at the end. Raises BlockingIOError as ``recvmsg``."""
        while True:
            data, descriptors = _receive_packet(self._connection)
            self._descriptors += descriptors
            if not data:
                close_all(self._descriptors)
                self._descriptors = []
                return None
            message = json.loads(data)
            if isinstance(message, dict) and message.get("more"):
                continue
            passed, self._descriptors = self._descriptors, []
            if isinstance(message, dict) and message.get("carried"):
                with os.fdopen(passed.pop(), "rb") as file:
                    file.seek(0)
                    message = json.loads(file.read())
            return message, passed


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors, also bad ones."""
    for descriptor in descriptors:
        try:
            os.close(descriptor)
        except OSError:
            continue


def connect(directory: str, name: str) -> socket.socket:
    """Connect to a socket in ``directory``, however long its path is (a socket address holds 107 bytes)."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = -1
    try:
        folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection.connect(f"/proc/self/fd/{folder}/{name}")
    except BaseException:
        connection.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    return connection


def listen(directory: str, name: str) -> socket.socket:
    """Listen on a private (0600) socket in ``directory``, taking the place of an old one."""
    path = f"{directory}/{name}"
    if os.path.lexists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    old_mask = os.umask(0o177)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{name}")
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(old_mask)
        os.close(folder)
    return listener
