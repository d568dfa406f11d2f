"""The volume service on a directory of its own: names, labels, filters, pruning, sizes, filling, use by containers."""

from __future__ import annotations

import asyncio
import os

import pytest

from pydockmagic.engine.errors import Conflict, EngineError, InvalidParameter, NoSuchVolume, NotFound
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.trash import Trash
from pydockmagic.engine.volumes import options as local
from pydockmagic.engine.volumes.binding import ready
from pydockmagic.engine.volumes.mounting import Mounter
from pydockmagic.engine.volumes.mounts import parse_bind
from pydockmagic.engine.volumes.records import MountPoint
from pydockmagic.engine.volumes.service import Volumes


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "state.db")
    yield state
    state.close()


@pytest.fixture
def events():
    return EventBus()


@pytest.fixture
def volumes(tmp_path, state, events):
    return _opened(tmp_path, state, events)


def _opened(tmp_path, state, events):
    return Volumes(tmp_path / "volumes", state, events, Mounter(lambda: 0), Trash(tmp_path / "trash"))


def _told(events):
    return [(event.action, event.actor_id) for event in events.past() if event.type == "volume"]


def test_a_volume_is_there_for_the_next_engine(tmp_path, state, volumes):
    asyncio.run(volumes.create("data", labels={"a": "b"}))
    again = _opened(tmp_path, state, EventBus())
    assert again.get("data").labels == {"a": "b"}
    assert again.path("data").is_dir()
    with pytest.raises(NoSuchVolume, match="get other: no such volume"):
        again.get("other")


class _Killed(BaseException):
    """The engine's end at this very point: nothing of it runs any more."""


@pytest.mark.parametrize("written", [False, True])
def test_killed_while_a_volume_is_removed_the_next_engine_has_it_whole_or_not_at_all(
    tmp_path, state, events, volumes, monkeypatch, written
):
    asyncio.run(volumes.create("data"))
    (volumes.path("data") / "file").write_text("kept")

    async def killed(kind, key):
        if written:
            await State.delete(state, kind, key)
        raise _Killed

    monkeypatch.setattr(state, "delete", killed)
    with pytest.raises(_Killed):
        asyncio.run(volumes.remove("data"))
    again = _opened(tmp_path, state, events)
    if written:
        assert again.find("data") is None
        assert [path.name for path in (tmp_path / "volumes").iterdir()] == [".leaving"]
    else:
        assert (again.path("data") / "file").read_text() == "kept"
    assert not list((tmp_path / "volumes" / ".leaving").iterdir())


def test_killed_while_a_volume_is_made_the_next_engine_has_it_whole_or_not_at_all(
    tmp_path, state, events, volumes, monkeypatch
):
    async def killed(kind, key, record):
        await State.put(state, kind, key, record)
        raise _Killed

    monkeypatch.setattr(state, "put", killed)
    with pytest.raises(_Killed):
        asyncio.run(volumes.create("data"))
    again = _opened(tmp_path, state, events)
    assert again.get("data").name == "data"
    assert again.path("data").is_dir()


def test_a_volume_whose_record_cannot_be_deleted_stays_whole(state, volumes, events, monkeypatch):
    asyncio.run(volumes.create("data"))
    (volumes.path("data") / "file").write_text("kept")

    async def full(kind, key):
        raise EngineError("write state.db: no space left on device")

    monkeypatch.setattr(state, "delete", full)
    with pytest.raises(EngineError, match="no space left"):
        asyncio.run(volumes.remove("data"))
    assert volumes.get("data").name == "data"
    assert (volumes.path("data") / "file").read_text() == "kept"
    assert _told(events) == [("create", "data")]


def test_a_name_that_is_removed_and_made_at_once_is_a_new_and_empty_volume(volumes):
    async def both():
        await volumes.create("data")
        (volumes.path("data") / "file").write_text("old")
        await asyncio.gather(volumes.remove("data"), volumes.create("data"))

    asyncio.run(both())
    assert volumes.path("data").is_dir()
    assert not list(volumes.path("data").iterdir())


def test_a_volume_whose_directory_somebody_took_away_can_be_removed(volumes):
    asyncio.run(volumes.create("data"))
    volumes.path("data").rmdir()
    volumes.path("data").parent.rmdir()
    asyncio.run(volumes.remove("data"))
    assert volumes.find("data") is None


