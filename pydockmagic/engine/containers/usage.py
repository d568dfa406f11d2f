"""How much disk a writable layer takes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["directory_size"]


def directory_size(path: Path) -> int:
    """Add up the sizes of regular files and links below a directory; hard links count once, as with Docker."""
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [str(path)]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            status = entry.stat(follow_symlinks=False)
            if status.st_nlink > 1:
                identity = (status.st_dev, status.st_ino)
                if identity in seen:
                    continue
                seen.add(identity)
            total += status.st_size
    return total
