"""docker-py in a venv of its own, with its tests from the source distribution; kept below ``build/``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(__file__).resolve().parents[3] / "build" / "docker-py"
"""Where everything is kept between runs; git ignores it."""

OLD = ("docker==5.0.3", "requests<2.29", "urllib3<2", "setuptools<70", "pytest<8", "pytest-timeout", "paramiko<6")
"""The release whose tests are run, and the libraries of its time (setuptools brings the distutils it asks for)."""

NEWEST = ("docker>=7",)
"""The docker-py that people install today."""


class OutOfReach(Exception):
    """PyPI could not be asked."""


@dataclass(frozen=True)
class Kit:
    """A Python that imports docker-py, and the folder of its sources (empty where none were asked for)."""

    python: Path
    sources: Path


def prepare(requirements: Sequence[str], *, sources: str = "") -> Kit:
    """Make the venv, or take the one of an earlier run; ``sources`` names a requirement to unpack beside it.

    Raises OutOfReach where pip cannot get what is asked for.
    """
    key = hashlib.sha256(repr((tuple(requirements), sources, sys.version)).encode()).hexdigest()[:12]
    folder = BUILD / f"kit-{key}"
    kit = Kit(folder / "venv" / "bin" / "python", folder / "sources")
    if (folder / "complete").exists():
        return kit
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(sys.executable, "-m", "venv", str(folder / "venv"))
    _run(str(kit.python), "-m", "pip", "install", "--quiet", *requirements)
    if sources:
        _unpack(kit, sources, folder / "sdist")
    (folder / "complete").touch()
    return kit


def _unpack(kit: Kit, requirement: str, download: Path) -> None:
    """Fetch a source distribution and unpack it, without the folder that it is packed in."""
    _run(
        str(kit.python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", str(download),
        requirement,
    )  # fmt: skip
    (archive,) = download.iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(download / "unpacked", filter="data")
    (folder,) = (download / "unpacked").iterdir()
    folder.rename(kit.sources)


def _run(*command: str) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=400)
    if done.returncode:
        raise OutOfReach(f"{' '.join(command)}\n{done.stderr}")
