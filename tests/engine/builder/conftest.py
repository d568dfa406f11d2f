from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.building import BuildWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[BuildWorld]:
    made = BuildWorld(tmp_path)
    yield made
    made.close()
