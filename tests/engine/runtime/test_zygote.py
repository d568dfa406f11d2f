import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from support.leaks import parent
from support.runtime import ALL, BOTH, Box, gone, read_until, talk

from pydockmagic.engine.runtime import bundle
from pydockmagic.engine.runtime.driver import Running
from pydockmagic.engine.runtime.spec import ExitRecord, ProcessSpec

pytestmark = pytest.mark.root


@pytest.fixture
def own(tmp_path, busybox_root):
    """A driver of this test's own, for its zygote comes to harm."""
    box = Box(tmp_path / "own", busybox_root)
    yield box
    box.close()


def restart(box):
    """Let the engine's driver go and make another, as after a restart."""
    box.do(box.driver.close())
    box.driver = box.new_driver()
    box.do(box.driver.open())


def test_a_container_and_its_streams_outlive_the_engine(own):
    spec = own.spec("sh", "-c", "while read line; do echo got $line; done; exit 6", open_stdin=True)
    running = own.start(spec, ALL)
    before = own.driver.zygote_pid
    restart(own)
    assert own.driver.zygote_pid == before
    found = own.do(own.driver.recover())
    assert isinstance(found[spec.id], Running)
    assert (found[spec.id].pid, found[spec.id].started_ns) == (running.pid, running.started_ns)
    second = own.do(own.driver.attach(spec.id, ALL))
    assert own.do(talk(second, b"later\n"))[0] == b"got later\n"
    assert own.wait(spec).code == 6
    running.streams[0].close()


def test_an_end_in_the_engines_absence_is_found(own):
    spec = own.spec("sh", "-c", "read x; exit 3", open_stdin=True)
    running = own.start(spec, ALL)
    own.do(own.driver.close())
    running.streams[0].close()
    own.do(gone(running.pid))
    own.driver = own.new_driver()
    own.do(own.driver.open())
    record = own.do(own.driver.recover())[spec.id]
    assert isinstance(record, ExitRecord)
    assert (record.code, own.wait(spec)) == (3, record)


def test_an_exec_is_waited_for_by_the_next_engine(own):
    spec = own.spec("sleep", "1000")
    own.start(spec)
    process = ProcessSpec(args=("sh", "-c", "read x; exit 4"), env=("PATH=/bin",), open_stdin=True)
    running = own.do(own.driver.exec(spec.id, "e1", process, attach=ALL))
    restart(own)
    own.do(own.driver.recover())
    running.streams[0].close()
    assert own.do(own.driver.wait_exec(spec.id, "e1")).code == 4


def test_the_zygote_ends_when_nobody_needs_it(own):
    first = own.driver.zygote_pid
    own.do(own.driver.close())
    own.do(gone(first))
    assert not list((own.folder / "run").glob("*.sock"))
    own.driver = own.new_driver()
    own.do(own.driver.open())
    assert own.driver.zygote_pid != first


def test_the_zygote_stays_while_a_container_runs_and_ends_with_it(own):
    spec = own.spec("sleep", "1000")
    running = own.start(spec)
    own.do(own.driver.close())
    os.kill(running.pid, signal.SIGKILL)
    own.do(gone(own.driver.zygote_pid))
    own.driver = own.new_driver()
    own.do(own.driver.open())
    assert own.wait(spec).code == 137


def test_a_killed_zygote_takes_no_container_with_it(own):
    spec = own.spec("cat", open_stdin=True)
    (stream,) = own.start(spec, ALL).streams
    first = own.driver.zygote_pid
    os.kill(first, signal.SIGKILL)
    own.do(gone(first))
    assert own.run("echo", "next").stdout == "next\n"
    assert own.driver.zygote_pid != first
    assert own.do(talk(stream, b"still here\n"))[0] == b"still here\n"
    assert own.wait(spec).code == 0


def test_a_killed_supervisor_takes_the_whole_container_with_it(own):
    spec = own.spec("sh", "-c", "sleep 500 & sleep 600 & echo ready; wait")
    running = own.start(spec, BOTH)
    own.do(read_until(running.streams[0], b"ready\n"))
    running.streams[0].close()
    pids = own.do(own.driver.processes(spec.id))
    assert len(pids) == 3
    os.kill(parent(running.pid), signal.SIGKILL)
    record = own.wait(spec)
    assert record.code == 137
    assert "supervisor" in record.error
    assert bundle.read_json(f"{spec.bundle}/exit.json")["code"] == 137
    for pid in pids:
        own.do(gone(pid))
    with pytest.raises(ProcessLookupError):
        own.do(own.driver.processes(spec.id))


