"""Places inside a container's root, made where they are missing. Standard library only."""

from __future__ import annotations

import errno
import os

__all__ = ["clean", "make_directory", "make_file"]


def clean(path: str) -> str:
    """Give a path as absolute and without dots."""
    return os.path.normpath("/" + path.lstrip("/"))


def make_directory(path: str, mode: int = 0o755) -> None:
    """Make a directory and those above it. Raises NotADirectoryError where something else is in the way."""
    try:
        os.makedirs(path, mode, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error


def make_file(path: str) -> None:
    """Make an empty file to mount on, if nothing is there."""
    if os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if not os.path.exists(path):
        make_directory(os.path.dirname(path))
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
