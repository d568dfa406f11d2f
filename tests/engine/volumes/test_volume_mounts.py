"""Specifications of mounts: ``-v``, ``--mount``, ``--tmpfs``, ``--volumes-from``, in Docker's words."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.volumes.mounts import Asked, collect, parse_bind


def test_bind_specifications_read_as_in_docker():
    bind = parse_bind("/host/dir/:/in//side:ro")
    assert (bind.kind, bind.source, bind.destination, bind.writable) == ("bind", "/host/dir", "/in/side", False)
    named = parse_bind("data:/d")
    assert (named.kind, named.name, named.anonymous) == ("volume", "data", False)
    anonymous = parse_bind("/d")
    assert anonymous.anonymous
    assert len(anonymous.name) == 64
    assert parse_bind("/a:/b:rshared,z").propagation == "rshared"
    assert parse_bind("data:/d:nocopy").copy_up is False


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("vol:relative", ("invalid volume specification: 'vol:relative': invalid mount config for type \"volume\": "
                         "invalid mount path: 'relative' mount path must be absolute")),
        ("/bad/mode:/h:zz", "invalid mode: zz"),
        ("/a:/", ("invalid volume specification: '/a:/': invalid mount config for type \"bind\": "
                 "invalid specification: destination can't be '/'")),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        (":/x", "invalid volume specification: ':/x'"),
        ("/x:ro", "invalid volume specification: '/x:ro'"),
        ("data:/d:rshared", ("invalid volume specification: 'data:/d:rshared': invalid mount config for type "
                             '"volume": field BindOptions must not be specified')),
        ("/a:/b:nocopy", ("invalid volume specification: '/a:/b:nocopy': invalid mount config for type "
                          '"bind": field VolumeOptions must not be specified')),
    ],
)  # fmt: skip
def test_wrong_bind_specifications_are_refused_in_dockers_words(spec, sentence):
    with pytest.raises(InvalidParameter) as caught:
        parse_bind(spec)
    assert str(caught.value) == sentence


@given(st.text(alphabet="/:ab.,ro", max_size=12))
def test_any_text_is_a_mount_or_a_sentence(spec):
    with contextlib.suppress(InvalidParameter):
        mount = parse_bind(spec)
        assert mount.destination.startswith("/")
        assert mount.destination != "/"


def _collected(**host):
    names = {
        "Binds": "binds",
        "Tmpfs": "tmpfs",
        "VolumesFrom": "volumes_from",
        "Mounts": "mounts",
        "Volumes": "volumes",
    }
    asked = msgspec.convert({names[key]: value for key, value in host.items()}, Asked)
    return collect(asked, lambda _: [parse_bind("shared:/s")])


def test_mounts_of_every_kind_come_together(tmp_path):
    mounts = _collected(
        Binds=["data:/d"], Tmpfs={"/t": "size=1m,exec"}, VolumesFrom=["other:ro"],
        Mounts=[{"Type": "bind", "Source": str(tmp_path), "Target": "/b", "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o700}}],
    )  # fmt: skip
    by_target = {mount.destination: mount for mount in mounts}
    assert set(by_target) == {"/d", "/t", "/s", "/b", "/m"}
    assert by_target["/t"].options == ("nosuid", "nodev", "size=1m", "exec") or "noexec" not in by_target["/t"].options
    assert not by_target["/s"].writable
    assert not by_target["/b"].writable
    assert "mode=700" in by_target["/m"].options


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ({"Binds": ["/a:/x", "b1:/x"]}, "Duplicate mount point: /x"),
        ({"Mounts": [{"Type": "bind", "Source": "/proc/no-such", "Target": "/x"}]},
         'invalid mount config for type "bind": bind source path does not exist: /proc/no-such'),
        ({"Mounts": [{"Type": "npipe", "Source": "a", "Target": "/x"}]},
         'invalid mount config for type "npipe": mount type unknown'),
        ({"Mounts": [{"Type": "volume", "Target": ""}]},
         'invalid mount config for type "volume": field Target must not be empty'),
        ({"Mounts": [{"Type": "volume", "Target": "/x", "ReadOnly": True}]},
         'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes'),
        ({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "no"}}]},
         'invalid mount config for type "bind": invalid propagation mode: no'),
        ({"Mounts": [{"Type": "tmpfs", "Source": "a", "Target": "/x"}]},
         'invalid mount config for type "tmpfs": field Source must not be specified'),
        ({"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/x", "VolumeOptions": {"Subpath": "../y"}}]},
         'invalid mount config for type "volume": subpath must be a relative path within the volume'),
        ({"VolumesFrom": ["c:nocopy"]}, "invalid mode: nocopy"),
        ({"VolumesFrom": [":ro"]}, 'invalid name or ID supplied: ""'),
        ({"Binds": ["data:/x"], "Tmpfs": {"/x": ""}}, "Duplicate mount point: /x"),
        ({"Tmpfs": {"/t": "bogus"}}, 'invalid tmpfs option ["bogus"]'),
    ],
)  # fmt: skip
def test_wrong_mounts_are_refused(host, sentence):
    with pytest.raises(InvalidParameter) as caught:
        _collected(**host)
    assert str(caught.value) == sentence


def test_everything_that_mount_can_say_is_heard(tmp_path):
    (volume, bind) = _collected(Mounts=[
        {"Type": "volume", "Source": "data", "Target": "/d", "VolumeOptions": {
            "NoCopy": True, "Labels": {"a": "b"}, "Subpath": "in/side",
            "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs"}}}},
        {"Type": "bind", "Source": str(tmp_path), "Target": "/b", "Consistency": "cached", "BindOptions": {
            "Propagation": "rslave", "NonRecursive": True, "ReadOnlyNonRecursive": True}},
    ])  # fmt: skip
    assert (volume.copy_up, volume.labels, volume.driver_options) == (False, {"a": "b"}, {"type": "tmpfs"})
    assert volume.subpath == "in/side"
    assert (bind.propagation, bind.recursive, bind.deep_read_only) == ("rslave", False, False)


def test_anonymous_volumes_of_an_image_may_have_any_destination():
    (mount,) = _collected(Volumes=["a:/x"])
    assert (mount.destination, mount.anonymous) == ("/a:/x", True)


def test_an_asked_mount_takes_the_place_of_the_images_volume():
    (mount,) = _collected(Binds=["data:/d"], Volumes=["/d/"])
    assert mount.name == "data"
