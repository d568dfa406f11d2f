"""``docker cp``, ``export`` and ``commit``: files out of containers and into them, containers into images."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ByteStream, ClientError, NotFound
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.references import normalized
from pydockmagic.commands.results import Result
from pydockmagic.commands.units import human_size

from .context_tar import ContextProblem, folder_tar
from .image import write_archive
from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["commit", "copy", "export", "split_argument"]

_CHUNK = 1 << 20
_FOLDER_BIT = 1 << 31  # Go's os.ModeDir in the archive's stat
_LINK_BIT = 1 << 27  # Go's os.ModeSymlink


def split_argument(text: str) -> tuple[str, str]:
    """Split ``CONTAINER:PATH``; a local path has no container (``./a:b`` and ``/a:b`` are local)."""
    if text.startswith(("/", ".")) or text == "-":
        return "", text
    container, colon, path = text.partition(":")
    if not colon or container.startswith("."):
        return "", text
    return container, path


def copy(parsed: Parsed, context: Context) -> Result:
    """``docker cp``."""
    sink = Sink(context)
    source, target = (split_argument(text) for text in parsed.arguments)
    if source[0] and target[0]:
        raise sink.failure("copying between containers is not supported")
    if not source[0] and not target[0]:
        raise sink.failure("must specify at least one container source")
    if source[0]:
        return _From(parsed, context, sink).run(*source, target[1])
    return _Into(parsed, context, sink).run(source[1], *target)


class _From:
    """Out of a container."""

    def __init__(self, parsed: Parsed, context: Context, sink: Sink) -> None:
        self._context = context
        self._sink = sink
        self._follow = parsed.flag("follow-link")
        self._quiet = parsed.flag("quiet")

    def run(self, container: str, path: str, target: str) -> Result:
        client = self._context.client
        if self._follow:
            path = _followed(self._context, container, path)
        if target == "-":
            return write_archive(client.container_archive_get(container, path)[1], "", self._context, self._sink)
        local = self._context.directory / target
        contents = path.endswith("/.") or path == "."
        name = os.path.basename(os.path.normpath(path)) or "/"  # noqa: PTH119 - a path in the container
        stat, chunks = client.container_archive_get(container, path)
        is_folder = bool(stat.get("mode", 0) & _FOLDER_BIT)
        with chunks:
            return self._unpack(chunks, local, name, target, is_folder=is_folder, contents=contents)

    def _unpack(
        self, chunks: ByteStream, local: Path, name: str, target: str, *, is_folder: bool, contents: bool
    ) -> Result:
        place, rename = self._place(
            local, name, is_folder=is_folder, contents=contents, wants_folder=target.endswith("/")
        )
        size = _unpack(iter(chunks), place, name if name != "/" else "", rename, contents=contents)
        if not self._quiet and self._context.terminal is not None:
            self._sink.err(f"Successfully copied {human_size(size)} to {local}\n")
        return self._sink.result()

    def _place(
        self, local: Path, name: str, *, is_folder: bool, contents: bool, wants_folder: bool
    ) -> tuple[Path, str]:
        """Return the folder to unpack into, and the new name of what comes (``docker cp``'s rules)."""
        if local.is_dir():
            return local, "" if contents else name
        if not local.parent.is_dir():
            raise self._sink.failure(f'invalid output path: directory "{local.parent}" does not exist')
        if local.exists() and is_folder:
            raise self._sink.failure("cannot copy directory")
        if wants_folder and not is_folder:
            raise self._sink.failure("no such directory")
        if contents:
            local.mkdir()
            return local, ""
        return local.parent, local.name


def _followed(context: Context, container: str, path: str) -> str:
    stat = context.client.container_archive_stat(container, path)
    target = str(stat.get("linkTarget") or "")
    if stat.get("mode", 0) & _LINK_BIT and target:
        return target if target.startswith("/") else os.path.join(os.path.dirname(path), target)  # noqa: PTH118,PTH120
    return path


class _Reader(io.RawIOBase):
    """Chunks as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            data = next(self._chunks, None)
            if data is None:
                return 0
            self._left = data
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        self.size += count
        return count


def _unpack(chunks: Iterator[bytes], place: Path, old: str, new: str, *, contents: bool) -> int:
    """Unpack an archive whose first name is ``old`` as ``new``; nothing can leave ``place`` (tar's data filter)."""
    raw = _Reader(chunks)
    with tarfile.open(fileobj=io.BufferedReader(raw, _CHUNK), mode="r|") as tar:
        # Checked here, by ``_as_it_was``: Python before 3.11.4 has no filters.
        tar.extraction_filter = lambda member, _: member
        for member in tar:
            name = member.name.lstrip("/")
            rest = name[len(old) :].lstrip("/") if old and (name == old or name.startswith(f"{old}/")) else name
            if contents and not rest:
                continue
            member.name = "/".join(part for part in (new, rest) if part) or "."
            if member.islnk():
                inner = member.linkname.lstrip("/").removeprefix(old).lstrip("/")
                member.linkname = "/".join(part for part in (new, inner) if part)
            tar.extract(_as_it_was(member, str(place)), place)
    return raw.size


def _as_it_was(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """Refuse what would leave the folder; symlinks may point where they like, but nothing is written through one."""
    root = os.path.realpath(place)
    target = _inside(root, member.name)
    if os.path.islink(target):  # noqa: PTH114 - paths stay texts here
        os.unlink(target)  # noqa: PTH108
    if member.islnk():
        _inside(root, member.linkname)
    if member.ischr() or member.isblk():
        raise ClientError(f"{member.name}: devices are not copied")
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    return member


def _inside(root: str, name: str) -> str:
    """Return where a name of the archive lies; raises ``ClientError`` where that is outside of the folder."""
    parent = os.path.realpath(os.path.join(root, os.path.dirname(name)))  # noqa: PTH118,PTH120
    last = os.path.basename(name)  # noqa: PTH119
    if last == ".." or (parent != root and not parent.startswith(f"{root.rstrip('/')}/")):
        raise ClientError(f"the archive holds a name outside of its folder: {name}")
    return os.path.join(parent, last)  # noqa: PTH118


class _Into:
    """Into a container."""

    def __init__(self, parsed: Parsed, context: Context, sink: Sink) -> None:
        self._context = context
        self._sink = sink
        self._follow = parsed.flag("follow-link")
        self._quiet = parsed.flag("quiet")
        self._owners = parsed.flag("archive")

    def run(self, source: str, container: str, path: str) -> Result:
        client = self._context.client
        if source == "-":
            client.container_archive_put(container, path, self._context.chunks(_CHUNK), copy_uid_gid=self._owners)
            return self._sink.result()
        local = self._context.directory / source
        try:
            status = local.stat() if self._follow else local.lstat()
        except OSError as error:
            raise self._sink.failure(f"lstat {local}: {(error.strerror or str(error)).lower()}") from None
        del status
        contents = source.endswith("/.") or source == "."
        folder, name = self._place(container, path, local, contents=contents)
        counted = _Counted(folder_tar(local.resolve() if self._follow else local, name))
        try:
            client.container_archive_put(container, folder, counted, copy_uid_gid=self._owners)
        except ContextProblem as problem:
            raise self._sink.failure(str(problem).removeprefix("error checking context: ")) from None
        if not self._quiet and self._context.terminal is not None:
            self._sink.err(f"Successfully copied {human_size(counted.size)} to {container}:{path}\n")
        return self._sink.result()

    def _place(self, container: str, path: str, local: Path, *, contents: bool) -> tuple[str, str]:
        """Return the folder in the container and the name there (empty for a folder's contents)."""
        own = local.resolve().name
        path = path if path.startswith("/") else f"/{path}"
        target = _followed_deep(self._context, container, path)
        try:
            stat = self._context.client.container_archive_stat(container, target)
        except NotFound:
            if path.endswith("/") and not local.is_dir():
                raise self._sink.failure("no such directory") from None
            head, _, last = target.rstrip("/").rpartition("/")
            return head or "/", last
        if stat.get("mode", 0) & _FOLDER_BIT:
            return target, "" if contents else own
        if local.is_dir():
            raise self._sink.failure("cannot copy directory")
        head, _, last = target.rpartition("/")
        return head or "/", last


def _followed_deep(context: Context, container: str, path: str) -> str:
    try:
        return _followed(context, container, path)
    except ClientError:
        return path


class _Counted:
    """Chunks, and how many bytes they were."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


def export(parsed: Parsed, context: Context) -> Result:
    """``docker export``."""
    sink = Sink(context)
    return write_archive(context.client.container_export(parsed.arguments[0]), parsed.text("output"), context, sink)


def commit(parsed: Parsed, context: Context) -> Result:
    """``docker commit``: prints the image's id."""
    container, *rest = parsed.arguments
    sink = Sink(context)
    repo = tag = None
    if rest and rest[0]:
        try:
            reference = normalized(rest[0])
        except ValueProblem as problem:
            raise sink.failure(str(problem)) from None
        if reference.digest:
            raise sink.failure("cannot commit to digest reference")
        repo, tag = reference.familiar_name, reference.with_default_tag().tag
    answer = context.client.container_commit(
        container,
        repo=repo,
        tag=tag,
        comment=parsed.text("message") or None,
        author=parsed.text("author") or None,
        changes=parsed.list("change"),
        pause=parsed.flag("pause"),
    )
    sink.out(f"{answer['Id']}\n")
    return sink.result()
