"""Seccomp: from a profile in Docker's JSON form to the BPF program that the kernel runs at every system call.

The program first looks at the architecture, then finds the call's number by halving (ranges with one answer share a
leaf), then, where the profile asks, compares arguments. Standard library only. Source: seccomp(2), bpf in
``linux/filter.h``.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from . import linux, syscalls
from .seccomp_default import PROFILE

__all__ = ["SeccompError", "fake_root", "program"]

ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
}
_EPERM, _ENOSYS = 1, 38
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
_COMPATIBLE = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}

# BPF instructions: class, size and mode, or class, operation and source
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_IF_EQUAL, _IF_GREATER, _IF_GREATER_EQUAL = 0x15, 0x25, 0x35
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_FAR = 255


class SeccompError(ValueError):
    """The profile cannot be understood; the text is Docker's."""


class Condition(NamedTuple):
    """A comparison of one argument of a call."""

    argument: int
    operator: str
    value: int
    second: int = 0


class Rule(NamedTuple):
    """An answer, given when every condition holds."""

    action: int
    conditions: tuple[Condition, ...] = ()


Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand
Leaf = tuple[Rule, ...]


def program(profile: str, capabilities: Collection[str], *, single_uid: bool = False) -> bytes:
    """Give the BPF program for ``default``, ``unconfined`` or a JSON profile; empty where nothing is filtered.

    ``single_uid`` adds ``fake_root``. Raises SeccompError.
    """
    key = (profile, frozenset(capabilities), single_uid)
    if key not in _cache:
        _cache[key] = _build(profile, capabilities, single_uid=single_uid)
    return _cache[key]


_cache: dict[tuple[str, frozenset[str], bool], bytes] = {}


def fake_root() -> dict[str, list[Rule]]:
    """Give the rules for a user namespace with one id: what would change owners or ids answers 0 and does nothing.

    So package managers work. Nothing is lost: the process has that one id's rights whatever it asks for.
    """
    answer = Rule(ERRNO)
    rules: dict[str, list[Rule]] = {name: [answer] for name in _FAKED.split()}
    for name, index in (("mknod", 1), ("mknodat", 2)):
        rules[name] = [
            Rule(ERRNO, (Condition(index, "MASKED_EQ", 0o170000, kind),)) for kind in (0o020000, 0o060000)
        ]  # device nodes; named pipes and sockets are made
    return rules


_FAKED = """
chown chown32 fchown fchown32 lchown lchown32 fchownat setuid setuid32 setgid setgid32 setreuid setreuid32 setregid
setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32
capset setxattr lsetxattr fsetxattr
"""


def _build(profile: str, capabilities: Collection[str], *, single_uid: bool) -> bytes:
    machine = _MACHINES.get(linux.MACHINE)
    if machine is None:
        if profile == "default":
            return b""  # no table for this architecture; `doctor` says so
        raise SeccompError(f"seccomp profiles are not supported on {linux.MACHINE}")
    if profile == "unconfined":
        default, rules = ALLOW, dict[str, list[Rule]]()
    else:
        default, rules = _rules(_parse(profile), capabilities, machine)
    if single_uid:
        for name, faked in fake_root().items():
            rules[name] = faked + rules.get(name, [])
    if not rules and default == ALLOW:
        return b""
    return _assemble(default, rules, _COMPATIBLE[machine])


def _parse(profile: str) -> Mapping[str, Any]:
    if profile == "default":
        return PROFILE
    try:
        parsed = json.loads(profile)
    except ValueError as error:
        raise SeccompError(f"Decoding seccomp profile failed: {error}") from error
    if not isinstance(parsed, dict):
        raise SeccompError("Decoding seccomp profile failed: not an object")
    return parsed


def _rules(
    profile: Mapping[str, Any], capabilities: Collection[str], machine: str
) -> tuple[int, dict[str, list[Rule]]]:
    """Choose the profile's rules for these capabilities, this machine and kernel: call -> its rules, in order."""
    default = _action(profile.get("defaultAction", ""), profile.get("defaultErrnoRet"))
    rules: dict[str, list[Rule]] = {}
    for entry in profile.get("syscalls") or ():
        if not _applies(entry, capabilities, machine):
            continue
        action = _action(entry.get("action", ""), entry.get("errnoRet"))
        for name in entry.get("names") or [entry.get("name", "")]:
            rules.setdefault(name, []).extend(Rule(action, group) for group in _conditions(entry.get("args") or ()))
    return default, rules


def _action(name: str, number: int | None) -> int:
    action = _ACTIONS.get(name)
    if action is None:
        raise SeccompError(f"invalid seccomp action: {name}")
    if action == ERRNO:
        return action | ((_EPERM if number is None else int(number)) & 0xFFFF)
    return action


def _applies(entry: Mapping[str, Any], capabilities: Collection[str], machine: str) -> bool:
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    name = _GO_NAMES[machine]
    if includes.get("arches") and name not in includes["arches"]:
        return False
    if any(capability not in capabilities for capability in includes.get("caps") or ()):
        return False
    if _kernel() < _version(includes.get("minKernel") or "0"):
        return False
    if name in (excludes.get("arches") or ()):
        return False
    if excludes.get("minKernel") and _kernel() >= _version(excludes["minKernel"]):
        return False
    return not any(capability in capabilities for capability in excludes.get("caps") or ())


