"""``python -m benchmarks [NAME ...]`` (or ``make bench``): run all benchmarks, or those named."""

from __future__ import annotations

import compileall
import importlib
import sys
from pathlib import Path

import pydockmagic


def main(names: list[str]) -> None:
    """Run the benchmark modules of this folder, each with its ``main()``."""
    # As an installed package is: an environment that writes no byte code would compile half a megabyte at each start.
    compileall.compile_dir(Path(pydockmagic.__file__).parent, quiet=1)
    modules = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    for module in modules:
        if not names or module.removeprefix("bench_") in names:
            print(f"== {module.removeprefix('bench_')}", flush=True)
            importlib.import_module(f"benchmarks.{module}").main()


main(sys.argv[1:])
