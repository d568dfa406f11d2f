"""Putting a root together from files of this machine, so that the same machine always gives the same layer."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from .elf import libraries

__all__ = ["Tree"]

_STANDARD = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")


class Tree:
    """A root being filled. Everything belongs to root, times are whole seconds and come from the sources.

    Times: a copied file keeps its own; what is made here gets the newest of the copied ones (1970 if there is none).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._newest = 0
        self._made: list[Path] = []
        self._modes: dict[Path, int] = {}
        root.chmod(0o755)

    @property
    def newest(self) -> int:
        """The newest modification time of anything copied, in Unix seconds."""
        return self._newest

    def directory(self, path: str, mode: int = 0o755) -> Path:
        """Make a directory and those above it."""
        target = self._place(path)
        missing = [p for p in (target, *target.parents) if p.is_relative_to(self.root) and not p.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            self._made.append(parent)
            self._modes[parent] = 0o755
        if mode != 0o755 or missing:
            self._modes[target] = mode
        return target

    def file(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Write a file."""
        target = self._place(path)
        self.directory(str(Path(path).parent))
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)
        self._made.append(target)

    def copy(self, source: Path, path: str) -> bool:
        """Copy a file's content, mode (without set-user-id) and time; False where it is there already."""
        target = self._place(path)
        if target.exists() or target.is_symlink():
            return False
        self.directory(str(Path(path).parent))
        status = source.stat()
        shutil.copyfile(source, target)
        target.chmod(stat.S_IMODE(status.st_mode) & 0o755 | 0o444)
        seconds = int(status.st_mtime)
        self._newest = max(self._newest, seconds)
        os.utime(target, (seconds, seconds))
        return True

    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link, unless something is there."""
        link = self._place(path)
        if link.exists() or link.is_symlink():
            return
        self.directory(str(Path(path).parent))
        link.symlink_to(target)
        self._made.append(link)

    def link(self, path: str, existing: str) -> None:
        """Make a hard link, unless something is there."""
        target = self._place(path)
        if target.exists() or target.is_symlink():
            return
        self.directory(str(Path(path).parent))
        target.hardlink_to(self._place(existing))

    def add_libraries(self, programs: Iterable[Path]) -> list[str]:
        """Copy the libraries that programs need to where an image's linker finds them without a cache.

        That is the directory of the machine's own C library; on machines that keep each library in a place of its own
        (found by RUNPATH), the same place. Gives the names of what was copied.
        """
        found = libraries(programs)
        c_library = next((path for name, path in found.items() if name.startswith(("libc.so", "libc.musl"))), None)
        common = None
        if c_library is None or str(c_library).startswith(_STANDARD):
            common = c_library.parent if c_library else Path("/lib")
        copied = []
        for name, path in sorted(found.items()):
            target = name if "/" in name else f"{common or path.parent}/{name}"
            if self.copy(path.resolve(), target):
                copied.append(Path(name).name)
        return copied

    def copy_terminals(self) -> None:
        """Copy the descriptions of the usual terminals, which full-screen tools look for."""
        for name in ("dumb", "linux", "screen", "vt100", "xterm", "xterm-256color"):
            for home in ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"):
                source = Path(home, name[0], name)
                if source.is_file():
                    self.copy(source, f"/usr/share/terminfo/{name[0]}/{name}")

    def finish(self) -> None:
        """Set the modes of directories and the times of all that was made here. Nothing may be added afterwards."""
        for path, mode in self._modes.items():
            path.chmod(mode)
        for path in reversed(self._made):
            os.utime(path, (self._newest, self._newest), follow_symlinks=False)
        os.utime(self.root, (self._newest, self._newest))

    def _place(self, path: str) -> Path:
        return self.root / path.lstrip("/")
