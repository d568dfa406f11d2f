"""A census of what an engine holds of the machine, taken before and after, so that what is left has a name.

Looked at from outside, by kind: processes, namespaces, mounts (the engine's, the zygote's and the host's), cgroups,
network links and packet rules, listening ports, descriptors, threads, asyncio tasks, files below the engine's folders,
records in its state. Needs root, to look into the processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.api import Api

__all__ = ["Estate", "Memory", "census", "children", "memory", "naming", "parent", "settled", "steady", "told", "until"]

Census = dict[str, Counter[str]]

_NUMBER = re.compile(r"\d+")
_COUNTED = re.compile(r"counter packets \d+ bytes \d+")
_PASSING = re.compile(r"state\.db-(wal|shm)$")


_POOL = min(32, (os.cpu_count() or 1) + 4) + 4
"""The most threads that the engine may come to: its loop, those of state, networks and trash, and asyncio's pool."""


_STEADY = 3
"""How often in a row a census must be the same: on a busy machine a pool may wait longer than one look for its turn."""


@dataclass
class Estate:
    """What belongs to one engine: its process, its folders, and the ids of the containers that it was told to make.

    ``private_net`` says that the engine's network namespace is nobody else's, so that all in there is its own.
    """

    pid: int
    api: Api
    folders: tuple[Path, ...]
    private_net: bool = False
    ids: set[str] = field(default_factory=set)

    @property
    def data_root(self) -> Path:
        return Path(self.api.get("/info")["DockerRootDir"])

    @property
    def servants(self) -> dict[str, int]:
        """The engine's lasting processes: itself, its zygote, and rootless its relay."""
        found = {"engine": self.pid}
        for pid in _pids():
            name = _comm(pid)
            if name in ("pydock-zygote", "pydock-relay") and self._names_us(_read(pid, "cmdline")):
                found[name.removeprefix("pydock-")] = pid
        return found

    def _names_us(self, text: str) -> bool:
        return any(f"{folder}/" in text or text.rstrip("\0").endswith(str(folder)) for folder in self.folders)


@dataclass(frozen=True)
class Memory:
    """Bytes of a process: ``pss`` shares common pages out, ``private`` is its own alone (touched or not)."""

    rss: int
    pss: int
    private: int


def memory(*pids: int) -> Memory:
    """Add up what processes take."""
    totals: Counter[str] = Counter()
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            totals[name] += int(rest.split()[0]) * 1024
    return Memory(totals["Rss"], totals["Pss"], totals["Private_Clean"] + totals["Private_Dirty"])


def census(estate: Estate) -> Census:
    """Count everything now."""
    servants = estate.servants
    subjects = _subjects(estate, servants)
    found: Census = {
        "process": Counter(_line(pid) for pid in subjects),
        "namespace": Counter(_namespaces([*servants.values(), *subjects])),
        "mount": Counter(_mounts(estate, servants)),
        "cgroup": Counter(_cgroups(estate.ids)),
        "file": Counter(_files(estate.folders)),
        "record": Counter(_records(estate)),
        "task": Counter({"asyncio": estate.api.get("/info")["NGoroutines"]}),
    }
    for name, pid in servants.items():
        found[f"descriptor of the {name}"] = Counter(_descriptors(pid))
        pool = _POOL if name == "engine" else 1
        found[f"thread of the {name}"] = Counter({"beyond its pool": max(0, len(_listed(f"/proc/{pid}/task")) - pool)})
    net = estate.pid if estate.private_net else servants.get("zygote") if "relay" in servants else None
    if net is not None:
        found["link"] = Counter(_links(net))
        found["packet rule"] = Counter(_rules(net))
        found["listening port"] = Counter(_listening(net))
    return found


def steady(estate: Estate, seconds: float = 15) -> Census:
    """Take a census when nothing changes any more: pools are full again, what ends in the background has ended."""
    deadline = time.monotonic() + seconds
    last, same = census(estate), 0
    while same < _STEADY and time.monotonic() < deadline:
        time.sleep(0.3)
        now = census(estate)
        same = same + 1 if now == last else 0
        last = now
    return last


