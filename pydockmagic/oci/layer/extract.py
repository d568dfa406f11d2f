"""Unpacking a tar from anywhere into a directory, so that nothing outside of the directory can be touched.

Every name is cleaned first, and every parent directory is opened inside the root before anything is made in it: a
symlink that the archive itself (or a running container) put there is followed only as far as the root reaches, as a
process chrooted into it would. Links, devices and attributes are made relative to those descriptors, never by path.

What a whiteout becomes is the caller's choice, see `Whiteouts`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import msgspec

from pydockmagic.oci.errors import LayerError, LimitExceeded, UnsafePath

from .dressing import Dresser, Owners, as_kept, closing, write_all, write_sparse
from .entry import OPAQUE_NAME, WHITEOUT_META_PREFIX, WHITEOUT_PREFIX, Kind, LayerEntry, clean_path
from .index import ScannedLayer
from .limits import DEFAULT_LIMITS, ExtractLimits
from .reader import ByteStream, TarMember, TarReader
from .roots import (
    make_parents_in_root,
    open_beneath,
    open_root,
    remove_entry,
    resolve_in_root,
)
from .tree import Inode, Node
from .xattrs import mark_opaque, mark_whiteout_file, travels

__all__ = ["Devices", "Owners", "Whiteouts", "extract"]

Whiteouts = Literal["overlay-trusted", "overlay-user", "apply", "keep"]
"""What ``.wh.`` names become: overlayfs whiteouts with privileged or with ``user.`` attributes (for a layer's own
directory), removals (``apply``: the directory is a whole root that the layer changes), or the plain files that their
names say (``keep``: the archive is no layer)."""

Devices = Literal["make", "skip", "refuse"]
"""What becomes of device nodes."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CACHED_PARENTS = 64
_Made = TypeVar("_Made")


def extract(
    stream: ByteStream,
    directory: str | os.PathLike[str],
    *,
    at: str = "",
    whiteouts: Whiteouts = "overlay-trusted",
    devices: Devices = "make",
    owners: Owners = "disk",
    limits: ExtractLimits = DEFAULT_LIMITS,
    keep_types: bool = False,
) -> ScannedLayer:
    """Unpack an uncompressed tar stream (`decompress.open_stream` makes one of others) into an existing directory.

    ``at`` is a place inside the directory, looked up with the directory as root, that names are relative to; index
    paths are relative to ``directory`` all the same, and name the places really used, symlinks resolved.
    ``keep_types`` refuses to replace a directory by something else or the other way round (``docker cp``).
    The index is the one that `scan` gives for the new directory.

    Raises `TarError`, `UnsafePath`, `LimitExceeded`, and ``OSError`` of the disk. What was unpacked until then stays.
    """
    root_fd = open_root(directory)
    try:
        base = resolve_in_root(root_fd, at) if at else ""
        job = _Extraction(root_fd, base, whiteouts, devices, owners, keep_types=keep_types)
        return job.run(TarReader(stream, max_bytes=limits.stream), limits)
    finally:
        os.close(root_fd)


