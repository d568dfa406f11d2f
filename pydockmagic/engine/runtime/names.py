"""A container's name server on a network of its own: names of its neighbours, all else from the host's resolvers.

It runs in the container's supervisor and lives as long as the container, on sockets bound inside the container's
network namespace. The names stand in a file that the engine rewrites when somebody joins or leaves::

    {"names": {"web": ["172.18.0.2"]}, "reverse": {"172.18.0.2": "web.my_net"}, "upstream": ["192.0.2.53"]}

Messages follow RFC 1035 section 4. Standard library only.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .loop import READ, Loop, Timer
from .proxy import _Relay

__all__ = ["NameServer", "Question", "answer", "read_question"]

_HEADER = struct.Struct("!HHHHHH")
_TYPE_A, _TYPE_PTR, _TYPE_AAAA, _CLASS_IN = 1, 12, 28, 1
_RESPONSE, _RECURSION_AVAILABLE, _KEPT_FLAGS = 0x8000, 0x0080, 0x7900  # opcode and "recursion desired" are sent back
_NO_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME = 0, 2, 3
_TTL = 600  # dockerd's
_DATAGRAM = 65_535
_PORT = 53
_PATIENCE = 4.0
_MORE_SECONDS = 0.05
_MAX_PENDING = 512
_REVERSE, _REVERSE6 = ".in-addr.arpa", ".ip6.arpa"
_TYPES = {False: _TYPE_A, True: _TYPE_AAAA}
"""Which kind of record holds an address, by whether it is one of IPv6."""


class Question(NamedTuple):
    """What a request asks: ``name`` in lower case without the last dot, and where the question ends."""

    name: str
    kind: int
    end: int


def read_question(request: bytes) -> Question | None:
    """Read a request with one question of class IN; None for anything else."""
    if len(request) < _HEADER.size:
        return None
    _, flags, questions, _, _, _ = _HEADER.unpack_from(request)
    if flags & _RESPONSE or questions != 1:
        return None
    labels, offset = [], _HEADER.size
    while offset < len(request):
        length = request[offset]
        offset += 1
        if length == 0:
            break
        if length > 63 or offset + length > len(request) or offset > 255 + _HEADER.size:
            return None
        labels.append(request[offset : offset + length].decode("latin-1").lower())
        offset += length
    if offset + 4 > len(request):
        return None
    kind, class_ = struct.unpack_from("!HH", request, offset)
    return Question(".".join(labels), kind, offset + 4) if class_ == _CLASS_IN else None


def answer(request: bytes, table: Mapping[str, Any]) -> bytes | None:
    """Answer a request from the table; None when it is for the host's resolvers."""
    question = read_question(request)
    if question is None:
        return None
    address = _address_of(question.name)
    if address:
        name = table.get("reverse", {}).get(address)
        if name is None:
            return None
        records = [_record(_TYPE_PTR, _encode_name(name))] if question.kind == _TYPE_PTR else []
        return _reply(request, question, _NO_ERROR, records)
    addresses = table.get("names", {}).get(question.name)
    if addresses is not None:
        found = [_packed(address) for address in addresses if _TYPES[":" in address] == question.kind]
        random.shuffle(found)  # whoever shares a name shares the work
        return _reply(request, question, _NO_ERROR, [_record(question.kind, packed) for packed in found])
    if question.name and "." not in question.name and question.kind in (_TYPE_A, _TYPE_AAAA):
        return _reply(request, question, _NO_SUCH_NAME)  # no resolver of the world knows names without a dot
    return None


def _address_of(name: str) -> str:
    """Give the address that a reverse name asks about; empty for any other name."""
    if name.endswith(_REVERSE):
        return ".".join(reversed(name.removesuffix(_REVERSE).split(".")))
    digits = name.removesuffix(_REVERSE6).replace(".", "")[::-1]
    if not name.endswith(_REVERSE6) or len(digits) != 32:
        return ""
    try:
        return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
    except ValueError:
        return ""


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _reply(request: bytes, question: Question, code: int, records: Sequence[bytes] = ()) -> bytes:
    number, flags, _, _, _, _ = _HEADER.unpack_from(request)
    flags = _RESPONSE | flags & _KEPT_FLAGS | _RECURSION_AVAILABLE | code
    header = _HEADER.pack(number, flags, 1, len(records), 0, 0)
    return header + request[_HEADER.size : question.end] + b"".join(records)


def _record(kind: int, data: bytes) -> bytes:
    to_question = b"\xc0\x0c"
    return to_question + struct.pack("!HHIH", kind, _CLASS_IN, _TTL, len(data)) + data


