"""What both daemons take of the memory: idle, and for each running container. Shared pages count in part (PSS)."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

from support.api import Api
from support.leaks import Estate, Memory, children, memory

_RUNNING = 10


def compare_memory(folder: Path, mini: Api, docker: Api) -> None:
    """Print both, idle and per container, and which is smaller."""
    for api in (mini, docker):  # both have run something
        container = api.create("true")
        api.post(f"/containers/{container}/start")
        api.post(f"/containers/{container}/wait")
        api("DELETE", f"/containers/{container}")
    idle = _ours(folder, mini), _theirs(folder)
    before = [memory(*pids) for pids in idle]
    _told("memory of the idle daemon", *before)
    begun = {api: [api.create("sleep", "3600") for _ in range(_RUNNING)] for api in (mini, docker)}
    for api, containers in begun.items():
        for container in containers:
            api.post(f"/containers/{container}/start")
    ours = [pid for pid in children(idle[0][-1]) if _name(pid).startswith("pydock-supervis")]
    theirs = _shims(begun[docker])
    assert len(ours) == len(theirs) == _RUNNING, (ours, theirs)
    after = memory(*idle[0], *ours), memory(*idle[1], *theirs)
    added = [_each(now, than=then) for now, then in zip(after, before, strict=True)]
    _told("added memory per container, beside a shim's", added[0], _each(memory(*theirs)))
    _told("the same, beside what dockerd grows as well", *added)
    for api, containers in begun.items():
        for container in containers:
            api("DELETE", f"/containers/{container}", force="1")


def _ours(folder: Path, mini: Api) -> list[int]:
    """Give the engine and what serves it, the zygote last."""
    pid = int((Path(mini.get("/info")["DockerRootDir"]) / "engine.lock").read_text())
    servants = Estate(pid, mini, (folder,)).servants
    zygote = servants.pop("zygote")
    return [*servants.values(), zygote]


def _theirs(folder: Path) -> list[int]:
    pid = int((folder / "dockerd" / "docker.pid").read_text())
    return [pid, *(child for child in children(pid) if _name(child) == "containerd")]


def _shims(containers: list[str]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        if _name(pid).startswith("containerd-shim") and any(container in _words(pid) for container in containers):
            found.append(pid)
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _each(taken: Memory, than: Memory = Memory(0, 0, 0)) -> Memory:  # noqa: B008 - a frozen record
    """Share out among the containers what was taken more than before."""
    more = (now - then for now, then in zip(astuple(taken), astuple(than), strict=True))
    return Memory(*(each // _RUNNING for each in more))


def _told(name: str, ours: Memory, theirs: Memory) -> None:
    met = "met" if ours.pss < theirs.pss else "MISSED"
    print(
        f"{name:<48}{ours.pss / 1e6:>9.1f} MB   dockerd {theirs.pss / 1e6:.1f} MB   {theirs.pss / ours.pss:.1f} times "
        f"as small (private {ours.private / 1e6:.1f} and {theirs.private / 1e6:.1f} MB)   (goal 1: {met})",
        flush=True,
    )
