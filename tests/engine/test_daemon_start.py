"""An engine that cannot start: one sentence, nothing changed, and nothing of it goes on."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.leaks import naming, until

pytestmark = pytest.mark.root


def _garbage(data: Path) -> None:
    data.mkdir()
    (data / "state.db").write_bytes(b"no database, whatever its name" * 100)


def _records_of_another_kind(data: Path) -> None:
    data.mkdir()
    with closing(sqlite3.connect(data / "state.db")) as base, base:
        base.execute("CREATE TABLE record (kind TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID")
        base.execute("INSERT INTO record VALUES ('volume', 'data', ?)", (b"\x93\x01\x02\x03",))


def _file_in_the_way(data: Path) -> None:
    data.mkdir()
    (data / "volumes").write_text("a file")


def _as_it_is(data: Path) -> None:
    assert not data.exists()


@pytest.mark.parametrize(
    ("prepare", "options", "sentence"),
    [
        (_garbage, (), "open {data}/state.db: file is not a database; put a copy of the data root in its place"),
        (_records_of_another_kind, (), "open {data}/state.db: Expected `object`, got `array`; put a copy"),
        (_file_in_the_way, (), "{data}/volumes: file exists"),
        (_as_it_is, ("--hub", "::"), 'invalid hub: unsupported scheme "" in "::"'),
        (_as_it_is, ("--host", "unix:///no/such.sock"),
         "can't create unix socket /no/such.sock: listen unix /no/such.sock: bind: no such file or directory"),
        (_as_it_is, ("--host", "tcp://192.0.2.1:1", "--insecure"), "refusing to listen on 192.0.2.1"),
        (_as_it_is, ("--host", "tcp://127.0.0.1:{taken}", "--insecure"),
         "listen tcp 127.0.0.1:{taken}: bind: address already in use"),
    ],
)  # fmt: skip
def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(
    tmp_path: Path, prepare: Callable[[Path], None], options: tuple[str, ...], sentence: str
) -> None:
    data = tmp_path / "data"
    prepare(data)
    before = {path: path.read_bytes() for path in data.rglob("*")}
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = {"data": data, "taken": other.getsockname()[1]}
        command = [sys.executable, "-m", "pydockmagic.engine", "serve", "--host", f"unix://{tmp_path}/s.sock",
                   "--data-root", str(data), "--run-dir", str(tmp_path / "run"),
                   *(option.format(**words) for option in options)]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("pydock engine: ")
    assert sentence.format(**words) in ended.stderr
    assert ended.stderr.count("\n") == 1
    until(lambda: not naming(tmp_path), f"still there: {naming(tmp_path)}")
    for path, content in before.items():
        assert path.read_bytes() == content or _has_volume(path)
    assert not (tmp_path / "s.sock").exists()


def _has_volume(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as base:
        return base.execute("SELECT key FROM record WHERE kind = 'volume'").fetchall() == [("data",)]
