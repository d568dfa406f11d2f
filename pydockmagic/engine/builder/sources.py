"""What COPY and ADD are to bring: finding the sources, and telling by content whether they are still the same.

A checksum covers names, kinds, modes, contents and link texts; times do not count, nor do owners unless they are kept.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydockmagic.dockerfile import Ignored, IgnorePatternError
from pydockmagic.dockerfile.dockerignore import IgnorePattern
from pydockmagic.engine.errors import EngineError

from .tree import Found, Tree

__all__ = ["Source", "find_sources", "is_url", "text_source"]

_WILD = re.compile(r"[*?\[]")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """One thing to copy. ``name`` is how the instruction calls it, relative to the context's root.

    ``found`` is None for a heredoc, whose text is in ``content``. ``entries`` are a directory's, each with its path
    below it. ``inputs`` maps each file's path to its digest.
    """

    name: str
    found: Found | None
    digest: str
    entries: tuple[tuple[str, Found], ...] = ()
    content: bytes = b""
    inputs: Mapping[str, str] = field(default_factory=dict)
    url: bool = False

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.found is not None and self.found.is_dir

    @property
    def label(self) -> str:
        """Give what the history says: ``file:HEX`` or ``dir:HEX``."""
        return f"{'dir' if self.is_dir else 'file'}:{self.digest}"


def is_url(text: str) -> bool:
    """Whether a source is to be downloaded."""
    return text.startswith(("http://", "https://"))


def text_source(name: str, content: bytes, *, url: bool = False) -> Source:
    """Make a source of a heredoc's text, or of what was downloaded."""
    digest = hashlib.sha256(content).hexdigest()
    return Source(name, None, digest, content=content, inputs={name: digest[:16]}, url=url)


def find_sources(
    tree: Tree[Any], patterns: Sequence[str], *, exclude: Sequence[str] = (), own: bool = False, context: bool = True
) -> list[Source]:
    """Find all sources of an instruction and read them once. Blocks. Raises EngineError in Docker's words.

    ``own``: owners are part of the checksum. ``context``: the tree is the build context, not an image.
    """
    try:
        excluded = Ignored(exclude) if exclude else None
    except IgnorePatternError as error:
        raise EngineError(str(error)) from None
    found: list[Source] = []
    for pattern in patterns:
        clean = _clean(pattern)
        if _WILD.search(clean):
            found += [_read(tree, at.path[1:], at, excluded, own=own) for at in _matching(tree, clean)]
        else:
            found.append(_read(tree, clean, _one(tree, clean, context=context), excluded, own=own))
    return found


def _clean(pattern: str) -> str:
    clean = posixpath.normpath(pattern.lstrip("/") or ".")
    if clean == ".." or clean.startswith("../"):
        raise EngineError(f"forbidden path outside the build context: {pattern} ()")
    return "" if clean == "." else clean


def _one(tree: Tree[Any], clean: str, *, context: bool) -> Found:
    found: Found | None = tree.find(clean)
    if found is None:
        missing = "file not found in build context or excluded by .dockerignore: " if context else ""
        raise EngineError(f"{missing}stat {clean}: file does not exist")
    return found


def _matching(tree: Tree[Any], pattern: str) -> Iterator[Found]:
    """Find what a pattern with wildcards matches, element by element, as Go's ``filepath.Match`` does."""
    elements = [IgnorePattern(element.replace("**", "*")) for element in pattern.split("/")]
    level = [tree.root()]
    for depth, element in enumerate(elements, 1):
        matched = [child for at in level for child in tree.children(at) if element.matches(child.names[-1])]
        if depth == len(elements):
            for child in matched:
                target = tree.find(child.path)
                if target is not None:
                    yield replace(target, names=child.names)
        level = [child for child in matched if child.is_dir]


def _read(tree: Tree[Any], name: str, found: Found, excluded: Ignored | None, *, own: bool) -> Source:
    if not found.is_dir:
        digest = _digest("", found, own=own)
        return Source(name, found, digest, inputs={name: digest[:16]})
    entries: list[tuple[str, Found]] = []
    inputs: dict[str, str] = {}
    whole = hashlib.sha256()
    base = len(found.names)
    for entry in _kept(tree.walk(found), name, base, excluded):
        path = "/".join(entry.names[base:])
        digest = _digest(path, entry, own=own)
        whole.update(bytes.fromhex(digest))
        entries.append((path, entry))
        if not entry.is_dir:
            inputs[f"{name}/{path}" if name else path] = digest[:16]
    return Source(name, found, whole.hexdigest(), tuple(entries), inputs=inputs)


def _kept(entries: Iterator[Found], name: str, base: int, excluded: Ignored | None) -> Iterator[Found]:
    """Leave out what is excluded, but for the directories that lead to something asked back with ``!``."""
    if excluded is None:
        yield from entries
        return
    held: dict[tuple[str, ...], Found] = {}
    for entry in entries:
        path = "/".join(entry.names[base:])
        if excluded.ignores(f"{name}/{path}" if name else path):
            if entry.is_dir and excluded.has_exceptions:
                held[entry.names] = entry
            continue
        for depth in range(base + 1, len(entry.names)):
            above = held.pop(entry.names[:depth], None)
            if above is not None:
                yield above
        yield entry


def _digest(path: str, found: Found, *, own: bool) -> str:
    status = found.status
    hasher = hashlib.sha256()
    owner = f"{status.st_uid}:{status.st_gid}" if own else ""
    hasher.update(f"{status.st_mode:o} {owner} ".encode() + os.fsencode(path) + b"\0")
    if found.is_file:
        with found.open() as stream:
            while data := stream.read(_CHUNK):
                hasher.update(data)
    elif found.is_link:
        hasher.update(os.fsencode(found.read_link()))
    elif not stat.S_ISDIR(status.st_mode):
        hasher.update(str(status.st_rdev).encode())
    return hasher.hexdigest()
