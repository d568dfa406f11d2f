"""The view into a container: it is nothing but processes of this machine that see less of it. ``%inside``."""

from __future__ import annotations

from collections.abc import Sequence

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.inside_records import Cgroup, IdRange, Inside, MountSeen, ProcessSeen
from pydockmagic.notebook.widgets.inside_words import CAPABILITIES, NAMESPACES, STANDARD
from pydockmagic.notebook.widgets.sheet import Bar, Cell, Code, Section, Sheet, Soft, plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["inside_sheet"]

_UNMAPPED = 4_294_967_295
_KERNEL_FILES = {"proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"}
_WRITTEN = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
_MASKED = ("/proc/", "/sys/")


def inside_sheet(seen: Inside, engine: str = "") -> Sheet:
    """Make the display."""
    sections: list[Section] = []
    if seen.pid:
        sections = [
            _processes(seen),
            _namespaces(seen),
            _limits(seen.cgroup),
            _users(seen),
            _mounts(seen.mounts),
            _capabilities(seen),
        ]
    return Sheet(
        token=token_of("inside", seen.id),
        subject=f"Inside {seen.name.lstrip('/')}",
        sentence=_sentence(seen),
        sections=[section for section in sections if section.rows or section.notes],
        engine=engine,
        notes=seen.unknown,
    )


def _sentence(seen: Inside) -> str:
    name = seen.name.lstrip("/")
    if not seen.pid:
        return f"{name} is {seen.state or 'not running'}: no process runs, so there are no namespaces and no cgroup."
    count = sum(process.within for process in seen.processes)
    own = [kind for kind in NAMESPACES if _same(seen, kind) is False]
    host = [kind for kind in NAMESPACES if _same(seen, kind) is True]
    text = f"{plural(count, 'process', 'processes')} of this machine"
    if own:
        text += f" with namespaces of their own ({', '.join(own)})"
    if host:
        text += f"; they share the host's {', '.join(host)}"
    return text + "."


def _same(seen: Inside, kind: str) -> bool | None:
    mine, theirs = seen.namespaces.get(kind), seen.host.namespaces.get(kind)
    return mine == theirs if mine and theirs else seen.shared.get(kind)


def _processes(seen: Inside) -> Section:
    rows: list[list[Cell]] = []
    for process, depth in _tree(seen.processes):
        branch = ("   " * (depth - 1) + "└─ ") if depth else ""
        shown = process.command or process.name
        if process.within:
            inner: Cell = Code(str(process.inner_pid)) if process.inner_pid else Soft("not known")
            who = "" if process.uid is None else f"uid {process.uid}"
            rows.append([Code(str(process.pid)), inner, Code(branch + shown), Soft(who), Soft(process.state)])
        else:
            rows.append([Code(str(process.pid)), Soft("not visible"), Code(branch + shown), "", Soft("on the host")])
    count = sum(process.within for process in seen.processes)
    first = next((process for process in seen.processes if process.inner_pid == 1), None)
    told = []
    if first is not None and first.pid != 1:
        told = [
            f"One process, two numbers: {first.pid} on the host is 1 in the container, which sees nothing above it."
        ]
    elif _same(seen, "pid"):
        told = ["The container shares the host's process numbers: it sees every process of the machine."]
    return Section(
        "Processes",
        ("pid on the host", "pid in the container", "program", "user on the host", "state"),
        rows,
        summary=f"{count} in the container",
        opened=True,
        notes=told,
        right=(0, 1),
    )


def _tree(processes: Sequence[ProcessSeen]) -> list[tuple[ProcessSeen, int]]:
    """Order processes as a tree, each with its depth; whose parent is not among them stands at the top."""
    known = {process.pid for process in processes}
    below: dict[int, list[ProcessSeen]] = {}
    for process in sorted(processes, key=lambda each: (each.inner_pid, each.pid)):
        below.setdefault(process.parent if process.parent in known else 0, []).append(process)
    found: list[tuple[ProcessSeen, int]] = []

    def walk(parent: int, depth: int) -> None:
        for process in below.get(parent, ()):
            found.append((process, depth))
            walk(process.pid, depth + 1)

    walk(0, 0)
    return found


def _namespaces(seen: Inside) -> Section:
    words = {True: "same as the host", False: "different", None: "not known"}
    rows: list[list[Cell]] = []
    for kind, meaning in NAMESPACES.items():
        mine, theirs = seen.namespaces.get(kind), seen.host.namespaces.get(kind)
        same = _same(seen, kind)
        if mine is None and theirs is None and same is None:
            continue
        sign = {True: "=", False: "≠", None: "?"}[same]
        rows.append([Code(kind), _number(mine), f"{sign} {words[same]}", _number(theirs), Soft(meaning)])
    own = sum(_same(seen, kind) is False for kind in NAMESPACES)
    return Section(
        "Namespaces",
        ("kind", "the container's", "", "the host's", "what it separates"),
        rows,
        summary=f"{own} of its own",
        opened=True,
    )


def _number(number: int | None) -> Cell:
    return Code(str(number)) if number else Soft("not known")


