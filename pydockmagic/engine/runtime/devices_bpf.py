"""Which devices a container may open, on cgroup v2: a small BPF program at its cgroup, as runc makes one.

Each rule (``c 1:3 rwm``, of cgroup v1's syntax) becomes a few instructions that either answer "allowed" or go on to
the next rule; behind the last one nothing is allowed. Standard library only (bpf(2), ``linux/bpf.h``).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

__all__ = ["attach", "program", "refusal"]

_NUMBER = {"x86_64": 321, "aarch64": 280, "riscv64": 280}.get(platform.machine(), 280)
_PROG_LOAD, _PROG_ATTACH = 5, 8
_TYPE_CGROUP_DEVICE, _ATTACH_DEVICE, _ALLOW_MULTI = 15, 6, 2
_KINDS = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_EVERY_ACCESS = 7

# code, registers (destination, source), offset, immediate value
_LOAD_WORD, _AND, _SHIFT_RIGHT, _COPY, _SET, _UNLESS, _UNLESS_REGISTER, _EXIT = (
    0x61, 0x54, 0x74, 0xBC, 0xB7, 0x55, 0x5D, 0x95,
)  # fmt: skip
_ANSWER, _CONTEXT, _KIND, _WANTED, _MAJOR, _MINOR = range(6)
"""Registers; the context's is free for arithmetic once all is loaded."""


def _instruction(code: int, destination: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, destination | source << 4, offset, value)


def program(rules: Iterable[str]) -> bytes:
    """Compile the rules that allow devices; raise ``ValueError`` for what is no rule."""
    load = [  # struct bpf_cgroup_dev_ctx: kind and access in one word, major, minor
        _instruction(_LOAD_WORD, _KIND, _CONTEXT, 0),
        _instruction(_AND, _KIND, value=0xFFFF),
        _instruction(_LOAD_WORD, _WANTED, _CONTEXT, 0),
        _instruction(_SHIFT_RIGHT, _WANTED, value=16),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, 8),
    ]
    parts = [part for rule in rules for part in _rule(rule)]
    refuse = [_instruction(_SET, _ANSWER, value=0), _instruction(_EXIT)]
    return b"".join([*load, *parts, *refuse])


def _rule(rule: str) -> list[bytes]:
    kind, numbers, access = rule.split()
    major, minor = numbers.split(":")
    allowed = sum(_ACCESS[letter] for letter in set(access))
    before: list[bytes] = []
    tests: list[tuple[int, int, int, int]] = []
    if kind != "a":
        tests.append((_UNLESS, _KIND, 0, _KINDS[kind]))
    if allowed != _EVERY_ACCESS:
        before = [_instruction(_COPY, _CONTEXT, _WANTED), _instruction(_AND, _CONTEXT, value=allowed)]
        tests.append((_UNLESS_REGISTER, _CONTEXT, _WANTED, 0))
    tests += [
        (_UNLESS, register, 0, int(number)) for register, number in ((_MAJOR, major), (_MINOR, minor)) if number != "*"
    ]
    # every test leaps over what is left of the rule: the tests behind it, the answer, the exit
    left = range(len(tests) + 1, 1, -1)
    leaps = [
        _instruction(code, destination, source, offset, value)
        for (code, destination, source, value), offset in zip(tests, left, strict=True)
    ]
    return [*before, *leaps, _instruction(_SET, _ANSWER, value=1), _instruction(_EXIT)]


def attach(directory: str, rules: Iterable[str]) -> None:
    """Let processes in a cgroup open only these devices. Raises OSError where the kernel does not let us."""
    loaded = _load(program(rules))
    try:
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _bpf(_PROG_ATTACH, struct.pack("=IIII", cgroup, loaded, _ATTACH_DEVICE, _ALLOW_MULTI))
        finally:
            os.close(cgroup)
    finally:
        os.close(loaded)  # the cgroup holds it


def refusal() -> str:
    """Say why the kernel takes no such program from us; empty where it does."""
    try:
        os.close(_load(program(())))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _load(code: bytes) -> int:
    instructions, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"Apache")
    return _bpf(
        _PROG_LOAD,
        struct.pack(
            "=IIQQIIQII", _TYPE_CGROUP_DEVICE, len(code) // 8, ctypes.addressof(instructions),
            ctypes.addressof(licence), 0, 0, 0, 0, 0,
        ),
    )  # fmt: skip


def _bpf(command: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    result = int(libc.syscall(ctypes.c_long(_NUMBER), ctypes.c_int(command), buffer, ctypes.c_uint(len(buffer))))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf: {os.strerror(number).lower()}")
    return result