def test_a_name_too_long_for_a_directory_leaves_nothing(tmp_path, state, volumes):
    name = "a" * 300
    with pytest.raises(EngineError, match=f"^create {name}: error while creating volume root path '.*': mkdir .*{name}"
                       ": file name too long$"):  # fmt: skip
        asyncio.run(volumes.create(name))
    assert _opened(tmp_path, state, EventBus()).find(name) is None


def test_making_a_volume_twice_gives_the_first(volumes, events):
    asyncio.run(volumes.create("data", labels={"a": "1"}))
    assert asyncio.run(volumes.create("data", labels={"a": "2"})).labels == {"a": "1"}
    assert _told(events) == [("create", "data")]


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"name": "a"}, InvalidParameter,
         "create a: volume name is too short, names should be at least two alphanumeric characters"),
        ({"name": "bad name"}, InvalidParameter, 'create bad name: "bad name" includes invalid characters for a local'),
        ({"name": "vv", "driver": "nosuch"}, NotFound,
         'create vv: error looking up volume plugin nosuch: plugin "nosuch" not found'),
        ({"name": "vv", "options": {"foo": "1"}}, InvalidParameter, 'create vv: invalid option: "foo"'),
        ({"name": "vv", "options": {"type": "tmpfs"}}, InvalidParameter,
         'create vv: missing required option: "device"'),
        ({"name": "vv", "options": {"device": "/x"}}, InvalidParameter, 'create vv: missing required option: "type"'),
        ({"name": "vv", "options": {"size": "1m"}}, InvalidParameter,
         "create vv: quota size requested but no quota support"),
    ],
)  # fmt: skip
def test_wrong_volumes_are_refused_in_dockers_words(volumes, given, error, sentence):
    with pytest.raises(error) as caught:
        asyncio.run(volumes.create(**given))
    assert str(caught.value).startswith(sentence)
    assert not volumes.list({})


def test_a_volume_without_a_name_is_anonymous(volumes):
    record = asyncio.run(volumes.create())
    assert record.anonymous
    assert len(record.name) == 64
    assert record.labels == {"com.docker.volume.anonymous": ""}


def test_a_used_volume_stays(volumes):
    asyncio.run(volumes.create("data"))
    volumes.users = lambda _: ["c0ffee"]
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c0ffee\]"):
        asyncio.run(volumes.remove("data", force=True))
    volumes.users = lambda _: []
    asyncio.run(volumes.remove("data"))
    assert not volumes.path("data").parent.exists()
    asyncio.run(volumes.remove("data", force=True))


def _names(records):
    return {record.name for record in records}


def test_filters_choose_volumes(volumes):
    async def make():
        await volumes.create("one", labels={"k": "v"})
        await volumes.create("two", labels={"k": ""})
        await volumes.create("three")

    asyncio.run(make())
    volumes.users = lambda name: ["c"] if name == "one" else []
    assert _names(volumes.list({"name": ["o"]})) == {"one", "two"}
    assert _names(volumes.list({"name": ["^t"]})) == {"two", "three"}
    assert _names(volumes.list({"label": ["k"]})) == {"one", "two"}
    assert _names(volumes.list({"label": ["k", "k=v"]})) == {"one"}
    assert _names(volumes.list({"dangling": ["1"]})) == {"two", "three"}
    assert _names(volumes.list({"dangling": ["false"]})) == {"one"}
    assert not volumes.list({"driver": ["nfs"]})
    with pytest.raises(InvalidParameter, match="Invalid filter 'foo'"):
        volumes.list({"foo": ["bar"]})
    with pytest.raises(InvalidParameter, match=r"Invalid filter 'dangling=\[maybe\]'"):
        volumes.list({"dangling": ["maybe"]})


def test_pruning_takes_unused_anonymous_volumes_and_all_only_when_asked(volumes, events):
    async def make():
        await volumes.create("named", labels={"keep": ""})
        await volumes.create("other")
        return (await volumes.create()).name

    anonymous = asyncio.run(make())
    (volumes.path(anonymous) / "f").write_bytes(b"12345")
    os.link(volumes.path(anonymous) / "f", volumes.path(anonymous) / "again")
    assert asyncio.run(volumes.prune({})) == ([anonymous], 5)
    assert asyncio.run(volumes.prune({"all": ["true"], "label!": ["keep"]})) == (["other"], 0)
    assert asyncio.run(volumes.prune({"all": ["1"], "label": ["keep"]})) == (["named"], 0)
    assert events.past()[-1].attributes == {"reclaimed": "0"}
    with pytest.raises(InvalidParameter, match="Invalid filter 'until'"):
        asyncio.run(volumes.prune({"until": ["1h"]}))


