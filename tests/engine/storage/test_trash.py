"""The trash deletes everything that containers can leave, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from pydockmagic.engine.storage import Trash


def test_what_is_discarded_is_gone_at_once_and_deleted_soon(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    victim = tmp_path / "victim"
    (victim / "d" / "e").mkdir(parents=True)
    (victim / "d" / "f").write_text("x")
    trash.discard(victim)
    assert not victim.exists()
    assert trash.wait(10)
    assert list(trash.path.iterdir()) == []


def test_discarding_nothing_is_no_error(tmp_path: Path) -> None:
    Trash(tmp_path / "trash").discard(tmp_path / "absent")


def test_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "link").symlink_to(precious)
    os.link(precious / "file", victim / "hard")
    trash = Trash(tmp_path / "trash")
    trash.discard(victim)
    assert trash.wait(10)
    assert (precious / "file").read_text() == "x"


def test_a_tree_deeper_than_any_path_is_deleted(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    descriptor = os.open(victim, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 20, dir_fd=descriptor)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    trash = Trash(tmp_path / "trash")
    trash.discard(victim)
    assert trash.wait(30)
    assert list(trash.path.iterdir()) == []


def test_closed_directories_are_opened_up(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "work" / "work" / "in").mkdir(parents=True)
    (victim / "work" / "work").chmod(0)
    trash = Trash(tmp_path / "trash")
    trash.discard(victim)
    assert trash.wait(10)
    assert list(trash.path.iterdir()) == []


def test_what_an_earlier_engine_left_is_deleted_at_the_start(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    (trash.path / "left" / "over").mkdir(parents=True)
    trash.empty()
    assert trash.wait(10)
    assert list(trash.path.iterdir()) == []
