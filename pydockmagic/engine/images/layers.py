"""Unpacked layers on disk: ``layers/HEX/{diff,index,changes}`` by chain id, shared by all images that have them.

``diff`` is the layer in overlayfs form, ``index`` what is in it (`LayerIndex`), ``changes`` what it does to the layers
below (`Changes`). All three appear together, by one rename. Every method may block: call in a thread.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.storage.form import overlay_prefix
from pydockmagic.engine.storage.trash import Trash
from pydockmagic.oci.digest import chain_id, hex_of, sha256_digest
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer import Kind, LayerIndex, ScannedLayer, extract, iter_tar, write_tar
from pydockmagic.oci.layer.decompress import open_stream
from pydockmagic.oci.layer.reader import ByteStream

from .changes import Changes, compare
from .records import LayerRecord

__all__ = ["Layers", "told"]

_KEPT_INDEXES = 128


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Give what is wrong with an archive, or with the disk, in the words in which Docker complains of it."""
    try:
        yield
    except OciError as error:
        # Docker says no more than this where a tar ends too early.
        reason = "unexpected EOF" if str(error).startswith("unexpected EOF") else str(error)
        raise InvalidParameter(f"Error processing {what}(exit status 1): {reason}") from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        reason = (error.strerror or str(error)).lower()
        raise EngineError(f"Error processing {what}(exit status 1): {place}{reason}") from error