def _limits(cgroup: Cgroup) -> Section:
    rows: list[list[Cell]] = []
    if cgroup.memory_usage is not None:
        whole = cgroup.memory_limit or cgroup.machine_memory or 0
        said = f"of {markup.size(whole)}" if cgroup.memory_limit else "no limit; the machine has " + markup.size(whole)
        share = cgroup.memory_usage / whole if whole else 0
        rows.append(["memory", Bar(f"{markup.size(cgroup.memory_usage)} used", share), Soft(said)])
    if cgroup.pids is not None:
        limit = cgroup.pids_limit
        said = f"of {limit:,}" if limit else "no limit"
        used: Cell = Bar(str(cgroup.pids), cgroup.pids / limit) if limit else str(cgroup.pids)
        rows.append(["processes", used, Soft(said)])
    if cgroup.cpu_nanoseconds is not None:
        cpus = plural(cgroup.cpus, "CPU") if cgroup.cpus else "CPUs"
        said = f"at most {cgroup.cpu_limit:g} of {cpus}" if cgroup.cpu_limit else f"no limit; the machine has {cpus}"
        if cgroup.throttled:
            said += f"; held back {cgroup.throttled:,} times"
        rows.append(["CPU", f"{cgroup.cpu_nanoseconds / 1e9:.2f} s of computing so far", Soft(said)])
    version = f"cgroup version {cgroup.version}" if cgroup.version else ""
    notes = [f"cgroup: {cgroup.path}"] if cgroup.path else []
    if not rows:
        notes.append("Nothing is limited or counted: this engine may not use cgroups here.")
    return Section("Limits and use", ("", "used", "limit"), rows, summary=version, opened=True, notes=notes)


def _users(seen: Inside) -> Section:
    rows: list[list[Cell]] = []
    for what, ranges in (("users", seen.uid_map), ("groups", seen.gid_map)):
        for part in ranges:
            last = part.count - 1
            rows.append([what, Code(_span(part.inside, last)), Code(_span(part.outside, last)), Soft(_mapping(part))])
    if not seen.uid_map:
        return Section("User ids")
    identical = _identical(seen.uid_map)
    root = next((part for part in seen.uid_map if part.inside <= 0 < part.inside + part.count), None)
    if identical:
        told = "Root in the container is root on the host: what holds it are capabilities, namespaces and seccomp."
    elif root is not None:
        told = (
            f"Root in the container is user {root.outside - root.inside} on the host, where it has no special rights."
        )
    else:
        told = "There is no root in the container."
    summary = "the host's own" if identical else "its own"
    return Section("User ids", ("", "in the container", "on the host", ""), rows, summary=summary, notes=[told])


def _identical(ranges: Sequence[IdRange]) -> bool:
    return all(part.inside == part.outside for part in ranges)


def _span(first: int, more: int) -> str:
    return str(first) if more <= 0 else f"{first} to {first + more}"


def _mapping(part: IdRange) -> str:
    if part.count >= _UNMAPPED:
        return "all ids, unchanged"
    return "one id" if part.count == 1 else f"{part.count:,} ids"


def _mounts(mounts: Sequence[MountSeen]) -> Section:
    order = {"root": 0, "files": 1, "kernel": 2, "hidden": 3}
    rows: list[list[Cell]] = []
    for mount in sorted(mounts, key=lambda each: (order[_kind(each)], each.target)):
        access = "read-only" if "ro" in mount.options else "read-write"
        rows.append([Code(mount.target), mount.type, access, Code(_source(mount)), Soft(_purpose(mount))])
    own = sum(_kind(mount) == "files" for mount in mounts)
    return Section(
        "Mounts",
        ("where", "kind", "", "from", ""),
        rows,
        summary=f"{len(mounts)}, of which {own} with files" if mounts else "",
    )


def _kind(mount: MountSeen) -> str:
    if mount.target == "/":
        return "root"
    if mount.target.startswith("/sys/fs/cgroup") or (
        mount.type in _KERNEL_FILES and not mount.target.startswith(_MASKED)
    ):
        return "kernel"
    if mount.target.startswith(_MASKED):
        return "hidden"
    return "kernel" if mount.target.startswith("/dev") else "files"


def _purpose(mount: MountSeen) -> str:
    kind = _kind(mount)
    if kind == "hidden" and (mount.type == "tmpfs" or mount.root == "/null"):
        return "hidden: it looks empty from in there"
    told = {
        "root": "the image's layers, and a writable one on top",
        "kernel": "made by the kernel, no files on a disk",
        "hidden": "the container may look, but not change the machine here",
    }
    return told.get(kind, "")


def _source(mount: MountSeen) -> str:
    if mount.type == "overlay":
        lower = next((each for each in mount.super_options if each.startswith("lowerdir=")), "")
        count = lower.count(":") + 1 if lower else 0
        return f"overlay of {plural(count, 'layer')}" if count else "overlay"
    if mount.type in _KERNEL_FILES | {"tmpfs"}:
        return "memory" if mount.type == "tmpfs" else "the kernel"
    if mount.target in _WRITTEN:
        return "written by the engine"
    return mount.root if mount.root not in ("", "/") else mount.source


def _capabilities(seen: Inside) -> Section:
    has, every = set(seen.capabilities.effective), seen.capabilities.all
    if not every:
        return Section("Capabilities")
    rows: list[list[Cell]] = []
    for name in sorted(every, key=lambda each: (each not in has, each)):
        short = name.removeprefix("CAP_")
        standard = short in STANDARD
        note = (
            "" if (name in has) == standard else ("more than docker gives by itself" if name in has else "taken away")
        )
        rows.append([Code(short), "has" if name in has else "has not", Soft(CAPABILITIES.get(short, "")), note])
    notes = []
    if seen.no_new_privileges is not None:
        gains = "cannot" if seen.no_new_privileges else "can"
        notes.append(f"A program {gains} gain more rights by set-user-id files (no_new_privs).")
    filters = {
        "filter": "A seccomp filter refuses system calls that containers have no use for.",
        "disabled": "No seccomp filter: every system call of the kernel is allowed.",
    }
    notes += [filters[seen.seccomp]] if seen.seccomp in filters else []
    head = ("capability", "the container", "what it allows", "")
    return Section("Capabilities", head, rows, summary=f"{len(has)} of {len(every)} rights of root", notes=notes)
