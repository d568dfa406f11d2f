"""``python -m benchmarks [NAME ...]`` (or ``make bench``): run all benchmarks, or those named."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(names: list[str]) -> None:
    """Run the benchmark modules of this folder, each with its ``main()``."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    for module in modules:
        if not names or module.removeprefix("bench_") in names:
            print(f"== {module.removeprefix('bench_')}", flush=True)
            importlib.import_module(f"benchmarks.{module}").main()


main(sys.argv[1:])
