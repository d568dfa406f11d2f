"""``python -m pydockmagic.engine.doctor``: examine this machine, and print what the engine can do here.

A program of its own because it forks to try things out, which the engine, with its threads, must not. The engine
starts it by ``examine`` and tells it where it stands.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .networks import doctor as networks
from .runtime import doctor as runtime
from .runtime.doctor import Capability
from .runtime.sandbox import SandboxInfo

__all__ = ["document", "examine", "main", "table"]

_SECONDS = 60.0


def probe(info: SandboxInfo | None = None, data_root: Path | None = None) -> list[Capability]:
    """Examine the machine. For a program with one thread."""
    found = runtime.probe(info, data_root)
    private_net = info.private_net if info is not None else not found[0].consequence.endswith("as root")
    return [*found, *networks.probe(private_net=private_net)]


def examine(info: SandboxInfo, data_root: Path) -> dict[str, Any]:
    """Run this program and give its document; for an engine that stands in its sandbox. Blocks.

    Where the examination itself fails, the document says so instead.
    """
    command = [sys.executable, "-m", "pydockmagic.engine.doctor", "--json", "--data-root", str(data_root)]
    command += ["--sandbox", json.dumps(asdict(info))]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
        answer: dict[str, Any] = json.loads(run.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return {"Capabilities": [], "Error": str(error)}
    return answer


def document(found: Sequence[Capability]) -> dict[str, Any]:
    """Give what was found as the JSON object of ``/pydock/doctor``."""
    rows = [
        {"Name": item.name, "Available": item.available, "Reason": item.reason, "Consequence": item.consequence}
        for item in found
    ]
    return {"Capabilities": rows}


def table(found: Sequence[Capability]) -> str:
    """Give what was found as text, one capability a line and what follows from it below."""
    width = max((len(item.name) for item in found), default=0)
    lines = []
    for item in found:
        lines.append(f"{'yes' if item.available else 'no ':3}  {item.name:<{width}}  {item.reason}")
        lines.append(f"     {'':<{width}}  -> {item.consequence}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; exit code 0 when containers can run here, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m pydockmagic.engine.doctor", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where overlays are to be mounted")
    parser.add_argument("--sandbox", metavar="JSON", help="where an engine that asks already stands")
    options = parser.parse_args(arguments)
    info = None
    if options.sandbox:
        fields = json.loads(options.sandbox)
        info = SandboxInfo(**{**fields, "reasons": tuple(fields["reasons"])})
    found = probe(info, options.data_root)
    sys.stdout.write(json.dumps(document(found), indent=2) + "\n" if options.json else table(found))
    return 0 if found[0].available else 1


if __name__ == "__main__":
    sys.exit(main())
