"""The trash: what is removed is renamed into it at once and deleted in the background.

Renaming takes no time and cannot stop half-way, so an object is either whole or gone; and since the trash is emptied
at every start, a kill during the deletion leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import queue
import stat
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Trash", "delete_tree"]


_STAGE = ".new-"


class Trash:
    """The folder ``trash`` of a data root. All objects of a process share one deleting thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def discard(self, path: Path) -> None:
        """Throw a file or a directory away. It must be on the trash's own filesystem; being absent is no error."""
        target = self.path / uuid.uuid4().hex
        try:
            path.rename(target)
        except FileNotFoundError:
            return
        _sweeper.put(target)

    @contextlib.contextmanager
    def staged(self, path: Path) -> Iterator[Path]:
        """Give a place to make something; it becomes ``path`` when it is whole, and goes where that fails."""
        stage = path.with_name(f"{_STAGE}{path.name}")
        self.discard(stage)
        try:
            yield stage
        except BaseException:  # a full disk, say
            self.discard(stage)
            raise
        stage.rename(path)

    def discard_half_made(self, home: Path) -> None:
        """Throw away what a killed engine had ``staged`` in a folder."""
        for half_made in home.glob(f"{_STAGE}*"):
            self.discard(half_made)

    def empty(self) -> None:
        """Delete, in the background, whatever an earlier engine left."""
        for entry in self.path.iterdir():
            _sweeper.put(entry)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything thrown away so far is deleted; tell whether that came about in time."""
        done = threading.Event()
        _sweeper.put(done)
        return done.wait(timeout)


class _Sweeper:
    """The deleting thread, started when there is something to delete."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Path | threading.Event] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()

    def put(self, item: Path | threading.Event) -> None:
        """Delete a path, or set an event once all before it is deleted."""
        self._queue.put(item)
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                # A daemon thread: the engine's end does not wait for it, the next start goes on.
                self._worker = threading.Thread(target=self._work, name="trash", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
            else:
                with contextlib.suppress(OSError):
                    delete_tree(item, item.parent)


_sweeper = _Sweeper()


def delete_tree(path: Path, room: Path) -> None:
    """Delete a file or a whole tree, however deep, following no link.

    Each directory is first moved up into ``room``, so that no path grows long and nothing recurses; directories that
    forbid it (overlay's ``work/work`` has mode 0) are opened up. ``path`` must be a child of ``room``.
    """
    room_fd = os.open(room, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pending = [path.name]
        while pending:
            name = pending.pop()
            with contextlib.suppress(FileNotFoundError):
                pending += _delete_level(room_fd, name)
    finally:
        os.close(room_fd)


def _delete_level(room_fd: int, name: str) -> list[str]:
    """Delete one entry of the room; of a directory move the child directories up and give their new names."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=room_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=room_fd)
        return []
    directory = _open_for_deletion(room_fd, name)
    moved = []
    try:
        with os.scandir(directory) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_directory in listed:
            with contextlib.suppress(FileNotFoundError):
                if not is_directory:
                    os.unlink(child, dir_fd=directory)
                    continue
                try:
                    os.rmdir(child, dir_fd=directory)
                except OSError:
                    moved.append(_move_up(directory, child, room_fd))
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=room_fd)
    return moved


def _open_for_deletion(dir_fd: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=dir_fd)
    except PermissionError:
        # We own it and nothing else names it: fchmodat without following is safe here, as it is no link.
        os.chmod(name, 0o700, dir_fd=dir_fd)
        descriptor = os.open(name, flags, dir_fd=dir_fd)
    if os.fstat(descriptor).st_mode & 0o300 != 0o300:
        os.fchmod(descriptor, 0o700)
    return descriptor


def _move_up(directory: int, child: str, room_fd: int) -> str:
    target = uuid.uuid4().hex
    try:
        os.rename(child, target, src_dir_fd=directory, dst_dir_fd=room_fd)
    except PermissionError:
        # Moving a directory changes its "..", which needs the right to write in it.
        os.chmod(child, 0o700, dir_fd=directory)
        os.rename(child, target, src_dir_fd=directory, dst_dir_fd=room_fd)
    return target
