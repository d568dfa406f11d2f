"""Layers of a daemon without our extensions: their files come out of its image archives, once."""

from __future__ import annotations

import io
import json
import tarfile

import httpx
import pytest

from pydockmagic.client import Client, NotFound, parse_address
from pydockmagic.client.plain_layers import PlainLayers, read_archive
from pydockmagic.oci.digest import chain_id, sha256_digest


def tar(content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


BELOW = tar({"etc/group": b"staff", "hello": b"hi", "big": b"x" * 5000})
ABOVE = tar({"etc/.wh.group": b"", "hello": b"hello"})
DIFF_IDS = [sha256_digest(BELOW), sha256_digest(ABOVE)]
CHAINS = [chain_id(DIFF_IDS[:1]), chain_id(DIFF_IDS)]
IMAGE = {"Id": "sha256:" + "1" * 64, "RepoTags": ["web:latest"], "Size": 6000, "RootFS": {"Layers": DIFF_IDS}}
OTHER = {"Id": "sha256:" + "2" * 64, "RepoTags": ["base:latest"], "RootFS": {"Layers": DIFF_IDS[:1]}}
CHANGES = [{"Path": "/new", "Kind": 1}, {"Path": "/etc", "Kind": 0}, {"Path": "/hello", "Kind": 2}]
STATS = {
    "/new": "eyJuYW1lIjoibmV3Iiwic2l6ZSI6MTIsIm1vZGUiOjQyMCwibXRpbWUiOiIiLCJsaW5rVGFyZ2V0IjoiIn0=",
    "/etc": "eyJuYW1lIjoiZXRjIiwic2l6ZSI6NDA5NiwibW9kZSI6MjE0NzQ4NDE0MSwibXRpbWUiOiIiLCJsaW5rVGFyZ2V0IjoiIn0=",
}


def archive(style):
    """Write what ``docker save`` writes: as dockerd did until 24, or since 25."""
    config = json.dumps({"rootfs": {"diff_ids": DIFF_IDS}}).encode()
    if style == "old":
        paths, names = ["a/layer.tar", "b/layer.tar"], {"c.json": config, "a/VERSION": b"1.0", "b/VERSION": b"1.0"}
    else:
        paths, names = (
            [f"blobs/sha256/{each[7:]}" for each in DIFF_IDS],
            {"blobs/sha256/00": config, "oci-layout": b"{}"},
        )
    manifest = json.dumps([{"Config": next(iter(names)), "Layers": paths}]).encode()
    return tar({**names, paths[0]: BELOW, paths[1]: ABOVE, "manifest.json": manifest})


class Daemon:
    """A daemon that counts how often it had to send an image."""

    def __init__(self, image=IMAGE):
        self.sent = 0
        self.image = image

    def __call__(self, request):
        path = request.url.path.removeprefix("/v1.41")
        if path == "/_ping":
            return httpx.Response(200, headers={"Api-Version": "1.41"})
        if path == "/images/get":
            self.sent += 1
            return httpx.Response(200, content=iter([archive("old")]))
        if path == "/containers/box/archive":
            stat = STATS.get(request.url.params["path"])
            headers = {"X-Docker-Container-Path-Stat": stat} if stat else {}
            return httpx.Response(200 if stat else 404, headers=headers)
        answers = {
            f"/images/{IMAGE['Id']}/json": self.image,
            "/images/web/json": self.image,
            f"/images/{OTHER['Id']}/json": OTHER,
            f"/images/{IMAGE['Id']}/history": [
                {"CreatedBy": '/bin/sh -c #(nop)  CMD ["sh"]', "Size": 0},
                {"CreatedBy": "/bin/sh -c change", "Size": 5},
                {"CreatedBy": "", "Comment": "Imported from -", "Size": 5007},
            ],
            "/images/json": [self.image, OTHER],
            "/containers/box/json": {"Name": "/box", "Image": IMAGE["Id"], "SizeRw": 12},
            "/containers/box/changes": CHANGES,
        }
        if path in answers:
            return httpx.Response(200, json=answers[path])
        return httpx.Response(404, json={"message": "page not found"})


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def asked(daemon, tmp_path):
    with Client(parse_address("unix:///nowhere.sock"), transport=httpx.MockTransport(daemon)) as client:
        yield PlainLayers(client, tmp_path / "cache")


@pytest.mark.parametrize("style", ["old", "new"])
def test_every_layer_of_an_archive_is_found_by_its_digest(style):
    whole = archive(style)
    found = read_archive(whole[at : at + 700] for at in range(0, len(whole), 700))
    assert set(found) == set(DIFF_IDS)
    assert found[DIFF_IDS[0]].paths == ["big", "etc/group", "hello"]


def test_layers_tell_files_waste_and_who_shares_them(asked):
    answer = asked.layers("web")
    assert answer["FilesRead"]
    assert [(row["ChainId"], row["Files"], row["Wasted"], row["Empty"]) for row in answer["Layers"]] == [
        (CHAINS[0], 3, 7, False),
        (CHAINS[1], 2, 0, False),
        ("", 0, 0, True),
    ]
    assert [row["SharedBy"] for row in answer["Layers"]] == [["base:latest"], [], []]


def test_files_tell_what_they_did_to_those_below(asked):
    asked.layers("web")
    columns = asked.files(CHAINS[1])["Columns"]
    assert dict(zip(columns["Path"], columns["Change"], strict=True)) == {"hello": "C", "etc/group": "D"}
    page = asked.files(CHAINS[0], limit=1)
    assert (page["Total"], page["Columns"]["Path"]) == (3, ["big"])
    with pytest.raises(NotFound, match="No such layer"):
        asked.files("sha256:" + "0" * 64)


def test_an_archive_is_asked_for_once_also_by_the_next_notebook(asked, daemon, tmp_path):
    asked.layers("web")
    asked.layers("web")
    with Client(parse_address("unix:///nowhere.sock"), transport=httpx.MockTransport(daemon)) as client:
        assert PlainLayers(client, tmp_path / "cache").layers("web")["FilesRead"]
    assert daemon.sent == 1


def test_a_damaged_cache_is_read_anew(asked, daemon, tmp_path):
    asked.layers("web")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(b"junk")
    with Client(parse_address("unix:///nowhere.sock"), transport=httpx.MockTransport(daemon)) as client:
        assert PlainLayers(client, tmp_path / "cache").layers("web")["FilesRead"]
    assert daemon.sent == 2


def test_a_large_image_is_sent_only_when_asked_for(asked, daemon):
    daemon.image = {**IMAGE, "Size": 10**9}
    answer = asked.layers("web")
    assert (answer["FilesRead"], daemon.sent) == (False, 0)
    assert [row["Size"] for row in answer["Layers"]] == [5007, 5, 0]
    assert asked.layers("web", read=True)["FilesRead"]


def test_what_a_container_changed_has_sizes_and_kinds(asked):
    assert asked.layers("box", container=True)["Layers"][-1] == {"Writable": True, "Size": 12, "Files": 3}
    columns = asked.container_files("box")["Columns"]
    rows = list(zip(columns["Path"], columns["Kind"], columns["Size"], columns["Change"], strict=True))
    assert rows == [("new", "file", 12, "A"), ("etc", "directory", 0, "C"), ("hello", "whiteout", 0, "D")]
