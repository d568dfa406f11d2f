"""The layer with the mount points, and looking a path up in a stack of layers."""

from __future__ import annotations

import os
import stat

import pytest

from pydockmagic.engine.containers.initlayer import find_below, init_layer


def entries(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_it_holds_only_what_the_image_has_not(tmp_path):
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "etc").chmod(0o750)
    (image / "etc/hosts").write_text("mine")
    (image / "proc").mkdir()
    made = init_layer(tmp_path / "init", [image], "key")
    assert {"etc/hostname", "etc/resolv.conf", "etc/mtab", "dev/pts", "sys", ".dockerenv"} <= entries(made)
    assert not {"etc/hosts", "proc"} & entries(made)
    assert stat.S_IMODE((made / "etc").stat().st_mode) == 0o750
    assert init_layer(tmp_path / "init", [image], "key") == made


def test_a_link_in_the_image_is_not_followed(tmp_path):
    image, outside = tmp_path / "image", tmp_path / "outside"
    image.mkdir()
    outside.mkdir()
    (image / "etc").symlink_to(outside)
    made = init_layer(tmp_path / "init", [image], "key")
    assert "etc" not in entries(made)
    assert not entries(outside)


def test_an_image_from_scratch_gets_them_all(tmp_path):
    assert {"etc/hosts", "dev/console", "proc"} <= entries(init_layer(tmp_path / "init", [], "scratch"))
    assert not list((tmp_path / "init").glob(".new-*"))


@pytest.mark.root
def test_a_whiteout_hides_the_file_below(tmp_path):
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    for layer in (top, bottom):
        (layer / "dir").mkdir(parents=True)
    (bottom / "dir/gone").write_text("")
    (bottom / "dir/there").write_text("")
    os.mknod(top / "dir/gone", stat.S_IFCHR, 0)
    layers = [str(top), str(bottom)]
    assert find_below(layers, "dir/gone") is None
    assert find_below(layers, "dir/there") == f"{bottom}/dir/there"
    os.setxattr(top / "dir", "trusted.overlay.opaque", b"y")
    assert find_below(layers, "dir/there") is None
