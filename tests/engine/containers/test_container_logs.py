"""Reading logs again: tail, since, rotation, following, and lines that a crash cut off."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydockmagic.engine.containers.config import ContainerConfig, HostConfig, LogConfig
from pydockmagic.engine.containers.container import Container
from pydockmagic.engine.containers.frames import Unframed, frame, split_frames
from pydockmagic.engine.containers.logfiles import LogPart, log_files
from pydockmagic.engine.containers.logs import LogQuery, Logs, _Reader
from pydockmagic.engine.containers.records import ContainerRecord
from pydockmagic.engine.containers.specs import Files
from pydockmagic.engine.errors import EngineError


def line(text: str, second: int = 1, stream: str = "stdout") -> str:
    return json.dumps({"log": text, "stream": stream, "time": f"1970-01-01T00:00:{second:02d}.5Z"}) + "\n"


class Room:
    """A container's log directory, without an engine."""

    def __init__(self, folder, *, tty=False, driver="json-file"):
        self.folder = folder
        record = ContainerRecord(
            id="c" * 64, name="box", created_ns=1, path="sh", args=[], image_id="i", image_ref="i",
            config=ContainerConfig(tty=tty), host_config=HostConfig(log_config=LogConfig(type=driver)),
        )  # fmt: skip
        record.state.started_ns = 1
        self.container = Container(record)
        self.log = self.files(record.id).log
        self.log.parent.mkdir(parents=True)

    def files(self, container_id):
        return Files.of(self.folder, container_id)

    async def read(self, **query) -> str:
        raw = b"".join([chunk async for chunk in Logs(self).read(self.container, LogQuery(**query))])
        if self.container.record.config.tty:
            return raw.decode()
        return "".join(data.decode() for _, data in split_frames(raw))


def read(room: Room, **query) -> str:
    return asyncio.run(room.read(**query))


@pytest.fixture
def room(tmp_path):
    def make(**options):
        async def inside():
            return Room(tmp_path, **options)

        return asyncio.run(inside())

    return make


def test_streams_and_tail_and_times_are_chosen(room):
    made = room()
    made.log.write_text(line("one\n", 1) + line("two\n", 2, "stderr") + line("three\n", 3))
    assert read(made) == "one\ntwo\nthree\n"
    assert read(made, stderr=False) == "one\nthree\n"
    assert read(made, tail=2) == "two\nthree\n"
    assert read(made, tail=1, stdout=False) == "two\n"
    assert read(made, tail=0) == ""
    assert read(made, since=2_000_000_000) == "two\nthree\n"
    assert read(made, until=2_600_000_000) == "one\ntwo\n"
    assert read(made, tail=1, timestamps=True) == "1970-01-01T00:00:03.500000000Z three\n"


def test_a_terminals_log_is_not_framed(room):
    made = room(tty=True)
    made.log.write_text(line("plain\r\n"))
    assert read(made) == "plain\r\n"


def test_rotated_files_are_read_oldest_first(room):
    made = room()
    made.log.write_text(line("new\n"))
    made.log.with_name(made.log.name + ".1").write_text(line("old\n"))
    made.log.with_name(made.log.name + ".2").write_text(line("oldest\n"))
    made.log.with_name(made.log.name + ".tmp").write_text("no log")
    assert [path.suffix for path in log_files(made.log)] == [".2", ".1", ".log"]
    assert read(made) == "oldest\nold\nnew\n"
    assert read(made, tail=2) == "old\nnew\n"


@given(
    files=st.lists(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(0, 40_000)), max_size=8),
                   min_size=1, max_size=3),
    tail=st.integers(0, 12), stdout=st.booleans(), cut=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_tail_is_the_end_of_the_whole(tmp_path_factory, files, tail, stdout, cut):
    async def body():
        room = Room(tmp_path_factory.mktemp("log"))
        number = 0
        for index, entries in enumerate(files):
            suffix = "" if index == len(files) - 1 else f".{len(files) - 1 - index}"
            text = ""
            for stream, size in entries:
                number += 1
                text += line(f"{number}" + "x" * size + "\n", 1, stream)
            room.log.with_name(room.log.name + suffix).write_text(text)
        if cut:
            with room.log.open("a") as file:
                file.write('{"log":"half')
        whole = (await room.read(stdout=stdout)).splitlines()
        assert (await room.read(stdout=stdout, tail=tail)).splitlines() == whole[len(whole) - min(tail, len(whole)) :]

    asyncio.run(body())