class _Counter:
    """Where a tar is written to when only its size and digest are wanted."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self.size += len(data)


class Layers:
    """The folder ``layers`` of a data root."""

    def __init__(self, data_root: Path, trash: Trash) -> None:
        self._home = data_root / "layers"
        self._home.mkdir(parents=True, exist_ok=True, mode=0o710)
        self._trash = trash
        self._lock = threading.Lock()
        self._one_owner = _one_owner()
        # Indexes and changes are immutable once a layer exists; a chain id never means another layer.
        self.index = functools.lru_cache(_KEPT_INDEXES)(self._read_index)
        self.changes = functools.lru_cache(_KEPT_INDEXES)(self._read_changes)
        self._owners = functools.lru_cache(8)(self._merge_owners)

    def directory(self, chain: str) -> Path:
        """Give the directory of a layer in overlayfs form."""
        return self._home / hex_of(chain) / "diff"

    def exists(self, chain: str) -> bool:
        """Tell whether a layer is on disk."""
        return self.directory(chain).is_dir()

    def new_directory(self) -> Path:
        """Make an empty directory to fill and hand to ``add``; gone at the next start if it never was."""
        stage = self._home / f".new-{uuid.uuid4().hex}"
        stage.mkdir(mode=0o710)
        directory = stage / "diff"
        directory.mkdir(mode=0o755)
        return directory

    def discard(self, directory: Path) -> None:
        """Throw a directory away that will not become a layer."""
        made_here = directory.parent.parent == self._home and directory.parent.name.startswith(".new-")
        self._trash.discard(directory.parent if made_here else directory)

    def add(self, directory: Path, below: tuple[str, ...], *, clamp_ns: int | None = None) -> LayerRecord:
        """Take a directory over as the layer on top of ``below`` (chain ids, bottom first), reading each file once.

        The directory is gone afterwards, whatever comes of it. A layer that exists already is used as it is.
        """
        with self._stage() as stage, told("layer"):
            directory.rename(stage / "diff")
            self.discard(directory)  # the empty stage that new_directory made around it
            sink = _Counter()
            owners = self._owners(below) if self._one_owner else None
            scanned = write_tar(stage / "diff", sink, clamp_ns=clamp_ns, owners=owners)
            return self._finish(stage, scanned, below, sink.size)

    def add_tar(self, stream: ByteStream, below: tuple[str, ...], *, expected: str | None = None) -> LayerRecord:
        """Unpack a tar (compressed or not) as the layer on top of ``below``; safe whatever the tar holds.

        ``expected`` is the diff id it must have. Raises ``InvalidParameter``.
        """
        with self._stage() as stage, told("tar file"), open_stream(stream) as plain:
            diff = stage / "diff"
            diff.mkdir(mode=0o755)
            user = overlay_prefix(str(self._home)).startswith("user.")
            counted = _Counted(plain)
            scanned = extract(
                counted,
                diff,
                whiteouts="overlay-user" if user else "overlay-trusted",
                devices="skip" if self._one_owner else "make",
                owners="index" if self._one_owner else "disk",
            )
            if expected is not None and scanned.diff_id != expected:
                raise InvalidParameter(f"layer is damaged: its content has {scanned.diff_id}, not {expected}")
            return self._finish(stage, scanned, below, counted.size)

    @contextlib.contextmanager
    def _stage(self) -> Iterator[Path]:
        """Give a directory to make a layer in; what still lies there when the block is left is thrown away."""
        stage = self._home / f".new-{uuid.uuid4().hex}"
        stage.mkdir(mode=0o710)
        try:
            yield stage
        finally:
            self._trash.discard(stage)

    def _finish(self, stage: Path, scanned: ScannedLayer, below: tuple[str, ...], tar_size: int) -> LayerRecord:
        chain = f"{below[-1]} {scanned.diff_id}" if below else ""
        name = sha256_digest(chain.encode()) if chain else chain_id([scanned.diff_id])
        record = LayerRecord(
            chain_id=name,
            diff_id=scanned.diff_id,
            parent=below[-1] if below else None,
            size=scanned.content_size + _symlink_bytes(scanned.index),
            files=len(scanned.index),
            tar_size=tar_size,
        )
        if self.exists(name):
            return record
        changes = compare(scanned.index, [(c, self.index(c)) for c in reversed(below)])
        (stage / "index").write_bytes(scanned.index.encode())
        (stage / "changes").write_bytes(msgspec.msgpack.encode(changes))
        with self._lock:  # two builds may make the same layer at the same time: one of them wins
            if not self.exists(name):
                stage.rename(self._home / hex_of(name))
        return record

    def describe(self, directory: Path, below: tuple[str, ...]) -> tuple[LayerIndex, Changes]:
        """Index any directory in overlayfs form as if it were the next layer, and tell what it changes."""
        owners = self._owners(below) if self._one_owner else None
        index = write_tar(directory, _Counter(), owners=owners).index
        return index, compare(index, [(c, self.index(c)) for c in reversed(below)])

    def tar(self, record: LayerRecord) -> Iterator[bytes]:
        """Write a layer's uncompressed tar anew, bit for bit. Raises ``EngineError`` if the directory was touched."""
        owners = self.index(record.chain_id).owners() if self._one_owner else None
        digest = hashlib.sha256()
        for chunk in iter_tar(self.directory(record.chain_id), owners=owners):
            digest.update(chunk)
            yield chunk
        if "sha256:" + digest.hexdigest() != record.diff_id:
            raise EngineError(f"layer {record.chain_id} on disk is not what it was when it was made")

    def remove(self, chain: str) -> None:
        """Throw a layer away. Idempotent."""
        self._trash.discard(self._home / hex_of(chain))

    def sweep(self, known: Collection[str]) -> None:
        """Throw away what is half made and what no record names: at start, before anything writes."""
        names = {hex_of(chain) for chain in known}
        for entry in self._home.iterdir():
            if entry.name not in names:
                self._trash.discard(entry)

    def _read_index(self, chain: str) -> LayerIndex:
        return LayerIndex.decode((self._home / hex_of(chain) / "index").read_bytes())

    def _read_changes(self, chain: str) -> Changes:
        return msgspec.msgpack.decode((self._home / hex_of(chain) / "changes").read_bytes(), type=Changes)

    def _merge_owners(self, below: tuple[str, ...]) -> dict[str, tuple[int, int]]:
        """Collect the owners that a disk with one user cannot hold, from all layers below."""
        merged: dict[str, tuple[int, int]] = {}
        for chain in below:
            merged.update(self.index(chain).owners())
        return merged


class _Counted:
    """A stream that counts what is read of it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.size += len(data)
        return data


def _symlink_bytes(index: LayerIndex) -> int:
    """Count the texts of symlinks: Docker adds up what ``stat`` gives for everything but directories."""
    return sum(len(os.fsencode(text)) for row, text in index.links.items() if index.kind(row) is Kind.SYMLINK)


def _one_owner() -> bool:
    """Tell whether every file here belongs to one user: no root, or a user namespace with a single id."""
    if os.geteuid() != 0:
        return True
    with Path("/proc/self/uid_map").open() as table:
        return sum(int(line.split()[2]) for line in table) <= 1