def test_an_empty_volume_is_filled_with_what_the_image_has_there(tmp_path, volumes):
    source = tmp_path / "image" / "data"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "secret").write_text("s")
    (source / "sub" / "secret").chmod(0o600)
    (source / "link").symlink_to("sub/secret")
    source.chmod(0o750)
    mount = parse_bind("data:/data")
    asyncio.run(volumes.create("data"))
    volumes.fill(mount, source)
    inside = volumes.path("data")
    assert (inside / "link").readlink().as_posix() == "sub/secret"
    assert (inside / "sub" / "secret").stat().st_mode & 0o777 == 0o600
    assert inside.stat().st_mode & 0o777 == 0o750
    (source / "later").write_text("x")
    volumes.fill(mount, source)
    assert not (inside / "later").exists(), "only an empty volume is filled"


def test_an_anonymous_volume_over_a_file_is_refused(tmp_path, volumes):
    file = tmp_path / "file"
    file.touch()
    mount = parse_bind("/file")
    with pytest.raises(EngineError, match="cannot mount volume over existing file, file exists"):
        volumes.fill(mount, file)


def test_use_by_a_container_is_told(volumes, events):
    mount = parse_bind("data:/d:ro")

    async def live():
        await volumes.create("data")
        await volumes.hold("c1", [mount])
        await volumes.let_go("c1", [mount])

    asyncio.run(live())
    assert _told(events) == [("create", "data"), ("mount", "data"), ("unmount", "data")]
    assert events.past()[1].attributes == {
        "container": "c1", "destination": "/d", "driver": "local", "propagation": "", "read/write": "false",
    }  # fmt: skip


def test_a_path_inside_a_volume_never_leads_outside(volumes):
    asyncio.run(volumes.create("data"))
    inside = volumes.path("data")
    (inside / "sub").mkdir()
    (inside / "out").symlink_to("/etc")
    mount = MountPoint(kind="volume", name="data", destination="/d", subpath="sub")
    assert volumes.source("c1", mount) == inside / "sub"
    with pytest.raises(EngineError, match="cannot access path"):
        volumes.source("c1", MountPoint(kind="volume", name="data", destination="/d", subpath="out"))


def test_driver_options_become_a_mount():
    what = local.filesystem({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5,ro,noexec"})
    assert (what.kind, what.device, what.data) == ("tmpfs", "tmpfs", "size=1m,uid=5")
    assert what.flags == 1 | 8
    assert local.filesystem({}) is None
    nfs = local.filesystem({"type": "nfs", "device": ":/x", "o": "addr=localhost,rw"})
    assert nfs.data in ("addr=127.0.0.1", "addr=::1")


# --- the host's side of binds ---------------------------------------------------------------------------------------

_TABLE = """22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /srv rw,relatime master:7 - tmpfs tmpfs rw
31 30 0:41 / /srv/with\\040blank rw,relatime - tmpfs tmpfs rw
"""


def test_a_missing_directory_is_made_for_v_and_refused_for_mount(tmp_path):
    wanted = tmp_path / "new" / "sub"
    with pytest.raises(InvalidParameter, match="bind source path does not exist"):
        ready(MountPoint(kind="bind", source=str(wanted), destination="/x", from_mounts=True))
    ready(parse_bind(f"{wanted}:/x"))
    assert wanted.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"error while creating mount source path '.*/file/x': mkdir .*: not a dir"):
        ready(parse_bind(f"{tmp_path}/file/x:/x"))


def test_propagation_needs_a_shared_mount(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(_TABLE)

    def check(source, propagation):
        mount = MountPoint(kind="bind", source=source, destination="/x", propagation=propagation)
        ready(mount, table=str(table))

    check("/etc", "rprivate")
    with pytest.raises(EngineError, match="path /etc is mounted on / but it is not a shared mount"):
        check("/etc", "rshared")
    with pytest.raises(EngineError, match="path /etc is mounted on / but it is not a shared or slave mount"):
        check("/etc", "slave")