def _encode_name(name: str) -> bytes:
    labels = [label.encode("latin-1", "replace")[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _asking(address: str, request: bytes) -> socket.socket | None:
    """Send a request to a resolver; give the socket that waits for its answer, None when it cannot be reached."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        asking = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError:
        return None
    try:
        asking.connect((address, _PORT))
        asking.send(request)
    except OSError:
        asking.close()
        return None
    return asking


class NameServer:
    """Serves one of the container's two sockets (UDP and TCP)."""

    def __init__(self, loop: Loop, listener: socket.socket, path: str) -> None:
        self._loop = loop
        self._listener = listener
        self._path = path
        self._seen = (0, 0)
        self._table: Mapping[str, Any] = {}
        self._asked: dict[int, tuple[socket.socket, Timer]] = {}
        self._clients: set[socket.socket] = set()
        self._relays: set[_Relay] = set()
        listener.setblocking(False)
        stream = listener.type == socket.SOCK_STREAM
        loop.watch(listener.fileno(), READ, lambda _events: self._accept() if stream else self._receive())

    def move(self, moved: Mapping[str, str]) -> None:
        """Change nothing: the names' addresses stand in the file."""

    def close(self) -> None:
        """Answer no more."""
        if self._listener.fileno() < 0:
            return
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for number in list(self._asked):
            self._forget(number)
        for client in list(self._clients):
            self._hang_up(client)
        for relay in list(self._relays):
            relay.close()

    def _look(self) -> Mapping[str, Any]:
        """Give the table as it stands now."""
        try:
            status = os.stat(self._path)
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                with open(self._path, "rb") as file:
                    self._table = json.loads(file.read())
                self._seen = seen
        except (OSError, ValueError):
            pass  # the container is going, or the engine's disk is full: what was known stays true enough
        return self._table

    # --- datagrams ----------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            request, client = self._listener.recvfrom(_DATAGRAM)
        except OSError:
            return
        table = self._look()
        reply = answer(request, table)
        if reply is not None:
            self._send(reply, client)
        elif len(request) >= _HEADER.size:
            self._ask(request, client, list(table.get("upstream", ())))

    def _send(self, reply: bytes, client: Any) -> None:
        try:
            self._listener.sendto(reply, client)
        except OSError:
            return  # datagrams may be lost

    def _ask(self, request: bytes, client: Any, upstream: list[str]) -> None:
        """Ask the first of the host's resolvers, and when it keeps silent the next."""
        asking = None
        while upstream and asking is None:
            asking = _asking(upstream.pop(0), request)
        if asking is None:
            question = read_question(request)
            if question is not None:
                self._send(_reply(request, question, _SERVER_FAILURE), client)
            return
        if len(self._asked) >= _MAX_PENDING:
            self._forget(next(iter(self._asked)))
        number = asking.fileno()
        timer = self._loop.after(_PATIENCE, lambda: self._ask_next(number, request, client, upstream))
        self._asked[number] = (asking, timer)
        self._loop.watch(number, READ, lambda _events: self._answered(number, request, client, upstream))

    def _ask_next(self, number: int, request: bytes, client: Any, upstream: list[str]) -> None:
        self._forget(number)
        self._ask(request, client, upstream)

    def _answered(self, number: int, request: bytes, client: Any, upstream: list[str]) -> None:
        asking, _ = self._asked[number]
        try:
            reply = asking.recv(_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self._ask_next(number, request, client, upstream)
            return
        self._forget(number)
        if reply[:2] == request[:2]:
            self._send(reply, client)

    def _forget(self, number: int) -> None:
        asking, timer = self._asked.pop(number)
        timer.cancel()
        self._loop.forget(number)
        asking.close()

    # --- streams ------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        self._clients.add(client)
        self._loop.watch(client.fileno(), READ, lambda _events: self._read(client))

    def _read(self, client: socket.socket) -> None:
        """Answer a request that is whole and ours; a client with another one is passed on as it is."""
        try:
            data = client.recv(_DATAGRAM, socket.MSG_PEEK)
            length = 2 + int.from_bytes(data[:2], "big")
            if not data:
                self._hang_up(client)
                return
            if len(data) < 2 or len(data) < length:
                # What is there stays there, so the loop would call at once and for ever.
                self._loop.change(client.fileno(), 0)
                self._loop.after(_MORE_SECONDS, lambda: self._read_on(client))
                return
            table = self._look()
            reply = answer(data[2:length], table)
            if reply is None:
                self._pass_on(client, list(table.get("upstream", ())))
                return
            client.recv(length)
            client.send(len(reply).to_bytes(2, "big") + reply)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(client)

    def _read_on(self, client: socket.socket) -> None:
        if client in self._clients:
            self._loop.change(client.fileno(), READ)

    def _pass_on(self, client: socket.socket, upstream: Sequence[str]) -> None:
        if not upstream:
            self._hang_up(client)
            return
        self._clients.discard(client)
        self._loop.forget(client.fileno())
        try:
            self._relays.add(_Relay(self._loop, client, (upstream[0], _PORT), self._relays.discard))
        except OSError:
            client.close()

    def _hang_up(self, client: socket.socket) -> None:
        self._clients.discard(client)
        self._loop.forget(client.fileno())
        client.close()
