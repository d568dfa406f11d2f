"""Messages between engine, zygote and supervisors: JSON and descriptors over SOCK_SEQPACKET sockets.

A message too large for one packet travels in a memfd, more descriptors than the kernel takes at once (253) in
packets ahead of it. Standard library only.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

__all__ = ["PROTOCOL", "Receiver", "close_all", "connect", "listen", "send"]

PROTOCOL = 1
"""Raised when messages change: an engine of another version starts a zygote of its own."""

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
            socket.send_fds(connection, [b'{"more":true}'], passed[:_MAX_DESCRIPTORS], flags)
            del passed[:_MAX_DESCRIPTORS]
        socket.send_fds(connection, [data], passed, flags)
    finally:
        if carrier >= 0:
            os.close(carrier)


class Receiver:
    """Receives messages from one socket; holds the descriptors of a message that is not complete yet."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._descriptors: list[int] = []

    def receive(self) -> tuple[Any, list[int]] | None:
        """Give the next message and its descriptors, or None at the end. Raises BlockingIOError as ``recvmsg``."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(
                self._connection, _MAX_INLINE + 1024, _MAX_DESCRIPTORS + 10, socket.MSG_CMSG_CLOEXEC
            )
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
