from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.images import ImageWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ImageWorld]:
    made = ImageWorld(tmp_path)
    yield made
    made.close()