class _Parent(NamedTuple):
    """A directory that entries go into: its descriptor, its path without symlinks, its node in the index."""

    fd: int
    path: str
    node: Node

    def join(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


class _Extraction:
    """One run of `extract`."""

    def __init__(
        self, root_fd: int, base: str, whiteouts: Whiteouts, devices: Devices, owners: Owners, *, keep_types: bool
    ) -> None:
        self._root_fd = root_fd
        self._base = base
        self._whiteouts = whiteouts
        self._overlay = whiteouts.startswith("overlay-")
        self._user = whiteouts == "overlay-user"
        self._devices = devices
        self._owners = owners
        self._dresser = Dresser(owners)
        self._keep_types = keep_types
        self._tree = Node()
        self._parents: dict[str, _Parent] = {}
        self._has_opaque = False

    def run(self, reader: TarReader, limits: ExtractLimits) -> ScannedLayer:
        """Unpack everything."""
        count = content = 0
        try:
            for member in reader:
                count += 1
                if limits.entries is not None and count > limits.entries:
                    raise LimitExceeded(f"the archive has too many entries: more than {limits.entries}")
                content += member.entry.size
                if limits.content is not None and content > limits.content:
                    raise LimitExceeded(f"the archive is too large: more than {limits.content} bytes of content")
                self._member(reader, member)
        finally:
            self._forget_parents()
        if self._has_opaque:
            self._drop_idle_whiteouts()
        # Directories get their modes and times at the end: filling one changes its time, and may need a kinder mode.
        for path, node in self._tree.walk():
            if node.finish:
                self._finish_directory(path, node)
        diff_id = reader.finish()
        index = self._tree.to_index()
        return ScannedLayer(index, diff_id, index.content_size)

    def _member(self, reader: TarReader, member: TarMember) -> None:
        path = clean_path(member.entry.path)
        if not path:
            self._root_entry(member)
            return
        if self._base:
            path = f"{self._base}/{path}"
        head, _, name = path.rpartition("/")
        if self._whiteouts != "keep" and name.startswith(WHITEOUT_PREFIX):
            self._whiteout(head, name)
            return
        parent = self._parents.get(head) or self._parent(head)
        entry = member.entry
        if (path := parent.join(name)) != entry.path:
            entry = msgspec.structs.replace(entry, path=path)
        if entry.xattrs:
            entry = msgspec.structs.replace(entry, xattrs=tuple(pair for pair in entry.xattrs if travels(pair[0])))
        try:
            self._make(reader, member, entry, parent, name)
        except OSError as exc:
            exc.filename = "/" + entry.path
            raise

    def _root_entry(self, member: TarMember) -> None:
        if member.entry.kind is not Kind.DIRECTORY:
            raise UnsafePath(f"{member.entry.path!r} would replace the root itself")
        if self._whiteouts != "keep":
            node = self._tree.below(self._base)
            node.entry, node.mtime_ns, node.finish = member.entry, member.mtime_ns, True

    # -- parents

    def _parent(self, head: str) -> _Parent:
        """Open the directory that an entry goes into, making it where it is missing."""
        path = head
        try:
            fd = open_beneath(self._root_fd, path, os.O_PATH | os.O_DIRECTORY)
        except OSError as exc:
            if exc.errno not in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}:
                raise
            path = self._make_parents(head)
            fd = open_beneath(self._root_fd, path, os.O_PATH | os.O_DIRECTORY)
        if len(self._parents) >= _CACHED_PARENTS:
            self._forget_parents()
        self._parents[head] = parent = _Parent(fd, path, self._tree.below(path))
        return parent

    def _forget_parents(self) -> None:
        for parent in self._parents.values():
            os.close(parent.fd)
        self._parents.clear()

    def _make_parents(self, head: str) -> str:
        if self._overlay:
            self._open_up_whiteout(head)
        owner = (0, 0) if self._owners == "disk" else self._owners if isinstance(self._owners, tuple) else None
        try:
            # In a layer a fixed time, so that the same archive gives the same layer; in a living tree they are new.
            path, made = make_parents_in_root(self._root_fd, head, owner=owner, mtime_ns=0 if self._overlay else None)
        except NotADirectoryError:
            raise UnsafePath(f"{head!r} is no directory, yet the archive has entries below it") from None
        for directory in made:
            node = self._tree.below(directory)
            uid, gid = owner or (0, 0)
            node.entry = LayerEntry(directory, Kind.DIRECTORY, mode=0o755, uid=uid, gid=gid)
            node.finish = self._overlay
        return path

    def _open_up_whiteout(self, head: str) -> None:
        """Turn a whiteout of this very layer into an opaque directory where entries follow below it."""
        parts = head.split("/")
        node = self._tree
        for depth, name in enumerate(parts):
            node = node.get(name) or Node()
            if node.entry is not None and node.entry.kind is Kind.WHITEOUT:
                parent = self._parent("/".join(parts[:depth]))
                entry = LayerEntry(parent.join(name), Kind.DIRECTORY, mode=0o755)
                self._make_directory(entry, 0, parent, name)
                return

    # -- whiteouts

    def _whiteout(self, head: str, name: str) -> None:
        if name == OPAQUE_NAME:
            self._hide_lower(self._parent(head).path)
            return
        if name.startswith(WHITEOUT_META_PREFIX):
            return  # aufs' own bookkeeping
        hidden = name[len(WHITEOUT_PREFIX) :]
        if hidden in {"", ".", ".."}:
            raise UnsafePath(f"whiteout {name!r} hides no entry of its directory")
        self._hide(self._parents.get(head) or self._parent(head), hidden)

    def _hide(self, parent: _Parent, name: str) -> None:
        node = parent.node.get(name)
        if node is not None and node.entry is not None:
            # Whiteouts concern lower layers only: what this layer itself brings stays, without what was below it.
            if node.entry.kind is Kind.DIRECTORY:
                self._hide_lower(parent.join(name))
            return
        self._remove(parent, name)
        if self._overlay:
            self._make_whiteout(parent.fd, name)
            path = parent.join(name)
            parent.node.put(name, Node(LayerEntry(path, Kind.WHITEOUT)))

    def _make_whiteout(self, parent_fd: int, name: str) -> None:
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent_fd)
        except PermissionError:
            # No device nodes here, not even the harmless 0:0: the other form of the same.
            fd = os.open(name, _NEW_FILE, 0, dir_fd=parent_fd)
            with closing(fd), closing(os.open(".", _OPEN_DIRECTORY, dir_fd=parent_fd)) as directory_fd:
                mark_whiteout_file(fd, directory_fd, user=self._user)

    def _hide_lower(self, path: str) -> None:
        """Make a directory opaque; in a whole root, remove from it what this archive did not bring."""
        with closing(open_beneath(self._root_fd, path, _OPEN_DIRECTORY)) as fd:
            node = self._tree.below(path)
            if not self._overlay:
                self._remove_unknown(fd, node)
                return
            mark_opaque(fd, user=self._user)
        self._has_opaque = True
        entry = node.entry or LayerEntry(path, Kind.DIRECTORY, mode=0o755)
        node.entry = msgspec.structs.replace(entry, opaque=True)

    def _drop_idle_whiteouts(self) -> None:
        """Remove whiteouts below opaque directories: they hide nothing, and overlayfs lists them as broken names."""
        stack = [("", self._tree, False)]
        while stack:
            path, node, hidden = stack.pop()
            hidden = hidden or (node.entry is not None and node.entry.opaque)
            idle = []
            for name, child in (node.children or {}).items():
                if hidden and child.entry is not None and child.entry.kind is Kind.WHITEOUT:
                    idle.append(name)
                elif child.children:
                    stack.append((f"{path}/{name}" if path else name, child, hidden))
            if idle:
                with closing(open_beneath(self._root_fd, path, os.O_PATH | os.O_DIRECTORY)) as fd:
                    for name in idle:
                        os.unlink(name, dir_fd=fd)
                        node.drop(name)

    def _remove_unknown(self, directory_fd: int, node: Node) -> None:
        for name in os.listdir(directory_fd):
            known = node.get(name)
            if known is None or (known.entry is None and not known.children):
                remove_entry(directory_fd, name)
            elif known.children:
                with closing(os.open(name, _OPEN_DIRECTORY, dir_fd=directory_fd)) as fd:
                    self._remove_unknown(fd, known)
        self._forget_parents()

    def _remove(self, parent: _Parent, name: str) -> None:
        if remove_entry(parent.fd, name):
            node = parent.node.drop(name)
            if node is not None and node.children:
                stale = parent.join(name)
                for head in [head for head, known in self._parents.items() if _is_below(known.path, stale)]:
                    os.close(self._parents.pop(head).fd)

    # -- entries

    def _make(self, reader: TarReader, member: TarMember, entry: LayerEntry, parent: _Parent, name: str) -> None:
        if entry.kind is Kind.DIRECTORY:
            self._make_directory(entry, member.mtime_ns, parent, name)
        elif entry.kind is Kind.FILE:
            self._make_file(reader, member, entry, parent, name)
        elif entry.kind is Kind.HARDLINK:
            self._make_link(entry, parent, name)
        elif entry.kind is Kind.SYMLINK:
            self._create(entry, parent, name, lambda: os.symlink(entry.linkname, name, dir_fd=parent.fd))
            self._dresser.dress_plain(entry, parent.fd, name, member.mtime_ns)
            entry = msgspec.structs.replace(self._dresser.owned(as_kept(entry, name, parent.fd)), mode=0o777, xattrs=())
            parent.node.put(name, Node(entry))
        else:
            self._make_special(entry, member.mtime_ns, parent, name)

    def _make_file(self, reader: TarReader, member: TarMember, entry: LayerEntry, parent: _Parent, name: str) -> None:
        try:
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent.fd)
        except FileExistsError:
            fd = self._create(entry, parent, name, lambda: os.open(name, _NEW_FILE, 0o600, dir_fd=parent.fd))
        try:
            if member.extents is not None:
                write_sparse(fd, reader, member)
            else:
                while piece := reader.piece():
                    write_all(fd, piece)
            self._dresser.dress(fd, entry, member.mtime_ns)
            entry = as_kept(entry, fd)
        finally:
            os.close(fd)
        parent.node.put(name, Node(self._dresser.owned(entry)))

    def _create(self, entry: LayerEntry, parent: _Parent, name: str, make: Callable[[], _Made]) -> _Made:
        """Make an entry that is no directory, after removing what is in its way."""
        try:
            return make()
        except FileExistsError:
            status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
            if self._keep_types and stat.S_ISDIR(status.st_mode):
                raise UnsafePath(f'cannot overwrite directory "/{entry.path}" with non-directory') from None
            self._remove(parent, name)
            return make()

    def _make_directory(self, entry: LayerEntry, mtime_ns: int, parent: _Parent, name: str) -> None:
        known = parent.node.get(name)
        opaque = known is not None and known.entry is not None and known.entry.opaque
        try:
            os.mkdir(name, 0o700, dir_fd=parent.fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                if self._keep_types:
                    raise UnsafePath(f'cannot overwrite non-directory "/{entry.path}" with directory') from None
                opaque = known is not None and known.entry is not None and known.entry.kind is Kind.WHITEOUT
                self._remove(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent.fd)
                if opaque:
                    with closing(os.open(name, _OPEN_DIRECTORY, dir_fd=parent.fd)) as fd:
                        mark_opaque(fd, user=self._user)
                    self._has_opaque = True
        node = parent.node.child(name)
        node.entry = msgspec.structs.replace(self._dresser.owned(entry), opaque=opaque)
        node.mtime_ns, node.finish = mtime_ns, True

    def _make_link(self, entry: LayerEntry, parent: _Parent, name: str) -> None:
        target = clean_path(entry.linkname)
        target = f"{self._base}/{target}" if self._base else target
        head, _, target_name = target.rpartition("/")
        try:
            head = resolve_in_root(self._root_fd, head)
            target = f"{head}/{target_name}" if head else target_name
            if target == entry.path:
                return
            with closing(open_beneath(self._root_fd, head, os.O_PATH | os.O_DIRECTORY)) as target_fd:
                if stat.S_ISDIR(os.stat(target_name, dir_fd=target_fd, follow_symlinks=False).st_mode):
                    raise LayerError(f"{entry.path!r} is a hard link to the directory {target!r}")
                self._create(entry, parent, name, lambda: _link(target_fd, target_name, parent.fd, name))
        except (FileNotFoundError, NotADirectoryError):
            raise LayerError(f"{entry.path!r} is a hard link to {target!r}, which does not exist") from None
        origin = self._tree.below(target)
        if origin.entry is None:
            parent.node.put(name, Node(msgspec.structs.replace(entry, linkname=target, size=0, xattrs=())))
            return
        if origin.inode is None:
            origin.inode = Inode(origin.entry)
        parent.node.put(name, Node(entry, origin.inode))

    def _make_special(self, entry: LayerEntry, mtime_ns: int, parent: _Parent, name: str) -> None:
        if entry.kind is Kind.FIFO:
            self._create(entry, parent, name, lambda: os.mkfifo(name, 0o600, dir_fd=parent.fd))
        elif self._devices == "refuse":
            raise UnsafePath(f"{entry.path!r} is a device node")
        elif self._devices == "skip":
            return
        elif self._overlay and entry.kind is Kind.CHARACTER_DEVICE and entry.device == (0, 0):
            self._hide(parent, name)  # on disk the two cannot be told apart
            return
        else:
            form = stat.S_IFCHR if entry.kind is Kind.CHARACTER_DEVICE else stat.S_IFBLK
            device = os.makedev(*entry.device)
            self._create(entry, parent, name, lambda: os.mknod(name, form | 0o600, device, dir_fd=parent.fd))
        self._dresser.dress_plain(entry, parent.fd, name, mtime_ns)
        entry = self._dresser.owned(as_kept(entry, name, parent.fd))
        parent.node.put(name, Node(msgspec.structs.replace(entry, xattrs=())))

    def _finish_directory(self, path: str, node: Node) -> None:
        assert node.entry is not None
        with closing(open_beneath(self._root_fd, path, _OPEN_DIRECTORY)) as fd:
            self._dresser.dress(fd, node.entry, node.mtime_ns)
            node.entry = as_kept(node.entry, fd)


def _link(target_fd: int, target_name: str, parent_fd: int, name: str) -> None:
    os.link(target_name, name, src_dir_fd=target_fd, dst_dir_fd=parent_fd, follow_symlinks=False)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")
