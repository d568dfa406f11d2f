"""Starter images: made of this machine, always the same, and they run."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.images import ImageWorld

from pydockmagic.engine.errors import EngineError, NotFound
from pydockmagic.engine.images.starters import RECIPES, Missing, Starter, busybox, hello
from pydockmagic.engine.images.starters.elf import NotElfError, libraries, read_elf
from pydockmagic.engine.images.starters.tree import Tree
from pydockmagic.oci.layer import scan


def made(name: str, root: Path) -> Starter:
    root.mkdir(parents=True)
    return RECIPES[name].fill(root)


def run(root: Path, *command: str, **environment: str) -> str:
    """Run a program with ``root`` as its root, and nothing of the machine in reach."""
    done = subprocess.run(
        [shutil.which("chroot") or "/usr/sbin/chroot", root, *command],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python starter over the busybox starter."""
    root = tmp_path_factory.mktemp("python")
    made("python", root / "python")
    made("busybox", root / "all")
    shutil.copytree(root / "python", root / "all", symlinks=True, dirs_exist_ok=True)
    return root / "all"


@pytest.mark.root
def test_hello_world_is_one_static_program_that_tells_what_happened(tmp_path: Path) -> None:
    starter = made("hello-world", tmp_path / "root")
    assert starter.command == ("/hello",)
    assert [path.name for path in (tmp_path / "root").rglob("*")] == ["hello"]
    text = run(tmp_path / "root", "/hello")
    assert text == hello.TEXT
    for word in ("Hello from Docker!", "client", "daemon", "image", "container"):
        assert word in text


@pytest.mark.parametrize(
    ("machine", "number", "exit_call"), [("x86_64", 62, b"\x0f\x05"), ("aarch64", 183, b"\x01\0\0\xd4")]
)
def test_the_hello_program_is_known_for_two_machines(machine: str, number: int, exit_call: bytes) -> None:
    program = hello.program(machine, b"text")
    assert program[:6] == b"\x7fELF\x02\x01"
    assert struct.unpack_from("<H", program, 18) == (number,)
    (entry,) = struct.unpack_from("<Q", program, 24)
    position, address, _, size = struct.unpack_from("<QQQQ", program, 64 + 8)
    assert (position, address, size) == (0, entry - 120, len(program))
    assert program.endswith(exit_call + b"text")


def test_another_machine_is_told_so() -> None:
    with pytest.raises(Missing, match="this machine is riscv64"):
        hello.program("riscv64", b"")


@pytest.mark.root
def test_busybox_is_a_small_unix(tmp_path: Path) -> None:
    root = tmp_path / "root"
    starter = made("busybox", root)
    assert starter.source
    assert run(root, "sh", "-c", "id -un; echo $((6*7)) | tr 4 x; ls -d /tmp") == "root\nx2\n/tmp\n"
    assert oct((root / "tmp").stat().st_mode)[-4:] == "1777"
    assert oct((root / "root").stat().st_mode)[-3:] == "700"
    assert (root / "etc/passwd").read_text().startswith("root:x:0:0:")
    assert RECIPES["busybox"].tags()[0] == "latest"


@pytest.mark.root
def test_without_a_busybox_the_machines_own_tools_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busybox, "find_busybox", lambda: None)
    starter = made("busybox", tmp_path / "root")
    assert "no busybox was found" in starter.source
    assert RECIPES["busybox"].tags() == ("latest",)
    assert run(tmp_path / "root", "sh", "-c", "ls / | sort | head -n 2; id -un; grep -c root /etc/passwd") == (
        "bin\ndev\nroot\n1\n"
    )


def test_a_machine_without_a_shell_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busybox, "find_busybox", lambda: None)
    monkeypatch.setattr(busybox, "_program", lambda _name: None)
    with pytest.raises(Missing, match="install busybox-static"):
        made("busybox", tmp_path / "root")


@pytest.mark.root
def test_python_is_the_running_interpreter_with_its_library(python_root: Path) -> None:
    code = (
        "import sys, ssl, json, sqlite3, ctypes, hashlib, zlib, lzma, asyncio, http.server, venv;"
        "print(sys.version.split()[0], sys.prefix, ssl.create_default_context().cert_store_stats()['x509_ca'] > 50)"
    )
    version = ".".join(map(str, sys.version_info[:3]))
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        assert run(python_root, name, "-c", code).split() == [version, "/usr/local", "True"]


@pytest.mark.root
def test_python_has_pip_where_the_machine_carries_one(python_root: Path) -> None:
    import ensurepip

    if Path(ensurepip.__file__).with_name("_bundled").is_dir():
        assert run(python_root, "pip", "--version", LANG="C.UTF-8").startswith("pip ")


def test_python_leaves_out_what_no_container_needs(tmp_path: Path) -> None:
    made("python", tmp_path / "root")
    paths = [str(path.relative_to(tmp_path / "root")) for path in (tmp_path / "root").rglob("*")]
    assert not [path for path in paths if re.search(r"__pycache__|/test/|idlelib|site-packages/pytest|\.a$", path)]
    assert RECIPES["python"].tags()[0] == "latest"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in RECIPES["python"].tags()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_same_machine_gives_the_same_layer(name: str, tmp_path: Path) -> None:
    first, second = made(name, tmp_path / "one"), made(name, tmp_path / "two")
    assert first == second
    assert scan(tmp_path / "one").diff_id == scan(tmp_path / "two").diff_id


