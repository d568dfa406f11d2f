"""The map of volumes: what outlives containers, and where it is mounted. ``%volume map``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.graph import Line, Node, Row
from pydockmagic.notebook.widgets.sheet import Cell, Code, Section, Sheet, Soft, picture, plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["MountUse", "User", "Volume", "volume_sheet"]


@dataclass(frozen=True)
class Volume:
    """A volume of the engine."""

    name: str
    driver: str = "local"
    size: int | None = None
    """Bytes, where the daemon has told them."""

    @property
    def anonymous(self) -> bool:
        """Whether nobody gave it a name."""
        return re.fullmatch(r"[0-9a-f]{64}", self.name) is not None

    @property
    def shown(self) -> str:
        """Its name, shortened where it is a number."""
        return f"{self.name[:12]}…" if self.anonymous else self.name


@dataclass(frozen=True)
class MountUse:
    """A mount of a container. ``kind`` is volume, bind or tmpfs; ``source`` the volume's name or the host's folder."""

    kind: str
    source: str
    target: str
    writable: bool = True

    @property
    def access(self) -> str:
        """Say what the container may do."""
        return "read-write" if self.writable else "read-only"

    @property
    def key(self) -> str:
        """Tell apart what is mounted."""
        return f"{self.kind} {self.source}"


@dataclass(frozen=True)
class User:
    """A container and what it mounts."""

    name: str
    state: str
    mounts: tuple[MountUse, ...] = ()


def volume_sheet(
    volumes: Sequence[Volume], users: Sequence[User], names: Sequence[str] = (), engine: str = ""
) -> Sheet:
    """Make the display of volumes and of the containers that mount them."""
    users = [each for each in users if each.mounts]
    unused = [each for each in volumes if not _used_by(f"volume {each.name}", users)]
    lonely = f"; {plural(len(unused), 'volume')} mounted by nobody" if unused else ""
    nodes, lines = _drawn(volumes, users)
    sections = [_volumes(volumes, users)]
    if not names:
        sections.append(_others(users))
    drawn, notes = picture(nodes, lines)
    return Sheet(
        token=token_of("volumes", engine, *names),
        subject="Volumes" if not names else f"Volume {', '.join(names)}",
        sentence=f"{plural(len(volumes), 'volume')}, mounted by {plural(len(users), 'container')}{lonely}.",
        sections=[section for section in sections if section.rows],
        graph=drawn,
        notes=notes,
        engine=engine,
    )


def _used_by(key: str, users: Sequence[User]) -> list[tuple[User, MountUse]]:
    return [(user, mount) for user in users for mount in user.mounts if mount.key == key]


def _drawn(volumes: Sequence[Volume], users: Sequence[User]) -> tuple[list[Node], list[Line]]:
    nodes: list[Node] = []
    lines: list[Line] = []
    for user in users:
        rows = [Row(mount.target, mount.access) for mount in user.mounts]
        told = "; ".join(f"{_called(mount)} at {mount.target}, {mount.access}" for mount in user.mounts)
        about = "container" if user.state == "running" else f"container, {user.state}"
        words = f"{user.name} mounts {told}."
        nodes.append(Node(f"container {user.name}", 0, user.name, rows, about, words, faint=user.state != "running"))
        lines += [Line(f"container {user.name}", mount.key, at) for at, mount in enumerate(user.mounts)]
    for volume in volumes:
        key = f"volume {volume.name}"
        uses = _used_by(key, users)
        about = "volume, anonymous" if volume.anonymous else "volume"
        about += f", {markup.size(volume.size)}" if volume.size is not None else ""
        rows = [] if uses else [Row("mounted by nobody")]
        nodes.append(Node(key, 1, volume.shown, rows, about, _told(volume, uses), faint=not uses))
    for mount in dict.fromkeys(m for user in users for m in user.mounts if m.kind != "volume"):
        if any(node.key == mount.key for node in nodes):
            continue
        about = "folder of this machine" if mount.kind == "bind" else "memory, gone with the container"
        title = mount.source if mount.kind == "bind" else "tmpfs"
        words = f"{title} ({about}) is mounted by {', '.join(user.name for user, _ in _used_by(mount.key, users))}."
        nodes.append(Node(mount.key, 1, title, (), about, words))
    return nodes, lines


def _called(mount: MountUse) -> str:
    return {"volume": f"volume {Volume(mount.source).shown}", "bind": f"the folder {mount.source}"}.get(
        mount.kind, mount.kind
    )


def _told(volume: Volume, uses: Sequence[tuple[User, MountUse]]) -> str:
    size = f" It takes {markup.size(volume.size)}." if volume.size is not None else ""
    if not uses:
        return f"Volume {volume.shown} is mounted by nobody: {_fate(volume)}.{size}"
    told = "; ".join(f"{user.name} at {mount.target}, {mount.access}" for user, mount in uses)
    shared = " They see the same files." if len(uses) > 1 else ""
    return f"Volume {volume.shown} is mounted by {told}.{shared}{size}"


def _fate(volume: Volume) -> str:
    return "docker volume prune removes it" if volume.anonymous else "it stays until docker volume rm"


def _volumes(volumes: Sequence[Volume], users: Sequence[User]) -> Section:
    rows: list[list[Cell]] = []
    sized = any(volume.size is not None for volume in volumes)
    for volume in volumes:
        uses = _used_by(f"volume {volume.name}", users)
        where = "\n".join(f"{user.name} at {mount.target} ({mount.access})" for user, mount in uses)
        rows.append(
            [
                Code(volume.shown),
                *([markup.size(volume.size) if volume.size is not None else ""] if sized else []),
                Soft("anonymous" if volume.anonymous else volume.driver),
                where or "nobody",
                Soft("" if uses else _fate(volume)),
            ]
        )
    notes = ["A volume outlives its containers; what a container writes elsewhere goes with it."]
    head = ("volume", *(("size",) if sized else ()), "driver", "mounted by", "")
    total = f"{markup.size(sum(volume.size or 0 for volume in volumes))} in all" if sized and len(volumes) > 1 else ""
    right = (1,) if sized else ()
    return Section("Who mounts what", head, rows, summary=total, opened=True, notes=notes, right=right)


def _others(users: Sequence[User]) -> Section:
    rows: list[list[Cell]] = [
        [user.name, Code(mount.target), mount.access, Code(mount.source or "memory"), Soft(mount.kind)]
        for user in users
        for mount in user.mounts
        if mount.kind != "volume"
    ]
    head = ("container", "at", "", "from", "kind")
    return Section("Mounts that are no volumes", head, rows, summary="folders of this machine, and memory")
