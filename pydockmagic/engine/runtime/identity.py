"""Who a process in a container is: user and groups from the container's own files, capabilities, limits.

Runs in the child, inside the container's root, between fork and exec. Lookup rules are those of moby's
``libcontainer/user``. Standard library only.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import linux
from .refusal import Refusal, reason

__all__ = ["Identity", "apply_limits", "become", "capability_mask", "look_up"]

_MAX_ID = 2_147_483_647
_MAX_FILE = 16 << 20


class Identity(NamedTuple):
    """Ids and home of a user, as the container knows them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def look_up(user: str, groups: Sequence[str] = ()) -> Identity:
    """Find a user of the form that ``--user`` takes, and the additional groups of ``--group-add``.

    Raises Refusal with dockerd's sentence.
    """
    wanted, _, wanted_group = user.partition(":")
    found = next((entry for entry in _users() if _is(wanted or "0", entry.name, entry.uid)), None)
    if found is None:
        if wanted and not wanted.isdecimal():
            raise Refusal(f"unable to find user {wanted}: no matching entries in passwd file", bare=True)
        found = _User("", _number(wanted or "0"), 0, "/")
    gid = found.gid
    supplementary: tuple[int, ...] = ()
    if wanted_group:
        gid = _group_id(wanted_group, "unable to find group")
    elif found.name:
        supplementary = tuple(group.gid for group in _groups() if found.name in group.members)
    additional = tuple(_group_id(name, "Unable to find group") for name in groups)
    ordered = dict.fromkeys((gid, *supplementary, *additional))
    return Identity(found.uid, gid, tuple(ordered), found.home or "/")


def _is(wanted: str, name: str, number: int) -> bool:
    return wanted == name or (wanted.isdecimal() and int(wanted) == number)


def _group_id(wanted: str, complaint: str) -> int:
    for group in _groups():
        if _is(wanted, group.name, group.gid):
            return group.gid
    if not wanted.isdecimal():
        raise Refusal(f"{complaint} {wanted}: no matching entries in group file", bare=True)
    return _number(wanted)


def _number(text: str) -> int:
    number = int(text)
    if number > _MAX_ID:
        raise Refusal("uids and gids must be in range 0-2147483647", bare=True)
    return number


def _users() -> Iterator[_User]:
    for fields in _entries("/etc/passwd", 6):
        if fields[2].isdecimal() and fields[3].isdecimal():
            yield _User(fields[0], int(fields[2]), int(fields[3]), fields[5])


def _groups() -> Iterator[_Group]:
    for fields in _entries("/etc/group", 3):
        if fields[2].isdecimal():
            yield _Group(fields[0], int(fields[2]), tuple(fields[3].split(",")) if len(fields) > 3 else ())


def _entries(path: str, least: int) -> Iterator[list[str]]:
    """Read a colon-separated file of the container; not one that is a pipe or endless."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    data = b""
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            data = os.read(descriptor, min(status.st_size, _MAX_FILE))
    finally:
        os.close(descriptor)
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= least and not line.startswith("#"):
            yield fields


def capability_mask(names: Iterable[str]) -> int:
    """Give the bit mask of capability names; unknown ones raise Refusal."""
    mask = 0
    for name in names:
        try:
            mask |= 1 << linux.CAPABILITIES.index(name.removeprefix("CAP_"))
        except ValueError:
            raise Refusal(f'invalid CapAdd: unknown capability: "{name}"', bare=True) from None
    return mask


def become(identity: Identity, capabilities: int, *, mapped: bool, single_uid: bool) -> None:
    """Take on the ids and reduce the capabilities to the mask, bounding set first, as runc does.

    With ``mapped`` ids (rootless) the kernel may deny setgroups; with a single one every other id is out of reach
    and the process stays root of its namespace, which is the person who started the engine.
    """
    linux.drop_bounding(capabilities)
    if not single_uid:
        linux.prctl(linux.PR_SET_KEEPCAPS, 1)
        _set_ids(identity, mapped=mapped)
        linux.prctl(linux.PR_SET_KEEPCAPS, 0)
    try:
        linux.set_capabilities(capabilities)
    except OSError as error:
        raise Refusal(f"unable to apply caps: {reason(error)}") from error


def _set_ids(identity: Identity, *, mapped: bool) -> None:
    try:
        os.setgroups(identity.groups)
    except OSError as error:
        if not mapped:
            raise Refusal(f"setgroups: {reason(error)}") from error
    try:
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        hint = " (this rootless engine has too few subordinate ids)" if mapped else ""
        raise Refusal(f"setresuid {identity.uid}: {reason(error)}{hint}") from error


def apply_limits(limits: Sequence[Mapping[str, Any]], inherited: Mapping[int, tuple[int, int]]) -> None:
    """Set resource limits; what the zygote raised for itself goes back to ``inherited`` first."""
    for number, pair in inherited.items():
        try:
            resource.setrlimit(number, pair)
        except (OSError, ValueError):
            continue
    for limit in limits:
        kind = getattr(resource, f"RLIMIT_{str(limit['name']).upper()}", None)
        if kind is None:
            raise Refusal(f"invalid ulimit type: {limit['name']}", bare=True)
        try:
            resource.setrlimit(kind, (int(limit["soft"]), int(limit["hard"])))
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else "operation not permitted"
            raise Refusal(
                f"error during container init: error setting rlimits for ready process: "
                f"error setting rlimit type {kind}: {why}"
            ) from error
