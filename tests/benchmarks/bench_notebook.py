"""What a person at a notebook waits for: loading the extension, the first container, the layers of a big image."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client import BlockingKernelClient, KernelManager

from benchmarks.pairs import bound, compare

FILES = 100_000
_LINES = 100_000
_OVERHEAD = """
import statistics, time
from IPython import get_ipython
from pydockmagic.client import connect
client = connect()
def milliseconds(action):
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000
pairs = [(milliseconds(lambda: get_ipython().run_line_magic("container", "ls --all")),
          milliseconds(lambda: client.containers(all=True))) for _ in range(50)]
overhead = statistics.median(ours - call for ours, call in pairs)
"""
"""What the magic takes beyond the one API call that it makes, its table included."""


@contextmanager
def _kernel(root: Path) -> Iterator[BlockingKernelClient]:
    """Give a fresh kernel whose embedded engine keeps its data below ``root``."""
    manager = KernelManager(kernel_name="python3")
    # The kernel warns of plain tcp on stderr; its figures are what is asked for here.
    manager.start_kernel(
        stderr=subprocess.DEVNULL, env={**os.environ, "PYDOCK_ROOT": str(root), "XDG_RUNTIME_DIR": str(root.parent)}
    )
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _run(client: BlockingKernelClient, code: str, *, until: str = "") -> float:
    """Execute a cell; give the milliseconds to the first output that holds ``until``, or to the end of the cell."""
    started = time.perf_counter()
    first = 0.0
    message_id = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != message_id:
            continue
        content = message["content"]
        assert message["msg_type"] != "error", content
        if until and not first and until in str(content.get("text") or content.get("data") or ""):
            first = (time.perf_counter() - started) * 1000
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            break
    assert not until or first, f"{until!r} was never shown"
    return first or (time.perf_counter() - started) * 1000


def _pydock(root: Path, *words: str, given: bytes | None = None) -> None:
    environment = {**os.environ, "PYDOCK_ROOT": str(root), "XDG_RUNTIME_DIR": str(root.parent)}
    command = [sys.executable, "-m", "pydockmagic.cli", *words]
    subprocess.run(command, check=True, capture_output=True, env=environment, input=given)


def big_image() -> bytes:
    """Make the tar of a root with 100,000 small files in 1,000 folders."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(FILES):
            member = tarfile.TarInfo(f"srv/{number // 100:04}/file-{number:06}.txt")
            member.size = 8
            archive.addfile(member, io.BytesIO(b"contents"))
    return buffer.getvalue()


def _overhead(client: BlockingKernelClient) -> float:
    _run(client, _OVERHEAD)
    answer = client.execute_interactive("", user_expressions={"overhead": "overhead"}, timeout=60)
    return float(answer["content"]["user_expressions"]["overhead"]["data"]["text/plain"])


def _many_lines(root: Path, *, every: bool) -> None:
    """Show a container's lines in a cell beside a loop that prints as many: all of them, or as it is set, the tail."""
    with _kernel(root) as client:
        _run(client, "%load_ext pydockmagic\n%container run --rm busybox true")
        if every:
            _run(client, "%config DockMagic.lines = 0")
        compare(
            f"{_LINES:,} lines of a container in a cell" + (", each shown" if every else ""),
            lambda: _run(client, f"%container run --rm busybox seq {_LINES}"),
            lambda: _run(client, f"for number in range({_LINES}): print(number + 1)"),
            peer_name="a loop of print",
            goal=0.67,
            runs=5,
        )


def main() -> None:
    """Print the figures against their bounds."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        root = Path(name) / "data"

        def load() -> float:
            with _kernel(root) as client:
                return _run(client, "%load_ext pydockmagic")

        bound("%load_ext pydockmagic", load, goal=150)

        def first_output() -> float:
            _pydock(root, "engine", "stop")
            with _kernel(root) as client:
                _run(client, "%load_ext pydockmagic")
                return _run(client, "%container run --rm busybox echo it-runs", until="it-runs")

        _pydock(root, "run", "--rm", "busybox", "true")
        bound("no engine running -> first output of a container", first_output, goal=1000)

        with _kernel(root) as client:
            _run(client, "%load_ext pydockmagic\n%container run --rm busybox true")
            bound("a magic's overhead over its API call", lambda: _overhead(client), goal=10)
        for every in (False, True):
            _many_lines(root, every=every)

        _pydock(root, "import", "-", "big:latest", given=big_image())
        with _kernel(root) as client:
            _run(client, "%load_ext pydockmagic\n%container run --rm busybox true")
            bound(f"%layers of an image with {FILES:,} files", lambda: _run(client, "%layers big"), goal=500)
        _pydock(root, "engine", "stop")
