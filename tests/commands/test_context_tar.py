"""The tar of a build's context: others may work in its folder while it is read."""

import io
import tarfile

import pytest

from pydockmagic.commands.handlers import context_tar


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a", "below/b", "c"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / "d").hardlink_to(tmp_path / "a")
    (tmp_path / "e").symlink_to("c")
    return tmp_path


def packed(folder):
    data = b"".join(context_tar.folder_tar(folder, ""))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: (member.type, member.linkname) for member in archive}


@pytest.fixture
def vanishing(folder, monkeypatch):
    """Remove a file or folder right after it was listed."""

    def remove_(gone):
        walk = context_tar._walk

        def walking(*arguments):
            for path, status in walk(*arguments):
                if path == gone:
                    (folder / path).rename(folder.parent / f"{folder.name}-gone")
                yield path, status

        monkeypatch.setattr(context_tar, "_walk", walking)

    return remove_


def test_everything_is_packed_and_a_second_name_is_a_link(folder):
    assert packed(folder) == {
        "a": (tarfile.REGTYPE, ""),
        "below": (tarfile.DIRTYPE, ""),
        "below/b": (tarfile.REGTYPE, ""),
        "c": (tarfile.REGTYPE, ""),
        "d": (tarfile.LNKTYPE, "a"),
        "e": (tarfile.SYMTYPE, "c"),
    }


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ("c", {"a", "below", "below/b", "d", "e"}),
        ("e", {"a", "below", "below/b", "c", "d"}),
        ("below", {"a", "c", "d", "e"}),
    ],
)
def test_what_goes_while_it_is_read_is_left_out(folder, vanishing, gone, left):
    vanishing(gone)
    assert packed(folder).keys() - {gone} == left


def test_a_link_to_what_is_gone_is_the_file_itself(folder, vanishing):
    vanishing("a")
    assert packed(folder)["d"] == (tarfile.REGTYPE, "")
    assert "a" not in packed(folder)


def test_a_file_that_shrinks_keeps_its_place_in_the_tar(folder, monkeypatch):
    large = folder / "large"
    large.write_bytes(b"x" * 5000)
    walk = context_tar._walk

    def walking(*arguments):
        for path, status in walk(*arguments):
            if path == "large":
                large.write_bytes(b"short")
            yield path, status

    monkeypatch.setattr(context_tar, "_walk", walking)
    data = b"".join(context_tar.folder_tar(folder, ""))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.extractfile("large").read() == b"short".ljust(5000, b"\0")
        assert "e" in archive.getnames()
