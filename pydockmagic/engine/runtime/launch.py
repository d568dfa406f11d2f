"""Starts a zygote: ``python -I -S launch.py RUN_DIR [NET_FD]``; ends when the zygote listens.

A program, not a module: it makes bare package objects, so that our modules load without the packages' own
``__init__`` (and whatever those import) and without site-packages.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    for name, folder in (
        ("pydockmagic", here.parent.parent),
        ("pydockmagic.engine", here.parent),
        ("pydockmagic.engine.runtime", here),
    ):
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    zygote = import_module("pydockmagic.engine.runtime.zygote")
    zygote.main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else -1)