def test_libraries_are_those_that_the_linker_would_load() -> None:
    program = Path(shutil.which("ls") or "/bin/ls").resolve()
    elf = read_elf(program)
    assert any(name.startswith(("libc.so", "libc.musl")) for name in elf.needed)
    found = libraries([program])
    assert set(elf.needed) - {Path(elf.interpreter).name} <= found.keys()
    assert elf.interpreter in found
    listed = subprocess.run([elf.interpreter, "--list", program], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        loaded = re.findall(r"=> (/\S+)", listed.stdout)
        assert {os.path.realpath(path) for path in loaded} <= {os.path.realpath(path) for path in found.values()}


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 100])
def test_what_is_no_program_is_told_apart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(NotElfError):
        read_elf(tmp_path / "file")


def test_a_tree_keeps_times_and_drops_set_user_id(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    source.chmod(0o4750)
    os.utime(source, ns=(1, 5_700_000_000))
    (tmp_path / "root").mkdir()
    tree = Tree(tmp_path / "root")
    assert tree.copy(source, "/usr/bin/tool")
    assert not tree.copy(source, "/usr/bin/tool")
    tree.file("/etc/made", "here")
    tree.finish()
    copied = (tmp_path / "root/usr/bin/tool").stat()
    assert (copied.st_mode & 0o7777, copied.st_mtime_ns) == (0o754, 5_000_000_000)
    assert (tmp_path / "root/etc/made").stat().st_mtime_ns == 5_000_000_000
    assert (tmp_path / "root/usr").stat().st_mtime_ns == 5_000_000_000


# -- through the service --------------------------------------------------------------------------------------------


def pull(world: ImageWorld, name: str, platform: str = "") -> list[dict[str, Any]]:
    return world.start(lambda: world.images.pull(name, platform))


def test_pulling_a_starter_says_where_it_comes_from(world: ImageWorld) -> None:
    first = [message["status"] for message in pull(world, "hello-world")]
    assert first[0] == "Pulling from library/hello-world"
    assert "Starter image, no registry was asked: a program written by the engine itself" in "".join(first)
    assert not any("Digest" in status for status in first), "what was made here has no digest, as nothing built has"
    assert first[-1] == "Status: Downloaded newer image for hello-world:latest"
    again = [message["status"] for message in pull(world, "docker.io/library/hello-world:latest")]
    assert again[-1] == "Status: Image is up to date for hello-world:latest"
    assert again[-2] == first[-2]
    assert world.actions() == [("pull", "hello-world")]
    labels = world.images.inspect("hello-world")["Config"]["Labels"]
    assert labels["io.pydockmagic.starter"] in "".join(first)


def test_ensure_prefers_what_is_here(world: ImageWorld) -> None:
    mine = world.image({"a": "1"}, name="hello-world")
    assert world.run(world.images.ensure("hello-world")).id == mine.id
    told: list[dict[str, Any]] = []
    other = world.run(world.images.ensure("hello-world:linux", told.append))
    assert other.origin.startswith("starter: ")
    assert told[-1]["status"] == "Status: Downloaded newer image for hello-world:linux"


@pytest.mark.root
def test_python_shares_the_layer_of_busybox(world: ImageWorld) -> None:
    world.run(world.images.ensure("busybox"))
    world.run(world.images.ensure("python"))
    layers = world.images.layers("python")["Layers"]
    assert layers[0]["SharedBy"] == ["busybox:latest"]
    assert [row["Empty"] for row in layers] == [False, True, False, True]
    assert layers[-1]["Instruction"] == 'CMD ["python3"]'
    shown = world.images.inspect("python")["Config"]
    assert shown["Cmd"] == ["python3"]
    assert "LANG=C.UTF-8" in shown["Env"]


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        (
            "nosuchimage",
            NotFound,
            (
                "pull access denied for nosuchimage, repository does not exist or may require 'docker login': "
                "denied: requested access to the resource is denied. "
                "Without a registry there are busybox, hello-world, python, put together from this machine."
            ),
        ),
        ("me/app:1", NotFound, "pull access denied for me/app, repository does not exist"),
        ("hello-world:none", NotFound, "manifest for hello-world:none not found: manifest unknown: manifest unknown"),
        ("127.0.0.1:5999/x/y", NotFound, "pull access denied for 127.0.0.1:5999/x/y, repository does not exist"),
        ("Busybox", EngineError, "invalid reference format: repository name (library/Busybox) must be lowercase"),
    ],
)
def test_what_cannot_be_had_is_told_in_dockers_words(
    world: ImageWorld, name: str, error: type[EngineError], sentence: str
) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        pull(world, name)
    assert world.listed(all=True) == []


def test_another_platform_cannot_be_made_here(world: ImageWorld) -> None:
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
        pull(world, "hello-world", "linux/s390x")


def test_a_starter_that_cannot_be_made_leaves_nothing(world: ImageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello.platform, "machine", lambda: "riscv64")
    with pytest.raises(EngineError, match="the starter image hello-world cannot be made here: the hello-world program"):
        pull(world, "hello-world")
    assert list((world.root / "layers").iterdir()) == []


def test_one_starter_asked_for_twice_at_once_is_made_once(world: ImageWorld) -> None:
    import asyncio

    async def both() -> list[str]:
        found = await asyncio.gather(world.images.ensure("hello-world"), world.images.ensure("hello-world"))
        return [image.id for image in found]

    one, two = world.run(both())
    assert one == two
    assert len(world.images.list()) == 1
