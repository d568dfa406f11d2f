"""Environments of their own: what is built from this tree, installed by pip, and programs in there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Venv", "lowest", "project"]

ROOT = Path(__file__).resolve().parents[2]
# What pip and the programs in an environment need to know of this one; anything else (PYTHONPATH, JUPYTER_PATH) would
# let them find what is not installed there.
_KEPT = re.compile(r"PATH|HOME|LANG|TMPDIR|PIP_.*|(https?|no)_proxy|SSL_CERT_.*", re.IGNORECASE)
_CELLS = """
import json, sys
from jupyter_client.manager import start_new_kernel

name, cells = sys.argv[1], json.loads(sys.argv[2])
manager, client = start_new_kernel(kernel_name=name, startup_timeout=120)
told = {"language": manager.kernel_spec.language, "cells": []}
try:
    for code in cells:
        outputs = []
        reply = client.execute_interactive(code, output_hook=outputs.append, timeout=120, allow_stdin=False)
        told["cells"].append({
            "status": reply["content"]["status"],
            "error": reply["content"].get("evalue", ""),
            "text": "".join(each["content"].get("text") or each["content"].get("data", {}).get("text/plain", "")
                            for each in outputs),
            "streams": sorted({each["content"].get("name", "") for each in outputs} - {""}),
        })
finally:
    client.stop_channels()
    manager.shutdown_kernel()
print(json.dumps(told))
"""


class Venv:
    """A virtual environment below ``folder``; pip's cache is shared with all others."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        subprocess.run([python, "-m", "venv", folder], check=True)

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin/python")

    def environ(self, **more: str) -> dict[str, str]:
        """Give an environment that knows nothing of ours."""
        kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
        path = f"{self.folder / 'bin'}:{kept['PATH']}"
        own = {"JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
        return {**kept, "PATH": path, **{name: str(self.folder / value) for name, value in own.items()}, **more}

    def pip(self, *words: str | Path) -> None:
        """Run pip; what it says is told where it fails."""
        done = self.run("-m", "pip", "--disable-pip-version-check", *map(str, words))
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def run(
        self, *words: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        return subprocess.run(
            [self.python, *words], env=environ or self.environ(), cwd=cwd or self.folder, capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def cells(self, kernel: str, cells: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
        """Run cells in a kernel that Jupyter finds and starts in there; tell what came of each."""
        done = self.run("-c", _CELLS, kernel, json.dumps(cells), environ=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    def files(self) -> set[Path]:
        """Give all files but compiled ones."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(self.folder) for path in found}


@cache
def project() -> dict[str, Any]:
    """Read what pyproject.toml says of the project."""
    described: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return described


def lowest() -> list[str]:
    """Give the lowest version of each dependency that pyproject.toml allows."""
    return [requirement.replace(">=", "==") for requirement in project()["dependencies"]]
