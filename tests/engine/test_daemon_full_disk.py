"""A full disk: each thing that cannot be written is refused in a sentence, leaves nothing, and can be done later."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.alone import Alone, alone
from support.leaks import until

pytestmark = pytest.mark.root

_FULL = "no space left on device"
_DISK = 20 << 20


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Alone]:
    """An engine whose data root is a small disk."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", disk], check=True)
    try:
        with alone(tmp_path) as made:
            made.api.create("true", name="first")  # what is made for an image's first container is there
            yield made
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def full(engine: Alone) -> Iterator[None]:
    """Fill the disk for a while."""
    filler = engine.folder / "data" / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096) == 4096:
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


def content(engine: Alone) -> set[str]:
    """Name what the data root holds; the trash is emptied in the background."""
    data = engine.folder / "data"
    kept = ("state.db-wal", "state.db-shm", "state.db.reserve", "filler", "tmp")
    until(lambda: not list((data / "trash").iterdir()), "the trash is not emptied")
    return {str(path.relative_to(data)) for path in data.rglob("*") if path.name not in kept}


def refused(answer) -> bool:
    """Tell whether an answer is an error that names its reason."""
    text = answer.body.decode().lower()
    return (answer.status >= 500 or '"error"' in text) and ("space" in text or "disk is full" in text)


def test_create_on_a_full_disk_is_refused_and_leaves_nothing(engine):
    before = content(engine)
    with full(engine):
        for number in range(3):
            answer = engine.api("POST", "/containers/create", {"Image": "busybox"}, name=f"never-{number}")
            assert refused(answer), answer
        assert [row["Names"] for row in engine.api.get("/containers/json", all="1")] == [["/first"]]
    assert content(engine) == before
    engine.api.create("true", name="never-1")  # the name was not taken


def test_start_on_a_full_disk_is_refused_or_runs_and_the_container_stays_usable(engine):
    with full(engine):
        answer = engine.api("POST", "/containers/first/start")
        assert answer.status == 204 or refused(answer), answer
        if answer.status == 204:
            assert engine.api.post("/containers/first/wait")["StatusCode"] == 0
        assert engine.api.state("first")["Running"] is False
    assert engine.api("POST", "/containers/first/start").status == 204
    assert engine.api.post("/containers/first/wait")["StatusCode"] == 0


def test_a_container_that_fills_the_disk_is_told_so_and_loses_log_lines_but_ends_well(engine):
    script = "dd if=/dev/zero of=/fill bs=4k 2>/dev/null; echo no more; seq 1 100000; exit 7"
    made = engine.api.create("sh", "-c", script, name="filling")
    taken, _ = engine.api.upgrade(f"/containers/{made}/attach?stream=1&stdout=1")
    engine.api.post(f"/containers/{made}/start")
    size = 0
    while data := taken.recv(1 << 16):
        size += len(data)
    taken.close()
    assert size > 588_895  # who listens gets every line
    assert engine.api.post(f"/containers/{made}/wait")["StatusCode"] == 7
    assert engine.api("DELETE", f"/containers/{made}").status == 204
    assert engine.api.create("true", name="later")


@pytest.mark.parametrize("path", ["/commit", "/build", "/images/load"])
def test_a_layer_that_does_not_fit_is_refused_and_leaves_nothing(engine, path):
    made = engine.api.create("sh", "-c", "head -c 4m /dev/urandom > /four", name="four")
    engine.api.post(f"/containers/{made}/start")
    assert engine.api.post(f"/containers/{made}/wait")["StatusCode"] == 0
    packed = engine.api("GET", "/images/busybox/get").body if path == "/images/load" else b""
    before = content(engine)
    with full(engine):
        answer = {"/commit": _commit, "/build": _build, "/images/load": lambda api: api("POST", path, packed)}[path](
            engine.api
        )
        assert path == "/images/load" or refused(answer), answer
        assert len(engine.api.get("/images/json")) == 1
    assert content(engine) == before
    if path == "/commit":
        assert _commit(engine.api).status == 201
    elif path == "/build":
        assert b"Successfully built" in _build(engine.api).body


def _commit(api):
    return api("POST", "/commit", {}, container="four", repo="committed")


def _build(api):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in {"Dockerfile": b"FROM busybox\nCOPY big /\n", "big": b"y" * 1_000_000}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return api("POST", "/build", packed.getvalue(), t="built")


def test_volumes_networks_and_records_survive_a_full_disk(engine):
    api = engine.api
    with full(engine):
        answers = [
            api("POST", "/volumes/create", {"Name": "volume"}),
            api("POST", "/networks/create", {"Name": "network"}),
            api("POST", "/containers/first/rename", name="renamed"),
        ]
        for answer in answers:
            assert answer.status < 300 or refused(answer), answer
        told = (api.get("/volumes")["Volumes"], sorted(n["Name"] for n in api.get("/networks")),
                api.get("/containers/json", all="1")[0]["Names"])  # fmt: skip
    engine.end()
    engine.start()
    again = (api.get("/volumes")["Volumes"], sorted(n["Name"] for n in api.get("/networks")),
             api.get("/containers/json", all="1")[0]["Names"])  # fmt: skip
    assert json.dumps(told) == json.dumps(again)
