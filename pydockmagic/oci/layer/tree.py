"""The tree of what an archive brought, while it is unpacked; it turns into an index at the end.

A tree, because an archive may replace a directory by a file: with it goes everything below, at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .entry import Kind, LayerEntry, sort_names
from .index import IndexBuilder, LayerIndex

__all__ = ["Inode", "Node"]


class Inode:
    """Content that several names share."""

    __slots__ = ("entry", "first")

    def __init__(self, entry: LayerEntry) -> None:
        self.entry = entry
        self.first = ""


class Node:
    """One name. ``entry`` is None where the directory was there before and the archive said nothing about it."""

    __slots__ = ("children", "entry", "finish", "inode", "mtime_ns")

    def __init__(self, entry: LayerEntry | None = None, inode: Inode | None = None) -> None:
        self.entry = entry
        self.inode = inode
        self.children: dict[str, Node] | None = None
        """None until there is one: most names are files."""
        self.mtime_ns = 0
        self.finish = False
        """Whether mode and times are still to be set on disk."""

    def get(self, name: str) -> Node | None:
        """Give a child, or None."""
        return self.children.get(name) if self.children else None

    def put(self, name: str, node: Node) -> None:
        """Set a child."""
        if self.children is None:
            self.children = {}
        self.children[name] = node

    def child(self, name: str) -> Node:
        """Give a child, which is made if there was none."""
        node = self.get(name)
        if node is None:
            node = Node()
            self.put(name, node)
        return node

    def drop(self, name: str) -> Node | None:
        """Remove a child with all below it; gives it, or None."""
        return self.children.pop(name, None) if self.children else None

    def below(self, path: str) -> Node:
        """Give the node of a path below this one, made where it is missing; the empty path is this one's."""
        node = self
        for name in path.split("/") if path else ():
            node = node.child(name)
        return node

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield every node below with its path, children after their directory's siblings have been left: post-order.

        The root comes last, under the empty path.
        """
        stack: list[tuple[str, Node, bool]] = [("", self, False)]
        while stack:
            path, node, left = stack.pop()
            if left or not node.children:
                yield path, node
                continue
            stack.append((path, node, True))
            prefix = path + "/" if path else ""
            stack += [(prefix + name, child, False) for name, child in node.children.items()]

    def to_index(self) -> LayerIndex:
        """Give the index; of the names of shared content the first in order holds it, the others are links to it."""
        builder = IndexBuilder()
        builder.index.root_opaque = self.entry is not None and self.entry.opaque
        stack = [("", _sorted(self))]
        while stack:
            prefix, children = stack[-1]
            for name, node in children:
                if node.entry is not None:
                    entry = node.entry if node.inode is None else _shared(prefix + name, node.inode)
                    builder.add(entry)
                if node.children:
                    stack.append((f"{prefix}{name}/", _sorted(node)))
                    break
            else:
                stack.pop()
        return builder.index


def _sorted(node: Node) -> Iterator[tuple[str, Node]]:
    children = node.children or {}
    return iter([(name, children[name]) for name in sort_names(children)])


def _shared(path: str, inode: Inode) -> LayerEntry:
    shared = inode.entry
    if not inode.first:
        inode.first = path
        return msgspec.structs.replace(shared, path=path)
    return LayerEntry(path, Kind.HARDLINK, 0, shared.mode, shared.uid, shared.gid, shared.mtime, inode.first)
