"""The ``python`` starter: the running interpreter with its standard library, on top of the busybox starter.

The interpreter is moved to ``/usr/local`` as in the images of that name elsewhere: a Python finds its library from
where it lies itself (``Modules/getpath.py``), so builds by pyenv, Debian, conda and uv all bear the move. Left out are
tests, IDLE, Tk and compiled caches, which depend on what was imported on this machine so far.
"""

from __future__ import annotations

import os
import ssl
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .base import SEARCH_PATH, Missing, Starter
from .tree import Tree

__all__ = ["Python"]

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_FULL_VERSION = ".".join(map(str, sys.version_info[:3]))
_LIBRARY = f"/usr/local/lib/python{_VERSION}"
_LEFT_OUT_DIRECTORIES = {
    "__pycache__",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "idle_test",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
}
_LEFT_OUT_FILES = ("_test", "_tkinter", "_ctypes_test", "_xxtestfuzz", "_xxsubinterp", "xxlimited", "turtle.py",
                   "libpython")  # fmt: skip
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_CERTIFICATES_THERE = "/etc/ssl/certs/ca-certificates.crt"
_PIP = """\
#!/usr/local/bin/python3
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""


def base_executable() -> Path:
    """Give the interpreter behind a virtual environment, links resolved."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()


class Python:
    """The recipe."""

    name = "python"
    base = "busybox"

    def tags(self) -> tuple[str, ...]:
        """Give the version's tags; ``slim`` as well, since that is what Dockerfiles for beginners ask for."""
        versions = (str(sys.version_info.major), _VERSION, _FULL_VERSION)
        return ("latest", "slim", *versions, *(f"{version}-slim" for version in versions))

    def fill(self, root: Path) -> Starter:
        """Copy the interpreter. Raises ``Missing`` where its library cannot be found."""
        executable = base_executable()
        tree = Tree(root)
        tree.copy(executable, f"/usr/local/bin/python{_VERSION}")
        for name in ("python", f"python{sys.version_info.major}"):
            tree.symlink(f"/usr/local/bin/{name}", f"python{_VERSION}")
        extensions = _standard_library(tree)
        linked = tree.add_libraries([executable, *extensions])
        pip = _pip(tree)
        certificates = _authorities(tree)
        _odds_and_ends(tree)
        tree.finish()
        source = f"the Python {_FULL_VERSION} that runs the engine ({executable}, {len(linked)} libraries"
        source += f", {pip}" if pip else ", no pip"
        source += ")" if certificates else ", no certificate authorities)"
        return Starter(
            source=source,
            created=tree.newest,
            command=("python3",),
            env=(SEARCH_PATH, "LANG=C.UTF-8", f"PYTHON_VERSION={_FULL_VERSION}"),
        )


def _standard_library(tree: Tree) -> list[Path]:
    """Copy the library; gives its extension modules, whose libraries are needed as well."""
    library = Path(sysconfig.get_path("stdlib"))
    if not (library / "os.py").is_file():
        raise Missing(f"the standard library of {base_executable()} is not where it should be ({library})")
    extensions = []
    for source, relative in _modules(library):
        tree.copy(source, f"{_LIBRARY}/{relative}")
        if source.suffix == ".so":
            extensions.append(source)
    dynload = Path(sysconfig.get_path("platstdlib")) / "lib-dynload"
    if not dynload.is_relative_to(library) and dynload.is_dir():  # lib64 machines
        for source, relative in _modules(dynload):
            tree.copy(source, f"{_LIBRARY}/lib-dynload/{relative}")
            extensions.append(source)
    tree.directory(f"{_LIBRARY}/lib-dynload")
    tree.directory(f"{_LIBRARY}/site-packages")
    return extensions


def _modules(library: Path) -> Iterator[tuple[Path, str]]:
    for place, directories, files in os.walk(library):
        directories[:] = sorted(
            name for name in directories if name not in _LEFT_OUT_DIRECTORIES and not name.startswith("config-")
        )
        for name in sorted(files):
            source = Path(place, name)
            wanted = not name.startswith(_LEFT_OUT_FILES) and not name.endswith((".pyc", ".a"))
            if wanted and source.is_file() and os.access(source, os.R_OK):
                yield source, str(source.relative_to(library))


def _pip(tree: Tree) -> str:
    """Unpack the pip that every Python carries for ``ensurepip``; gives its name and version, or nothing."""
    places = [Path(sysconfig.get_path("stdlib"), "ensurepip", "_bundled"), Path("/usr/share/python-wheels")]
    wheel = next((wheel for place in places for wheel in sorted(place.glob("pip-*.whl"))), None)
    if wheel is None:
        return ""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            parts = Path(name).parts
            if not name.endswith("/") and ".." not in parts and not name.startswith("/"):
                tree.file(f"{_LIBRARY}/site-packages/{name}", archive.read(name))
    for name in ("pip", f"pip{sys.version_info.major}", f"pip{_VERSION}"):
        tree.file(f"/usr/local/bin/{name}", _PIP, 0o755)
    return "pip " + wheel.name.split("-")[1]


def _authorities(tree: Tree) -> bool:
    """Copy the certificate authorities and put them where this Python's OpenSSL looks."""
    paths = ssl.get_default_verify_paths()
    candidates = [path for path in (paths.cafile, *_CERTIFICATES) if path]
    source = next((Path(path) for path in candidates if Path(path).is_file()), None)
    if source is None:
        return False
    tree.copy(source, _CERTIFICATES_THERE)
    expected = paths.openssl_cafile
    if expected != _CERTIFICATES_THERE:
        tree.symlink(expected, _CERTIFICATES_THERE)
    return True


def _odds_and_ends(tree: Tree) -> None:
    """Add the locale that the image's LANG names, where the C library keeps it in files, and types of files."""
    for name in ("C.utf8", "C.UTF-8"):
        home = Path("/usr/lib/locale", name)
        if home.is_dir():
            for source in sorted(home.rglob("*")):
                if source.is_file():
                    tree.copy(source, str(source))
            break
    if Path("/etc/mime.types").is_file():
        tree.copy(Path("/etc/mime.types"), "/etc/mime.types")
    tree.directory("/usr/local/sbin")