def _kernel() -> tuple[int, ...]:
    return _version(os.uname().release)


def _version(text: str) -> tuple[int, ...]:
    found = []
    for part in text.split(".")[:2]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))] if part[:1].isdigit() else "0"
        found.append(int(digits))
    return tuple(found)


def _conditions(arguments: Sequence[Mapping[str, Any]]) -> list[tuple[Condition, ...]]:
    """Give the conditions of one entry: all must hold, but several on one argument are alternatives (as runc)."""
    found = []
    for argument in arguments:
        operator = str(argument.get("op", "")).removeprefix("SCMP_CMP_")
        if operator not in _COMPARISONS:
            raise SeccompError(f"invalid seccomp operator: {argument.get('op')}")
        found.append(
            Condition(int(argument["index"]), operator, int(argument.get("value", 0)), int(argument.get("valueTwo", 0)))
        )
    if len({condition.argument for condition in found}) < len(found):
        return [(condition,) for condition in found]
    return [tuple(found)]


def _assemble(default: int, rules: Mapping[str, list[Rule]], architectures: Iterable[str]) -> bytes:
    code: list[Instruction] = [(_LOAD, 0, 0, _ARCH_AT)]
    for architecture in architectures:
        block = [(_LOAD, 0, 0, _NUMBER_AT), *_search(_intervals(default, rules, architecture), default)]
        code += [(_IF_EQUAL, 1, 0, syscalls.AUDIT_ARCH[architecture]), (_JUMP, 0, 0, len(block)), *block]
    code.append((_RETURN, 0, 0, KILL_PROCESS))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _intervals(default: int, rules: Mapping[str, list[Rule]], architecture: str) -> list[tuple[int, Leaf]]:
    """Give (first number, what to answer from there on), ascending from 0."""
    otherwise = Rule(default)
    leaves: dict[int, Leaf] = {}
    for name, number in syscalls.numbers(architecture).items():
        if name in rules:
            conditional = [rule for rule in rules[name] if rule.conditions]
            plain = [rule for rule in rules[name] if not rule.conditions]
            leaves[number] = (plain[0],) if plain[:1] == rules[name][:1] else (*conditional, (plain or [otherwise])[0])
    newest = max(leaves, default=-1)
    beyond = Rule(ERRNO | _ENOSYS) if default == ERRNO | _EPERM else otherwise
    found: list[tuple[int, Leaf]] = []
    for number in range(newest + 2):
        leaf = leaves.get(number, (otherwise,)) if number <= newest else (beyond,)
        if not found or found[-1][1] != leaf:
            found.append((number, leaf))
    return found


def _search(intervals: Sequence[tuple[int, Leaf]], default: int) -> list[Instruction]:
    if len(intervals) == 1:
        return _leaf(intervals[0][1])
    middle = len(intervals) // 2
    left, right = _search(intervals[:middle], default), _search(intervals[middle:], default)
    pivot = intervals[middle][0]
    if len(left) <= _FAR:
        return [(_IF_GREATER_EQUAL, len(left), 0, pivot), *left, *right]
    return [(_IF_GREATER_EQUAL, 0, 1, pivot), (_JUMP, 0, 0, len(left)), *left, *right]


def _leaf(rules: Leaf) -> list[Instruction]:
    code: list[Instruction] = []
    for rule in rules:
        body: list[Instruction] = [(_RETURN, 0, 0, rule.action)]
        for condition in reversed(rule.conditions):
            body = [*_compare(condition, len(body)), *body]
        code += body
    return code


_COMPARISONS = ("EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ")


def _compare(condition: Condition, after: int) -> list[Instruction]:
    """Compare a 64-bit argument: fall through where it holds, else jump over ``after`` instructions that follow."""
    argument, operator, value, second = condition
    at = _ARGUMENTS_AT + 8 * argument
    load_high, load_low = (_LOAD, 0, 0, at + 4), (_LOAD, 0, 0, at)
    high, low = value >> 32 & 0xFFFFFFFF, value & 0xFFFFFFFF
    if operator == "MASKED_EQ":
        return [
            load_high,
            (_AND, 0, 0, high),
            (_IF_EQUAL, 0, after + 3, second >> 32 & 0xFFFFFFFF),
            load_low,
            (_AND, 0, 0, low),
            (_IF_EQUAL, 0, after, second & 0xFFFFFFFF),
        ]
    if operator == "EQ":
        return [load_high, (_IF_EQUAL, 0, after + 2, high), load_low, (_IF_EQUAL, 0, after, low)]
    if operator == "NE":
        return [load_high, (_IF_EQUAL, 0, 2, high), load_low, (_IF_EQUAL, after, 0, low)]
    jump = _IF_GREATER if operator in ("GT", "LE") else _IF_GREATER_EQUAL
    if operator in ("GT", "GE"):
        return [
            load_high,
            (_IF_GREATER, 3, 0, high),
            (_IF_EQUAL, 0, after + 2, high),
            load_low,
            (jump, 0, after, low),
        ]
    return [load_high, (_IF_GREATER, after + 3, 0, high), (_IF_EQUAL, 0, 2, high), load_low, (jump, after, 0, low)]
