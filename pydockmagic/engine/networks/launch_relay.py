"""Starts the relay: ``python -I -S launch_relay.py RUN_DIR TCP_FD DNS_FD OWN_DNS_FD [UDP_FD... CONNTRACK_FD]``.

A program, not a module: as with the zygote's, bare package objects let our modules load without the packages' own
``__init__`` and without site-packages.
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
        ("pydockmagic.engine.runtime", here.parent / "runtime"),
        ("pydockmagic.engine.networks", here),
    ):
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    import_module("pydockmagic.engine.networks.relay").main(sys.argv[1:])