def test_a_line_cut_off_by_a_crash_is_left_out(room):
    made = room()
    made.log.write_text(line("whole\n") + '{"log":"half')
    assert read(made) == "whole\n"


def test_no_log_yet_is_an_empty_log(room):
    assert read(room()) == ""


def test_the_none_driver_has_no_log(room):
    with pytest.raises(EngineError, match="configured logging driver does not support reading"):
        read(room(driver="none"))


def test_following_sees_new_lines_rotation_and_the_end(tmp_path):
    async def body():
        room = Room(tmp_path)
        room.container.ended.clear()
        room.log.write_text(line("one\n"))
        got: list[str] = []
        first = asyncio.Event()

        async def follow():
            async for chunk in Logs(room).read(room.container, LogQuery(follow=True)):
                got.extend(data.decode() for _, data in split_frames(chunk))
                first.set()

        task = asyncio.create_task(follow())
        await asyncio.wait_for(first.wait(), 5)
        with room.log.open("a") as file:
            file.write(line("two\n"))
        room.log.rename(room.log.with_name(room.log.name + ".1"))
        room.log.write_text(line("three\n"))
        async with asyncio.timeout(5):
            while len(got) < 3:
                first.clear()
                await first.wait()
        room.container.ended.set()
        room.container.notify()
        await asyncio.wait_for(task, 5)
        assert got == ["one\n", "two\n", "three\n"]

    asyncio.run(body())


# --- frames ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8), st.integers(1, 20))
def test_frames_come_off_however_a_stream_is_cut(pieces, step):
    whole = b"".join(frame(stream, data) for stream, data in pieces)
    unframed = Unframed()
    parts = [unframed.feed(whole[at : at + step]) for at in range(0, len(whole), step)]
    assert b"".join(parts) == b"".join(data for _, data in pieces)


# --- rotation ----------------------------------------------------------------------------------------------------


def test_compressed_files_are_read_in_their_turn_and_from_their_end(room):
    box = room()
    box.log.write_text(line("new\n", 3))
    (box.log.parent / f"{box.log.name}.1").write_text(line("middle\n", 2))
    (box.log.parent / f"{box.log.name}.2.gz").write_bytes(gzip.compress(line("old\n", 1).encode()))
    assert read(box) == "old\nmiddle\nnew\n"
    assert read(box, tail=1) == "new\n"
    assert read(box, tail=3) == "old\nmiddle\nnew\n"


def test_a_line_that_a_crash_cut_off_costs_only_itself(room):
    box = room()
    box.log.write_text(line("one\n", 1) + '{"log":"tw' + "\n" + line("three\n", 3))
    assert read(box) == "one\nthree\n"


def test_a_rotation_between_two_looks_at_the_files_costs_a_follower_nothing(room, monkeypatch):
    """Files are looked at one after the other: what moves up meanwhile is not to be stepped over."""
    place = room()

    def rotate(written: int) -> None:
        for number in (3, 2, 1):
            old = place.log.with_name(f"{place.log.name}.{number}")
            if old.exists():
                old.rename(place.log.with_name(f"{place.log.name}.{number + 1}"))
        place.log.rename(place.log.with_name(f"{place.log.name}.1"))
        place.log.write_text(line(f"{written}\n"))

    place.log.write_text(line("1\n"))
    reader = _Reader(place.log)
    assert [each.log for lines in reader.past(LogQuery()) for each in lines] == ["1\n"]
    rotate(2)
    rotate(3)
    look, looks = LogPart.of, []

    def moving(path):
        found = look(path)
        looks.append(path)
        if len(looks) == 1:  # the oldest was seen; the one after it takes its name before it is looked at
            rotate(4)
        return found

    monkeypatch.setattr(LogPart, "of", moving)
    assert [each.log for lines in reader.more() for each in lines] == ["2\n", "3\n", "4\n"]
    reader.close()
