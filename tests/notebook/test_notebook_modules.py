"""The modules of live views are put together as text: no two parts may use a name for different things."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from pydockmagic.notebook import widgets
from pydockmagic.notebook.widgets.base import LiveView

NAMES = sorted(path.stem for path in Path(widgets.__file__).parent.glob("*_live.py"))


@pytest.mark.parametrize("name", NAMES)
def test_no_name_stands_for_two_things(name):
    module = importlib.import_module(f"pydockmagic.notebook.widgets.{name}")
    views = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, LiveView)]
    modules = {str(view._esm) for view in views if view is not LiveView}
    assert modules
    for text in modules:
        found = Counter(re.findall(r"^(?:const|let|class|function|async function) (\w+)", text, re.MULTILINE))
        assert [each for each, count in found.items() if count > 1] == []
