"""How long the runtime takes: containers from start to removal, and exec. ``python tests/benchmarks/bench_runtime.py``.

Prints medians in milliseconds, and where a container's time goes. Needs root and busybox-static.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.runtime import Box, make_busybox_root

from pydockmagic.engine.runtime import defaults
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.runtime.spec import ProcessSpec

ROUNDS = 60


def median(seconds):
    return f"{statistics.median(seconds) * 1000:7.1f}  (best {min(seconds) * 1000:.1f})"


async def cycles(driver, specs, attach=()):
    """Start, wait for and delete containers one after the other; give the seconds of each step."""
    steps = {"start": [], "wait": [], "delete": [], "whole": []}
    for spec in specs:
        times = [time.perf_counter()]
        running = await driver.start(spec, attach=attach)
        times.append(time.perf_counter())
        await driver.wait(spec.id)
        times.append(time.perf_counter())
        await driver.delete(spec.id)
        times.append(time.perf_counter())
        for stream in running.streams:
            stream.close()
        for name, begin, end in (("start", 0, 1), ("wait", 1, 2), ("delete", 2, 3), ("whole", 0, 3)):
            steps[name].append(times[end] - times[begin])
    return steps


async def execs(driver, spec, tty):
    """Run ``true`` in a running container; give the seconds from asking to its end."""
    found = []
    process = ProcessSpec(args=("true",), env=("PATH=/bin",), capabilities=defaults.CAPABILITIES, tty=tty)
    for number in range(ROUNDS):
        begin = time.perf_counter()
        await driver.exec(spec.id, f"e{number}{tty}", process)
        await driver.wait_exec(spec.id, f"e{number}{tty}")
        found.append(time.perf_counter() - begin)
    return found


def main():
    with tempfile.TemporaryDirectory(prefix="pydock-bench-") as folder:
        home = Path(folder, "box")
        begin = time.perf_counter()
        box = Box(home, make_busybox_root(Path(folder) / "root"))
        print(f"first zygote          {(time.perf_counter() - begin) * 1000:7.1f}")
        for title, attach, options in (
            ("busybox true", (), {}),
            ("attached", (AttachRequest(),), {}),
            ("with a terminal", (AttachRequest(),), {"tty": True}),
        ):
            steps = box.do(cycles(box.driver, [box.spec("true", **options) for _ in range(ROUNDS)], attach))
            for name, seconds in steps.items():
                print(f"{title:16}{name:7}{median(seconds)}")

        async def together():
            specs = [box.spec("true") for _ in range(20)]
            begin = time.perf_counter()
            await asyncio.gather(*(cycles(box.driver, [spec]) for spec in specs))
            return time.perf_counter() - begin

        print(f"20 at once, each       {box.do(together()) / 20 * 1000:6.1f}")
        spec = box.spec("sleep", "1000")
        box.start(spec)
        print(f"exec true              {median(box.do(execs(box.driver, spec, tty=False)))}")
        print(f"exec -t true           {median(box.do(execs(box.driver, spec, tty=True)))}")
        box.close()


if __name__ == "__main__":
    main()
