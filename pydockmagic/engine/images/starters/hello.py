"""The ``hello-world`` starter: one layer, one file, one static program that prints a text and ends.

The program is put together here byte by byte (System V ABI, ELF-64): a header, one segment, nine instructions and the
text. No compiler is needed, and it shows how little a container is: no shell, no library, just a file to run.
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path

from .base import Missing, Starter
from .tree import Tree

__all__ = ["HelloWorld", "program"]

TEXT = """
Hello from Docker!
This text was printed by a program inside a container, so your engine works.

What just happened:
 1. The client (the command or the notebook cell that you ran) sent a request to
    the engine, the Docker daemon, over its API.
 2. The daemon needed the image "hello-world". It was not there yet, so the daemon
    got it: one layer with a single file, the program /hello.
 3. The daemon made a container from the image: a writable layer on top of the
    image's, and a process of its own, shut off from the rest of the machine.
 4. The process wrote this text. The daemon passed it on to the client, which
    shows it to you. Then the process ended, and with it the container.

The container is still there, though it has exited: "docker ps -a" lists it, and
"docker image history hello-world" shows what it was made from. To look around in
a container that stays, try:
 $ docker run -it busybox sh

"""

_WRITTEN = 1_767_225_600  # when this program was made up: the first of January 2026
_BASE = 0x400000
_HEADERS = 64 + 56
_X86_64, _AARCH64 = 62, 183


def program(machine: str, text: bytes) -> bytes:
    """Put together the ELF file for ``x86_64`` or ``aarch64``. Raises ``Missing`` for any other machine."""
    if machine == "x86_64":
        number, code = _X86_64, _x86_64(len(text))
    elif machine == "aarch64":
        number, code = _AARCH64, _aarch64(len(text))
    else:
        raise Missing(f"the hello-world program is known for x86_64 and aarch64, and this machine is {machine}")
    size = _HEADERS + len(code) + len(text)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    # One segment, readable and executable, the whole file.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code + text


def _x86_64(length: int) -> bytes:
    code = b"".join(
        [
            b"\xb8\x01\x00\x00\x00",  # mov eax, 1        write
            b"\xbf\x01\x00\x00\x00",  # mov edi, 1        standard output
            b"\x48\x8d\x35TEXT",  # lea rsi, [rip+text]
            b"\xba" + struct.pack("<I", length),  # mov edx, length
            b"\x0f\x05",  # syscall
            b"\xb8\x3c\x00\x00\x00",  # mov eax, 60       exit
            b"\x31\xff",  # xor edi, edi
            b"\x0f\x05",  # syscall
        ]
    )
    after_lea = code.index(b"TEXT") + 4
    return code.replace(b"TEXT", struct.pack("<i", len(code) - after_lea))


def _aarch64(length: int) -> bytes:
    count = 8
    adr_position = 1
    distance = (count - adr_position) * 4
    return struct.pack(
        "<8I",
        0xD2800020,  # mov x0, #1        standard output
        0x10000001 | (distance & 3) << 29 | (distance >> 2) << 5,  # adr x1, text
        0xD2800002 | length << 5,  # mov x2, #length
        0xD2800808,  # mov x8, #64       write
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93       exit
        0xD4000001,  # svc #0
    )


class HelloWorld:
    """The recipe. It needs nothing of the machine but its kind."""

    name = "hello-world"
    base = ""

    def tags(self) -> tuple[str, ...]:
        """Give the tags of the image that courses know."""
        return ("latest", "linux")

    def fill(self, root: Path) -> Starter:
        """Write the one file."""
        tree = Tree(root)
        tree.file("/hello", program(platform.machine(), TEXT.encode()), 0o755)
        tree.finish()
        return Starter(
            source=f"a program written by the engine itself for {platform.machine()}, nothing was downloaded",
            created=_WRITTEN,
            command=("/hello",),
        )
