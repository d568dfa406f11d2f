"""Images that leave and come back: save, load, import; Docker's archives, OCI layouts, and hostile tars."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

import pytest
from support.images import GONE, ImageWorld, pieces, tar_of

from pydockmagic.engine.errors import InvalidParameter, NoSuchImage


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def docker_archive(
    layers: list[bytes], tags: list[str] | None, *, config: dict[str, Any] | None = None, diff_ids: Any = None
) -> bytes:
    """Make an archive as older Dockers wrote it."""
    document = config or {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["x:1"]},
        "created": "2020-01-02T03:04:05.6Z",
        "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in layers]},
    }
    encoded = json.dumps(document).encode()
    name = hashlib.sha256(encoded).hexdigest() + ".json"
    entries: dict[str, str | bytes] = {name: encoded}
    paths = []
    for number, layer in enumerate(layers):
        paths.append(f"{number}/layer.tar")
        entries |= {f"{number}/": "", f"{number}/VERSION": "1.0", paths[-1]: layer}
    entries["manifest.json"] = json.dumps([{"Config": name, "RepoTags": tags, "Layers": paths}])
    return tar_of(entries)


def test_a_saved_archive_is_a_docker_archive_and_an_oci_layout(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="base")
    image = world.image({"b": "2"}, parent=base, name="me/app:1")
    found = members(world.save("me/app:1"))
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert digest(content) == "sha256:" + name.rpartition("/")[2]
    (docker,) = json.loads(found["manifest.json"])
    assert docker["RepoTags"] == ["me/app:1"]
    assert docker["Config"] == "blobs/sha256/" + image.id.removeprefix("sha256:")
    assert [digest(found[path]) for path in docker["Layers"]] == [
        world.images.layer(chain).diff_id for chain in image.chain_ids
    ]
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/me/app:1",
        "org.opencontainers.image.ref.name": "1",
    }
    manifest = json.loads(found["blobs/sha256/" + entry["digest"].removeprefix("sha256:")])
    assert manifest["config"]["digest"] == image.id
    assert [layer["digest"] for layer in manifest["layers"]] == [
        world.images.layer(chain).diff_id for chain in image.chain_ids
    ]


def test_what_is_saved_comes_back_the_same(world: ImageWorld) -> None:
    base = world.image({"a": "1", "d/x": "1"}, name="base")
    image = world.image({"b": "2", "a": GONE, "l": "-> b"}, parent=base, name="app", config={"Cmd": ["x:1"]})
    data = world.save("app", "base")
    world.run(world.images.remove("app"))
    world.run(world.images.remove("base"))
    assert world.listed(all=True) == []
    assert world.load(data) == [
        {"stream": "Loaded image: app:latest\n"},
        {"stream": "Loaded image: base:latest\n"},
    ]
    again = world.images.get("app")
    assert (again.id, again.chain_ids) == (image.id, image.chain_ids)
    assert world.images.files(again.chain_ids[1])["Columns"]["Change"] == ["D", "A", "A"]
    assert world.save("app", "base") == data
    assert ("load", image.id) in world.actions()


def test_progress_is_told_unless_quiet(world: ImageWorld) -> None:
    layer = tar_of({"a": "1"})
    messages = world.start(lambda: world.images.load(pieces(docker_archive([layer], ["x:1"])), quiet=False))
    assert [message.get("status") for message in messages] == ["Loading layer", "Loading layer", None]
    assert messages[1] == {
        "status": "Loading layer",
        "progressDetail": {"current": len(layer), "total": len(layer)},
        "id": digest(layer)[7:19],
    }
    assert world.load(docker_archive([layer], ["x:1"])) == [{"stream": "Loaded image: x:1\n"}]


def test_saving_a_repository_takes_all_of_its_tags(world: ImageWorld) -> None:
    one = world.image({"a": "1"}, name="app:1")
    world.image({"a": "2"}, name="app:2")
    world.run(world.images.tag(one.id, "other"))
    tags = [entry["RepoTags"] for entry in json.loads(members(world.save("app"))["manifest.json"])]
    assert tags == [["app:1"], ["app:2"]]
    (by_id,) = json.loads(members(world.save(one.id))["manifest.json"])
    assert by_id["RepoTags"] is None


def test_saving_what_is_not_there_fails_before_the_first_byte(world: ImageWorld) -> None:
    world.image({"a": "1"}, name="here")
    with pytest.raises(NoSuchImage, match=r"^No such image: nosuch$"):
        world.images.save(["here", "nosuch"])


def test_an_archive_of_an_older_docker_is_loaded(world: ImageWorld) -> None:
    layers = [tar_of({"etc/": "", "etc/a": "1"}), tar_of({"etc/.wh.a": "", "b": "2"})]
    assert world.load(docker_archive(layers, ["old:1", "old:2"])) == [
        {"stream": "Loaded image: old:1\n"},
        {"stream": "Loaded image: old:2\n"},
    ]
    image = world.images.get("old:1")
    assert world.images.inspect("old:1")["Created"] == "2020-01-02T03:04:05.6Z"
    assert world.images.config(image.id)["config"] == {"Cmd": ["x:1"]}
    top, bottom = world.images.layer_dirs(image.chain_ids)
    assert (top / "b").read_text() == "2"
    assert (bottom / "etc/a").read_text() == "1"


def test_a_layer_from_outside_goes_out_as_the_bytes_it_came_in(world: ImageWorld) -> None:
    plain = tar_of({"b": "2", "a": "1"})  # in an order, and with names, that we would not write
    packed = gzip.compress(tar_of({"c": "3"}), mtime=7)
    archive = docker_archive([plain, packed], ["x:1"], diff_ids=[digest(plain), digest(gzip.decompress(packed))])
    world.load(archive)
    found = members(world.save("x:1"))
    (entry,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(found["blobs/sha256/" + entry["digest"].removeprefix("sha256:")])
    assert [layer["digest"] for layer in manifest["layers"]] == [digest(plain), digest(packed)]
    assert [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]] == ["tar", "tar+gzip"]
    again = ImageWorld(world.root / "elsewhere") if (world.root / "elsewhere").mkdir() is None else None
    assert again is not None
    again.load(world.save("x"))
    assert again.save("x") == world.save("x")
    again.close()


def test_an_image_without_a_name_is_told_by_its_id(world: ImageWorld) -> None:
    (message,) = world.load(docker_archive([tar_of({"a": "1"})], None))
    (row,) = world.images.list()
    assert message == {"stream": f"Loaded image ID: {row['Id']}\n"}


def test_a_name_that_is_taken_moves_to_the_loaded_image(world: ImageWorld) -> None:
    old = world.image({"z": "1"}, name="x:1")
    messages = world.load(docker_archive([tar_of({"a": "1"})], ["x:1"]))
    assert messages == [
        {"stream": f"The image x:1 already exists, renaming the old one with ID {old.id} to empty string\n"},
        {"stream": "Loaded image: x:1\n"},
    ]


def oci_layout(manifest_layers: list[tuple[bytes, str]], diff_ids: list[str], annotations: dict[str, str]) -> bytes:
    blobs: dict[str, bytes] = {}

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    prefix = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": prefix + "manifest.v1+json",
        "config": put(json.dumps(config).encode(), prefix + "config.v1+json"),
        "layers": [put(data, prefix + kind) for data, kind in manifest_layers],
    }
    entry = put(json.dumps(manifest).encode(), prefix + "manifest.v1+json") | {"annotations": annotations}
    index = {"schemaVersion": 2, "manifests": [entry]}
    files: dict[str, str | bytes] = {f"blobs/sha256/{name[7:]}": data for name, data in blobs.items()}
    files |= {"index.json": json.dumps(index), "oci-layout": '{"imageLayoutVersion": "1.0.0"}'}
    return tar_of(files)


def test_an_oci_layout_is_loaded(world: ImageWorld) -> None:
    layer = tar_of({"a": "1"})
    packed = gzip.compress(layer)
    data = oci_layout(
        [(packed, "layer.v1.tar+gzip")], [digest(layer)], {"org.opencontainers.image.ref.name": "me/app:2"}
    )
    assert world.load(data) == [{"stream": "Loaded image: me/app:2\n"}]
    assert world.load(gzip.compress(data)) == [{"stream": "Loaded image: me/app:2\n"}]
    assert (world.images.layer_dirs(world.images.get("me/app:2").chain_ids)[0] / "a").read_text() == "1"


def test_an_index_of_platforms_leads_to_this_machines_image(world: ImageWorld) -> None:
    from pydockmagic.oci.platform import host_platform

    layers = {"s390x": tar_of({"a": "other"}), host_platform().architecture: tar_of({"a": "mine"})}
    files: dict[str, str | bytes] = {"oci-layout": '{"imageLayoutVersion": "1.0.0"}'}
    entries = []
    for architecture, layer in layers.items():
        inner = members(oci_layout([(layer, "layer.v1.tar")], [digest(layer)], {}))
        files |= {name: data for name, data in inner.items() if name.startswith("blobs/")}
        (entry,) = json.loads(inner["index.json"])["manifests"]
        entries.append(entry | {"platform": {"os": "linux", "architecture": architecture}})
    platforms = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    files[f"blobs/sha256/{digest(platforms)[7:]}"] = platforms
    top = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(platforms), "size": len(platforms)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]})
    (message,) = world.load(tar_of(files))
    image = world.images.get(message["stream"].split()[-1])
    assert (world.images.layer_dirs(image.chain_ids)[0] / "a").read_text() == "mine"


def test_a_layer_with_another_digest_than_its_config_says_is_refused(world: ImageWorld) -> None:
    layer = tar_of({"a": "1"})
    with pytest.raises(InvalidParameter, match="layer is damaged"):
        world.load(docker_archive([layer], ["x:1"], diff_ids=["sha256:" + "0" * 64]))
    swapped = oci_layout([(layer, "layer.v1.tar")], [digest(layer)], {}).replace(b"\0" * 511 + b"1", b"\0" * 511 + b"2")
    with pytest.raises(InvalidParameter):
        world.load(swapped[:2000])
    assert world.listed(all=True) == []
    assert list((world.root / "layers").iterdir()) == []
    assert list((world.root / "image/blobs/sha256").iterdir()) == []
    assert list((world.root / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"junk\n", "Error processing tar file"),
        (b"", "unrecognized image format"),
        (tar_of({"some": "thing"}), "unrecognized image format"),
        (tar_of({"manifest.json": "["}), "invalid manifest.json"),
        (tar_of({"manifest.json": '[{"Config": "c", "RepoTags": null, "Layers": []}]'}), "c is missing"),
        (tar_of({"manifest.json": '[{"Config": "../c", "RepoTags": null, "Layers": []}]'}), "outside of the root"),
        (docker_archive([], ["x:1"], diff_ids=["sha256:" + "0" * 64]), "expected 1, got 0"),
        (docker_archive([], ["Bad:x"]), "must be lowercase"),
        (docker_archive([], ["x:1"], config={"os": "windows", "rootfs": {"type": "layers"}}), "cannot load windows"),
        (tar_of({"manifest.json": "x" * (9 << 20)}), "too large"),
    ],
)
def test_what_is_no_image_archive_is_refused_in_words(world: ImageWorld, data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        world.load(data)
    assert world.listed(all=True) == []


def test_links_in_an_archive_lead_to_other_members_only(world: ImageWorld) -> None:
    secret = world.root / "secret"
    secret.write_text("secret")
    for kind, target in ((tarfile.SYMTYPE, str(secret)), (tarfile.SYMTYPE, "../../secret"), (tarfile.LNKTYPE, "gone")):
        buffer = io.BytesIO(docker_archive([tar_of({"a": "1"})], ["x:1"]))
        entries = members(buffer.getvalue())
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, content in entries.items():
                member = tarfile.TarInfo(name)
                if name == "0/layer.tar":
                    member.type, member.linkname = kind, target
                    archive.addfile(member)
                else:
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        with pytest.raises(InvalidParameter):
            world.load(out.getvalue())


def test_two_images_may_share_a_layer_file_by_a_link(world: ImageWorld) -> None:
    layer = tar_of({"a": "1"})
    entries = members(docker_archive([layer, layer], ["x:1"]))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            if name == "1/layer.tar":
                member.type, member.linkname = tarfile.SYMTYPE, "../0/layer.tar"
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    world.load(out.getvalue())
    assert len(world.images.get("x:1").chain_ids) == 2


def test_a_hostile_layer_stays_inside_of_its_directory(world: ImageWorld) -> None:
    secret = world.root / "secret"
    secret.write_text("secret")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        archive.addfile(link)
        through = tarfile.TarInfo("out/secret")
        through.size = 5
        archive.addfile(through, io.BytesIO(b"owned"))
    world.load(docker_archive([out.getvalue()], ["x:1"]))
    assert secret.read_text() == "secret"
    with pytest.raises(InvalidParameter, match="outside of the root"):
        world.load(docker_archive([tar_of({"../escape": "1"})], ["y:1"]))
    assert not (world.root / "layers/escape").exists()


def imported(world: ImageWorld, data: bytes, *arguments: Any) -> str:
    messages = world.start(lambda: world.images.import_(pieces(data), *arguments))
    return messages[-1]["status"]


def test_a_tar_is_imported_as_an_image_of_one_layer(world: ImageWorld) -> None:
    root = tar_of({"bin/": "", "bin/x": "#!"})
    changes = ['CMD ["/bin/sh"]', "ENV A=1 B=$A", "EXPOSE 80 90-91/udp", "LABEL k=v", "WORKDIR /w", "USER me"]
    image_id = imported(world, root, "imported:v1", changes)
    assert world.images.get("imported:v1").id == image_id
    shown = world.images.inspect("imported:v1")
    assert shown["Config"] == {
        "Cmd": ["/bin/sh"],
        "Env": ["A=1", "B="],
        "ExposedPorts": {"80/tcp": {}, "90/udp": {}, "91/udp": {}},
        "Labels": {"k": "v"},
        "User": "me",
        "WorkingDir": "/w",
    }
    assert shown["Comment"] == "Imported from -"
    (row,) = world.images.history("imported:v1")
    assert (row["CreatedBy"], row["Comment"], row["Size"]) == ("", "Imported from -", 2)
    assert shown["RootFS"]["Layers"] == [digest(root)]
    assert world.actions() == [("import", image_id), ("tag", "imported:v1")]


def test_the_same_tar_imported_twice_is_one_image(world: ImageWorld) -> None:
    root = tar_of({"a": "1"})
    assert imported(world, root) == imported(world, root)
    packed = imported(world, gzip.compress(root), "", (), "from somewhere")
    assert world.images.get(packed).comment == "from somewhere"
    assert len(list((world.root / "layers").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Bad:Name:x",), "must be lowercase|invalid reference format"),
        (("x@sha256:" + "0" * 64,), "cannot import digest reference"),
        (("x", ["RUN x"]), "^run is not a valid change command$"),
        (("x", ["EXPOSE nothing"]), "nothing"),
        (("x", (), "", "linux/amd64/v2/x"), "cannot parse platform"),
    ],
)
def test_bad_imports_leave_nothing(world: ImageWorld, arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        imported(world, tar_of({"a": "1"}), *arguments)
    assert world.listed(all=True) == []


def test_importing_junk_is_refused(world: ImageWorld) -> None:
    for junk in (b"", b"junk", gzip.compress(b"junk")):
        with pytest.raises(InvalidParameter, match="Error processing tar file"):
            imported(world, junk)
    assert list((world.root / "layers").iterdir()) == []
