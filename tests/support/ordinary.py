"""Run programs as an ordinary user, also where the tests run as root from a place that nobody else may read."""

import functools
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NOBODY = 65534
SERVE = """
import runpy, sys
sys.argv = ["engine", *sys.argv[1:]]
runpy.run_module("pydockmagic.engine", run_name="__main__")
"""
"""The engine as a program, for ``OrdinaryUser.command``."""
_DEPENDENCIES = ("msgspec", "h11", "httpx", "httpcore", "anyio", "certifi", "idna", "typing_extensions")
"""What the engine needs of others; the ordinary user's interpreter may have nothing installed."""


@functools.cache
def interpreter():
    """An interpreter that an ordinary user can run."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    same = f"import sys; assert sys.version_info[:2] == {sys.version_info[:2]!r}"  # for extension modules
    for candidate in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            subprocess.run([candidate, "-c", same], **identity(), capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    msg = "no interpreter here can be run by an ordinary user"
    raise RuntimeError(msg)


def identity():
    """What makes ``subprocess`` start as somebody without privileges."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _copy(source, target):
    """Copy a package so that anybody may read it."""
    if source.is_file():
        shutil.copyfile(source, target.with_suffix(".py"))
        target.with_suffix(".py").chmod(0o644)
        return
    ignored = shutil.ignore_patterns("__pycache__", "*.js", "*.css")
    shutil.copytree(source, target, ignore=ignored, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


class OrdinaryUser:
    """A folder that anybody may read, with the package in it, and programs run there as an ordinary user."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="pydock-test-"))
        self.folder.chmod(0o755)
        for name in ("pydockmagic", *_DEPENDENCIES):
            source = Path(importlib.import_module(name).__file__)
            _copy(source.parent if source.name == "__init__.py" else source, self.folder / name)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.home.chmod(0o777)

    def command(self, program, *arguments):
        return [interpreter(), "-B", "-c", program, *map(str, arguments)]

    def options(self):
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder), "HOME": str(self.home)}
        return {**identity(), "env": environ, "cwd": self.folder, "text": True}

    def run(self, program, *arguments):
        """Run a Python program to its end; give what it printed. Raises AssertionError with its error output."""
        run = subprocess.run(self.command(program, *arguments), capture_output=True, check=False, **self.options())
        assert run.returncode == 0, run.stderr
        return run.stdout

    def start(self, program, *arguments):
        """Start a Python program with pipes."""
        return subprocess.Popen(self.command(program, *arguments), stdin=-1, stdout=-1, **self.options())

    def close(self):
        for folder, _, _ in os.walk(self.folder):
            # overlayfs leaves a work folder that its owner may not enter
            for path in Path(folder).glob("work/work"):
                path.chmod(0o700)
        shutil.rmtree(self.folder)
