"""Docker contexts: named daemons, in the files where the docker command keeps them.

Under ``DOCKER_CONFIG`` or ``~/.docker``: ``contexts/meta/<sha256 of the name>/meta.json`` holds description and
endpoint, ``contexts/tls/<sha256>/docker/`` the certificates ``ca.pem``, ``cert.pem`` and ``key.pem``. What is made
here, the docker command finds, and the other way round.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from .errors import BadAddress
from .tls import TlsFiles

__all__ = ["DEFAULT", "ContextStore", "DockerContext", "docker_config_dir"]

DEFAULT = "default"
_DEFAULT_HOST = "unix:///var/run/docker.sock"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
_LARGEST = 10 << 20  # bytes, as docker limits each file of a context archive
_PIECES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


def docker_config_dir(environ: Mapping[str, str]) -> Path:
    """Where the docker command keeps its files: ``DOCKER_CONFIG`` or ``~/.docker``."""
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"])
    return Path(environ.get("HOME") or Path.home()) / ".docker"


@dataclass(frozen=True, slots=True)
class DockerContext:
    """A named daemon: where it listens, and which certificates it is talked to with."""

    name: str
    host: str
    description: str = ""
    tls: TlsFiles | None = None
    skip_tls_verify: bool = False


class ContextStore:
    """The contexts of one docker configuration folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return the store of the folder that these variables name."""
        return cls(docker_config_dir(environ))

    def meta_path(self, name: str) -> Path:
        """Return the folder of a context's description."""
        return self._folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()

    def tls_path(self, name: str) -> Path:
        """Return the folder of a context's certificates."""
        return self._folder / "contexts" / "tls" / hashlib.sha256(name.encode()).hexdigest()

    def all(self) -> list[DockerContext]:
        """Return every context by name, ``default`` first; what cannot be read is left out."""
        found = []
        for path in (self._folder / "contexts" / "meta").glob("*/meta.json"):
            try:
                found.append(self.get(str(json.loads(path.read_bytes())["Name"])))
            except (OSError, ValueError, KeyError, TypeError, BadAddress):
                continue
        return [self.get(DEFAULT), *sorted(found, key=lambda each: each.name)]

    def get(self, name: str) -> DockerContext:
        """Return a context. Raises ``BadAddress`` in docker's words."""
        if name == DEFAULT:
            return DockerContext(DEFAULT, _DEFAULT_HOST, "Current DOCKER_HOST based configuration")
        path = self.meta_path(name) / "meta.json"
        try:
            found = _read_meta(name, path.read_bytes())
        except FileNotFoundError:
            raise BadAddress(f'context "{name}": context not found: open {path}: no such file or directory') from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise BadAddress(f'context "{name}": cannot be read: {error}') from None
        folder, verify = self.tls_path(name) / "docker", not found.skip_tls_verify
        if folder.is_dir():
            return replace(found, tls=TlsFiles.inside(folder, verify=verify))
        return found if verify else replace(found, tls=TlsFiles(verify=False))

    def put(self, context: DockerContext, *, overwrite: bool = False) -> None:
        """Keep a context; its certificates are copied. Raises ``BadAddress`` for a name that cannot be or is taken."""
        check_name(context.name)
        meta = self.meta_path(context.name)
        if not overwrite and (meta / "meta.json").exists():
            raise BadAddress(f'context "{context.name}" already exists')
        pieces = _read_pieces(context.tls)
        folder = self.tls_path(context.name)
        shutil.rmtree(folder, ignore_errors=True)
        if pieces:
            (folder / "docker").mkdir(parents=True, mode=0o700)
            for name, content in pieces.items():
                _write(folder / "docker" / name, content)
        meta.mkdir(parents=True, exist_ok=True)
        _write(meta / "meta.json", json.dumps(described(context), separators=(",", ":")).encode())

    def export(self, name: str) -> bytes:
        """Return a context as an archive that ``docker context import`` takes: ``meta.json``, ``tls/docker/*``."""
        found = self.get(name)
        members = {"meta.json": json.dumps(described(found), separators=(",", ":")).encode()}
        members |= {f"tls/docker/{piece}": content for piece, content in _read_pieces(found.tls).items()}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for member, content in members.items():
                entry = tarfile.TarInfo(member)
                entry.mode, entry.size = 0o600, len(content)
                archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()

    def import_(self, name: str, archive: bytes) -> None:
        """Keep an exported context under a name. Raises ``BadAddress`` where the archive is not one."""
        members = _members(archive)
        try:
            found = _read_meta(name, members["meta.json"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadAddress("unexpected context file: meta.json is missing or cannot be read") from None
        with tempfile.TemporaryDirectory() as folder:
            pieces = [piece for piece in _PIECES if f"tls/docker/{_PIECES[piece]}" in members]
            for piece in pieces:
                _write(Path(folder) / _PIECES[piece], members[f"tls/docker/{_PIECES[piece]}"])
            tls = TlsFiles.inside(Path(folder), verify=not found.skip_tls_verify) if pieces else None
            self.put(replace(found, tls=tls))

    def remove(self, name: str) -> None:
        """Forget a context and its certificates. Raises ``BadAddress`` where there is none of that name."""
        if name == DEFAULT:
            raise BadAddress('context "default" cannot be removed')
        self.get(name)
        shutil.rmtree(self.meta_path(name))
        shutil.rmtree(self.tls_path(name), ignore_errors=True)


def check_name(name: str) -> None:
    """Refuse what docker refuses as the name of a new context."""
    if name == DEFAULT:
        raise BadAddress('"default" is a reserved context name')
    if not _NAME.fullmatch(name):
        raise BadAddress(f'context name "{name}" is invalid, names are validated against regexp "^{_NAME.pattern}$"')


def described(context: DockerContext) -> dict[str, Any]:
    """Return what ``meta.json`` says of a context."""
    metadata = {"Description": context.description} if context.description else {}
    endpoint = {"Host": context.host, "SkipTLSVerify": context.skip_tls_verify}
    return {"Name": context.name, "Metadata": metadata, "Endpoints": {"docker": endpoint}}


def _read_meta(name: str, text: bytes) -> DockerContext:
    """Read a ``meta.json``, which knows nothing of certificates; what is wrong with it is raised as it comes."""
    meta = json.loads(text)
    endpoint = meta["Endpoints"]["docker"]
    description = str((meta.get("Metadata") or {}).get("Description", ""))
    unverified = bool(endpoint.get("SkipTLSVerify", False))
    return DockerContext(name, str(endpoint["Host"]), description, skip_tls_verify=unverified)


def _members(archive: bytes) -> dict[str, bytes]:
    """Read the files of a tar or zip archive, into memory only: no path of it is ever used."""
    stream = io.BytesIO(archive)
    found: dict[str, bytes] = {}
    try:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as packed:
                known = [entry for entry in packed.infolist() if entry.file_size <= _LARGEST]
                return {entry.filename: packed.read(entry) for entry in known}
        stream.seek(0)
        with tarfile.open(fileobj=stream) as archived:
            for member in archived:
                content = archived.extractfile(member) if member.isfile() and member.size <= _LARGEST else None
                if content is not None:
                    found[member.name] = content.read()
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError):
        if not found:  # docker's own archives have no end mark: what came before it counts
            raise BadAddress("unexpected context file: neither a tar nor a zip archive") from None
    return found


def _read_pieces(tls: TlsFiles | None) -> dict[str, bytes]:
    if tls is None:
        return {}
    paths = {_PIECES[piece]: path for piece in _PIECES if (path := getattr(tls, piece)) is not None}
    try:
        return {name: path.read_bytes() for name, path in paths.items()}
    except OSError as error:
        raise BadAddress(f"open {error.filename}: {(error.strerror or '').lower()}") from None


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or none, for this user only."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.rename(path)
