from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.images.blobs import Blobs


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_a_blob_is_found_under_its_digest_in_an_oci_layout(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "image")
    name = blobs.put(b"content")
    assert name == digest(b"content")
    assert (tmp_path / "image/blobs/sha256" / name.removeprefix("sha256:")).read_bytes() == b"content"
    assert (tmp_path / "image/oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert (blobs.get(name), blobs.size(name), b"".join(blobs.chunks(name))) == (b"content", 7, b"content")


def test_what_was_not_committed_leaves_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.writer() as writer:
        writer.write(b"half")
    assert list((tmp_path / "blobs/sha256").iterdir()) == []


def test_content_with_another_digest_is_refused(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with pytest.raises(InvalidParameter, match="digest mismatch"):
        blobs.put_chunks([b"a", b"b"], digest(b"ac"))
    assert list((tmp_path / "blobs/sha256").iterdir()) == []


def test_a_missing_blob_is_told_by_its_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    for read in (blobs.get, blobs.open, blobs.size):
        with pytest.raises(EngineError, match=digest(b"x")):
            read(digest(b"x"))


def test_half_written_and_unnamed_blobs_are_swept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    kept, lost = blobs.put(b"kept"), blobs.put(b"lost")
    (tmp_path / "blobs/sha256/.tmp-1").write_bytes(b"half")
    blobs.sweep({kept})
    assert blobs.has(kept)
    assert not blobs.has(lost)
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 1