def settled(estate: Estate, before: Census, seconds: float = 15) -> dict[str, Counter[str]]:
    """Give what there is more than before, by kind, once it has stopped shrinking to nothing (or after ``seconds``).

    What ends in the background (trash, a dying network namespace) is given the time; nothing else is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        after = census(estate)
        left = {kind: more for kind, counts in after.items() if +(more := counts - before.get(kind, Counter()))}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def told(left: dict[str, Counter[str]]) -> str:
    """Put what is left into lines, by kind."""
    lines = []
    for kind, counts in sorted(left.items()):
        lines.append(f"{kind}: {counts.total()} left")
        lines += [f"    {count} x {what}" for what, count in counts.most_common(12)]
    return "\n".join(lines) or "nothing is left"


def children(pid: int) -> list[int]:
    """Give the descendants of a process."""
    parents: dict[int, list[int]] = {}
    for each in _pids():
        fields = _read(each, "stat").rpartition(")")[2].split()
        if fields:
            parents.setdefault(int(fields[1]), []).append(each)
    found, waiting = [], [pid]
    while waiting:
        born = parents.get(waiting.pop(), [])
        found += born
        waiting += born
    return found


def parent(pid: int) -> int:
    """Give the parent of a process."""
    return int(_read(pid, "stat").rpartition(")")[2].split()[1])


def naming(folder: Path) -> list[str]:
    """Give the command lines of processes that name a folder."""
    return [line for line in map(_line, _pids()) if str(folder) in line]


def _pids() -> list[int]:
    return [int(name) for name in _listed("/proc") if name.isdigit()]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def _comm(pid: int) -> str:
    return _read(pid, "comm").strip()


def _line(pid: int) -> str:
    state = _read(pid, "stat").rpartition(")")[2].split()[:1]
    return f"{_comm(pid)} {''.join(state)} {_read(pid, 'cmdline')}".replace("\0", " ").strip()


def _subjects(estate: Estate, servants: dict[str, int]) -> list[int]:
    """Find supervisors, containers' processes, and whatever lives in a mount namespace with a folder of ours in it."""
    lasting = set(servants.values())
    found = {pid for servant in lasting for pid in children(servant)} - lasting
    host = _link("/proc/self/ns/mnt")
    known: dict[str, bool] = {_link(f"/proc/{pid}/ns/mnt"): False for pid in lasting} | {host: False, "": False}
    for pid in _pids():
        namespace = _link(f"/proc/{pid}/ns/mnt")
        if namespace not in known:
            known[namespace] = any(str(folder) in _read(pid, "mountinfo") for folder in estate.folders)
        if known[namespace]:
            found.add(pid)
    return sorted(found)


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _namespaces(pids: Iterable[int]) -> Iterator[str]:
    """Name the namespaces that processes live in, hold open or keep mounted, each once and with who does."""
    holders: dict[str, set[str]] = {}
    for pid in pids:
        found = {_link(f"/proc/{pid}/ns/{kind}") for kind in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")}
        for descriptor in _listed(f"/proc/{pid}/fd"):
            target = _link(f"/proc/{pid}/fd/{descriptor}")
            if re.fullmatch(r"(cgroup|ipc|mnt|net|pid|user|uts):\[\d+\]", target):
                found.add(target)
        found |= {line.split()[3] for line in _read(pid, "mountinfo").splitlines() if " nsfs " in line}
        for name in found - {""}:
            holders.setdefault(name, set()).add(_comm(pid))
    return (f"{_NUMBER.sub('N', name)} of {', '.join(sorted(who))}" for name, who in holders.items())


def _listed(path: str) -> list[str]:
    try:
        return [entry.name for entry in Path(path).iterdir()]
    except OSError:
        return []


def _mounts(estate: Estate, servants: dict[str, int]) -> Iterator[str]:
    for where, pid in {"host": os.getpid(), **servants}.items():
        for line in _read(pid, "mountinfo").splitlines():
            if any(str(folder) in line for folder in estate.folders):
                yield f"{where}: {line.split()[4]}"


def _cgroups(ids: set[str]) -> Iterator[str]:
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            if name in ids:
                yield f"{folder}/{name}"


def _files(folders: Iterable[Path]) -> Iterator[str]:
    for top in folders:
        for folder, names, files in os.walk(top):
            for name in (*names, *files):
                path = f"{folder}/{name}"
                if not _PASSING.search(path):
                    yield path


def _records(estate: Estate) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(f"file:{estate.data_root}/state.db?mode=ro", uri=True)) as database:
        for kind, key in database.execute("SELECT kind, key FROM record"):
            yield f"{kind} {key}"
    for path, key in (("/containers/json?all=1", "Id"), ("/networks", "Id")):
        yield from (f"API {path}: {row[key]}" for row in estate.api.get(path))
    yield from (f"API volume {row['Name']}" for row in estate.api.get("/volumes")["Volumes"] or ())


def _descriptors(pid: int) -> Iterator[str]:
    """Name a process' descriptors; the connection that asked a moment ago may still be open, so it is not counted."""
    for name in _listed(f"/proc/{pid}/fd"):
        if target := _link(f"/proc/{pid}/fd/{name}"):
            # a device keeps its name, but not its folder, when the mount namespace it was opened in has gone
            yield _NUMBER.sub("N", target.rpartition("/")[2])


def _inside(pid: int, *command: str) -> str:
    run = subprocess.run(["nsenter", "-t", str(pid), "-n", *command], capture_output=True, text=True, check=False)
    return run.stdout


def _links(pid: int) -> Iterator[str]:
    """Name the network links; veths by their bridge, as their own names are drawn by lot."""
    for link in json.loads(_inside(pid, "ip", "-json", "link") or "[]"):
        name = "veth" if link["ifname"].startswith("veth") else link["ifname"]
        yield f"{name} of {link.get('master', 'no bridge')}"


def _rules(pid: int) -> Iterator[str]:
    for line in _inside(pid, "nft", "list", "ruleset").splitlines():
        if line.strip(" \t}"):
            yield _COUNTED.sub("counter", line.strip())


def _listening(pid: int) -> Iterator[str]:
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for line in _read(pid, f"net/{name}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" or name.startswith("udp"):
                yield f"{name} {int(fields[1].rpartition(':')[2], 16)}"


def until(condition: Callable[[], object], what: str = "", seconds: float = 30) -> None:
    """Look again and again until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
