"""What every test room shares: who may run which test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# No test asks a registry outside of this machine: those that need one run it themselves.
os.environ.setdefault("PYDOCK_HUB", "off")

# Tools that tests drive or compare with; .ci/run installs them, so that in CI a missing one is a failure.
_TOOLS = {"browser": "chromium"}

_CALCULATING = ("dockerfile", "oci")
"""Rooms whose tests start no engine and touch no network; `scripts/run-tests` runs them beside those that do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what this user or machine cannot run, by name; in CI nothing is left out for a missing tool."""
    # Playwright keeps an event loop running in the main thread as long as its browser lives: other tests come first.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    in_ci = bool(os.environ.get("CI"))
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in _CALCULATING:
            item.add_marker(pytest.mark.calculates)
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        for marker, tool in _TOOLS.items():
            if item.get_closest_marker(marker) and not in_ci and shutil.which(tool) is None:
                item.add_marker(pytest.mark.skip(reason=f"needs {tool}"))
