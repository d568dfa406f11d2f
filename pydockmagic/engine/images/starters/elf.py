"""Which libraries a program of this machine needs: ELF read by hand, and the search of the dynamic linker retraced.

Follows elf(5) and ld.so(8). Nothing is run: ``ldd`` would start the program's own interpreter, and is not everywhere.
"""

from __future__ import annotations

import glob
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Elf", "NotElfError", "libraries", "read_elf"]

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")


class NotElfError(ValueError):
    """The file is no 64-bit little-endian ELF."""


@dataclass(frozen=True)
class Elf:
    """What the dynamic linker would read of a file. ``interpreter`` is empty for static programs and libraries."""

    machine: int
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = field(default=())
    """DT_RUNPATH or, failing it, DT_RPATH, with ``$ORIGIN`` filled in."""
    dynamic: bool = False


def read_elf(path: Path) -> Elf:
    """Read an ELF file. Raises ``NotElfError``, ``OSError``."""
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise NotElfError(f"{path} is empty") from None
    with data:
        try:
            return _parse(data, path)
        except (struct.error, OverflowError, UnicodeDecodeError) as error:
            raise NotElfError(f"{path}: {error}") from None


def _parse(data: mmap.mmap, path: Path) -> Elf:
    ident, _, machine, _, _, offset, _, _, _, size, count, _, _, _ = _HEADER.unpack_from(data)
    if ident[:6] != b"\x7fELF\x02\x01":
        raise NotElfError(f"{path} is no 64-bit little-endian ELF")
    loads: list[tuple[int, int, int]] = []
    interpreter = ""
    table: list[tuple[int, int]] = []
    dynamic = False
    for number in range(count):
        kind, _, position, address, _, length, _, _ = _PROGRAM.unpack_from(data, offset + number * size)
        if kind == _PT_LOAD:
            loads.append((address, position, length))
        elif kind == _PT_INTERP:
            interpreter = data[position : position + length].rstrip(b"\0").decode()
        elif kind == _PT_DYNAMIC:
            dynamic = True
            table = [_DYNAMIC.unpack_from(data, position + at) for at in range(0, length - 15, 16)]
    strings = next((_offset(loads, value) for tag, value in table if tag == _DT_STRTAB), 0)
    texts: dict[int, list[str]] = {_DT_NEEDED: [], _DT_RPATH: [], _DT_RUNPATH: []}
    for tag, value in table:
        if tag == 0:
            break
        if tag in texts:
            texts[tag].append(_text(data, strings + value))
    paths = (texts[_DT_RUNPATH] or texts[_DT_RPATH] or [""])[0]
    origin = str(path.resolve().parent)
    search = tuple(p.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for p in paths.split(":") if p)
    return Elf(machine, interpreter, tuple(texts[_DT_NEEDED]), search, dynamic)


def _offset(loads: Iterable[tuple[int, int, int]], address: int) -> int:
    for start, position, length in loads:
        if start <= address < start + length:
            return address - start + position
    return 0


def _text(data: mmap.mmap, start: int) -> str:
    end = data.find(b"\0", start)
    return data[start:end].decode()


def libraries(programs: Iterable[Path]) -> dict[str, Path]:
    """Give soname -> file of everything the programs and libraries need, found as ld.so(8) would find it.

    The interpreters are among them, under their whole paths. What cannot be found is left out: the linker of the
    machine would not find it either.
    """
    found: dict[str, Path] = {}
    pending = list(programs)
    machine_directories = list(_machine_directories())
    while pending:
        program = pending.pop()
        try:
            elf = read_elf(program)
        except (NotElfError, OSError):
            continue
        if elf.interpreter and Path(elf.interpreter).exists():
            found.setdefault(elf.interpreter, Path(elf.interpreter))
        for name in elf.needed:
            if name in found:
                continue
            path = _search(name, elf, machine_directories)
            if path is not None:
                found[name] = path
                pending.append(path)
    # An interpreter is also a library (libc names it): one copy, where programs look for it.
    interpreters = {Path(name).name for name in found if "/" in name}
    return {name: path for name, path in found.items() if "/" in name or name not in interpreters}


def _search(name: str, elf: Elf, machine_directories: list[Path]) -> Path | None:
    if "/" in name:
        return Path(name) if Path(name).exists() else None
    environment = [Path(p) for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p]
    for directory in [*environment, *map(Path, elf.search), *machine_directories]:
        candidate = directory / name
        if candidate.is_file() and _same_machine(candidate, elf.machine):
            return candidate
    return None


def _same_machine(path: Path, machine: int) -> bool:
    try:
        return read_elf(path).machine == machine
    except (NotElfError, OSError):
        return False


def _machine_directories() -> Iterator[Path]:
    """Give the directories that the machine's linker searches: the trusted ones first, then ld.so.conf's.

    The linker itself goes the other way round (through its cache), but an image has no cache: what lies in a trusted
    directory is found there.
    """
    tuples = sorted(glob.glob("/lib/*-linux-*")) + sorted(glob.glob("/usr/lib/*-linux-*"))  # noqa: PTH207 - plain texts
    for text in [*tuples, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]:
        if Path(text).is_dir():
            yield Path(text)
    yield from _configured(Path("/etc/ld.so.conf"), depth=0)


def _configured(path: Path, depth: int) -> Iterator[Path]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for raw in lines:
        line = raw.partition("#")[0].strip()
        if line.startswith("include ") and depth < 5:
            pattern = line.removeprefix("include ").strip()
            pattern = pattern if pattern.startswith("/") else f"{path.parent}/{pattern}"
            for included in sorted(glob.glob(pattern)):  # noqa: PTH207 - an absolute pattern
                yield from _configured(Path(included), depth + 1)
        elif line.startswith("/") and Path(line).is_dir():
            yield Path(line)
