"""Where the recorded behaviour of the real Docker lies, for the tests that compare with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

__all__ = ["conformance_root", "vector"]

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"


def conformance_root() -> Path:
    """Give the folder, or skip the module by name where there is none."""
    root = Path(os.environ.get("PYDOCK_CONFORMANCE") or _BESIDE)
    if not root.is_dir():
        pytest.skip(f"no recorded behaviour at {root}", allow_module_level=True)
    return root


def vector(name: str) -> Any:
    """Read one JSON file of vectors."""
    return json.loads((conformance_root() / "vectors" / name).read_text())