def test_zygote_and_supervisor_killed_together_leave_nothing_running(own):
    spec = own.spec("sleep", "1000")
    running = own.start(spec)
    supervisor = parent(running.pid)
    os.kill(own.driver.zygote_pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    assert own.wait(spec).code == 137
    own.do(gone(running.pid))


def test_all_killed_at_once_is_settled_by_the_next_engine(own):
    spec = own.spec("sleep", "1000")
    running = own.start(spec)
    supervisor = parent(running.pid)
    zygote = own.driver.zygote_pid
    own.do(own.driver.close())
    os.kill(zygote, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    own.driver = own.new_driver()
    own.do(own.driver.open())
    record = own.do(own.driver.recover())[spec.id]
    assert record.code == 137
    own.do(gone(running.pid))


def test_an_engine_that_dies_during_a_start_leaves_a_container_that_the_next_one_finds(own):
    spec = own.spec("sleep", "1000")
    link = Path(own.folder, "run/containers", spec.id)

    async def give_up():
        task = asyncio.ensure_future(own.driver.start(spec))
        await asyncio.sleep(0)
        await own.driver.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await task

    own.do(give_up())
    assert link.is_symlink()  # as a killed engine would have left it
    own.driver = own.new_driver()
    own.do(own.driver.open())
    found = own.do(own.driver.recover())
    assert isinstance(found.get(spec.id), (Running, ExitRecord))


def test_two_drivers_share_a_zygote(own):
    other = own.new_driver()
    own.do(other.open())
    assert other.zygote_pid == own.driver.zygote_pid
    own.do(other.close())


def test_many_containers_at_once(own):
    specs = [own.spec("sh", "-c", f"echo {number}; exit {number}") for number in range(20)]

    async def all_of_them():
        async def one(spec):
            (stream,) = (await own.driver.start(spec, attach=(BOTH,))).streams
            out, _ = await talk(stream)
            return out, (await own.driver.wait(spec.id)).code

        return await asyncio.gather(*(one(spec) for spec in specs))

    assert own.do(all_of_them()) == [(f"{number}\n".encode(), number) for number in range(20)]


def test_supervisors_and_zygote_are_small(own):
    spec = own.spec("sleep", "1000")
    running = own.start(spec)
    rollup = Path(f"/proc/{parent(running.pid)}/smaps_rollup").read_text()
    private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
    assert private < 4000, rollup  # kB; the rest is the zygote's, shared


def test_a_start_that_is_given_up_leaves_nothing(own):
    spec = own.spec("sleep", "1000")

    async def give_up():
        task = asyncio.ensure_future(own.driver.start(spec))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.gather(*own.driver._tasks)

    own.do(give_up())
    assert not Path(spec.bundle).exists()
    assert not list(Path(own.folder, "run/containers").iterdir())
    assert spec.id not in own.do(own.driver.recover())


def test_an_exec_that_ended_without_an_engine_is_still_told(own):
    spec = own.spec("sleep", "1000")
    own.start(spec)
    process = ProcessSpec(args=("sh", "-c", "read x; exit 4"), env=("PATH=/bin",), open_stdin=True)
    running = own.do(own.driver.exec(spec.id, "e1", process, attach=ALL))
    own.do(own.driver.close())
    running.streams[0].close()
    own.do(gone(running.pid))
    own.driver = own.new_driver()
    own.do(own.driver.open())
    assert own.do(own.driver.wait_exec(spec.id, "e1")).code == 4
    with pytest.raises(ProcessLookupError):
        own.do(own.driver.wait_exec(spec.id, "e1"))


def test_a_zygote_that_dies_at_a_start_is_replaced(own):
    spec = own.spec("true")
    os.kill(own.driver.zygote_pid, signal.SIGSTOP)

    async def start():
        task = asyncio.ensure_future(own.driver.start(spec))
        await asyncio.sleep(0.05)
        os.kill(own.driver.zygote_pid, signal.SIGKILL)
        await task

    own.do(start())
    assert own.wait(spec).code == 0


def test_an_engine_of_another_version_has_a_zygote_of_its_own(own, monkeypatch):
    from pydockmagic.engine.runtime import wire

    spec = own.spec("sleep", "1000")
    own.start(spec)
    old = own.driver.zygote_pid
    own.do(own.driver.close())
    assert wire.zygote_name() == wire.zygote_name()
    path = next(Path(own.folder, "run").glob("zygote-*.sock"))
    path.rename(path.with_name("zygote-0-00000000.sock"))
    Path(own.folder, "run", path.stem + ".lock").unlink()
    own.driver = own.new_driver()
    own.do(own.driver.open())
    assert own.driver.zygote_pid != old
    assert isinstance(own.do(own.driver.recover())[spec.id], Running)
    own.delete(spec)
    own.do(gone(old))


def test_a_bundle_that_was_taken_away_ends_the_container_all_the_same(own):
    import shutil

    spec = own.spec("sleep", "1000")
    own.start(spec)
    shutil.rmtree(spec.bundle)
    own.do(own.driver.signal(spec.id, signal.SIGKILL))
    assert own.wait(spec).code == 137


def test_a_slow_client_of_an_ended_container_does_not_hold_up_the_next_engine(own):
    spec = own.spec("sh", "-c", "read go; seq 100000; exit 2", open_stdin=True)
    slow, starter = own.start(spec, BOTH, ALL).streams
    starter.send(b"go\n")
    starter.close()
    assert own.wait(spec).code == 2
    own.do(own.driver.close())
    own.driver = own.new_driver()
    own.do(own.driver.open())
    assert own.do(own.driver.recover())[spec.id].code == 2
    own.delete(spec)
    assert own.do(talk(slow))[0].splitlines()[-1] == b"100000"


def test_a_supervisor_that_is_asked_to_end_stops_its_container_first(own):
    spec = own.spec("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    running = own.start(spec, BOTH)
    own.do(read_until(running.streams[0], b"ready\n"))
    running.streams[0].close()
    os.kill(parent(running.pid), signal.SIGTERM)
    assert own.wait(spec).code == 3
