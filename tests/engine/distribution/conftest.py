from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.distribution import RegistryWorld
from support.registry import FakeRegistry, fake_registry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, registry: FakeRegistry) -> Iterator[RegistryWorld]:
    made = RegistryWorld(tmp_path, registry)
    yield made
    made.close()
