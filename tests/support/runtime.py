"""Containers made with the runtime driver alone, from a root of busybox; and a look for what they left behind."""

import asyncio
import contextlib
import dataclasses
import itertools
import os
import secrets
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from pydockmagic.engine.runtime import cgroups, defaults
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.runtime.namespaces import NamespacesDriver
from pydockmagic.engine.runtime.spec import ContainerSpec, LogTarget, ProcessSpec, Root

BOTH = AttachRequest()
ALL = AttachRequest(stdin=True)
SECONDS = 20


def make_busybox_root(folder: Path) -> Path:
    """Make a root filesystem of static busybox with a link for each of its applets."""
    (folder / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "these tests need busybox-static"
    shutil.copy(busybox, folder / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in set(applets) - {"busybox"}:
        (folder / "bin" / applet).symlink_to("busybox")
    for name in ("dev", "etc", "home", "proc", "root", "sys", "tmp", "usr"):
        (folder / name).mkdir()
    (folder / "tmp").chmod(0o1777)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nada:x:1000:100:Ada:/home:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nusers:x:100:\nwheel:x:10:root,ada\nstaff:x:50:\n")
    return folder


@dataclasses.dataclass(frozen=True)
class Result:
    code: int
    stdout: str
    stderr: str = ""


class Box:
    """A driver in a run directory of its own, and an event loop to drive it from plain tests."""

    def __init__(self, folder: Path, lower: Path) -> None:
        self.folder = folder
        self.lower = lower
        self.parent = f"/pydock-test-{secrets.token_hex(4)}"
        self.runner = asyncio.Runner()
        self._numbers = itertools.count(1)
        self._specs: dict[str, ContainerSpec] = {}
        self.driver = self.new_driver()
        self.do(self.driver.open())

    def new_driver(self) -> NamespacesDriver:
        return NamespacesDriver(self.folder / "run")

    def do(self, coroutine):
        return self.runner.run(asyncio.wait_for(coroutine, SECONDS))

    def spec(self, *args, **options) -> ContainerSpec:
        identity = f"{next(self._numbers):04x}{secrets.token_hex(30)}"
        home = self.folder / "c" / identity[:12]
        for name in ("upper", "work"):
            (home / name).mkdir(parents=True)
        process = {"env": ("PATH=/bin",), "capabilities": defaults.CAPABILITIES}
        process |= {name: options.pop(name) for name in ProcessSpec.__struct_fields__ if name in options}
        base = {
            "hostname": identity[:12],
            "root": Root(kind="overlay", upper=str(home / "upper"), work=str(home / "work"), lower=(str(self.lower),)),
            "masked_paths": defaults.MASKED_PATHS,
            "readonly_paths": defaults.READONLY_PATHS,
            "cgroup_parent": self.parent,
            "log": LogTarget(path=str(home / "log")),
        }
        spec = ContainerSpec(
            id=identity, bundle=str(home / "bundle"), process=ProcessSpec(args=args, **process), **(base | options)
        )
        self._specs[identity] = spec
        return spec

    def log(self, spec) -> Path:
        return Path(spec.log.path)

    def start(self, spec, *attach, **options):
        return self.do(self.driver.start(spec, attach=attach, **options))

    def wait(self, spec):
        return self.do(self.driver.wait(spec.id))

    def delete(self, spec):
        self.do(self.driver.delete(spec.id))
        self._specs.pop(spec.id, None)

    def run(self, *args, stdin: bytes | None = None, **options) -> Result:
        """Start, attach, wait and delete."""
        spec = self.spec(*args, open_stdin=stdin is not None, **options)
        running = self.start(spec, ALL if stdin is not None else BOTH)
        (stream,) = running.streams
        out, err = self.do(talk(stream, stdin, tty=spec.process.tty))
        record = self.wait(spec)
        self.delete(spec)
        return Result(record.code, out.decode(), err.decode())

    def exec(self, spec, *args, stdin: bytes | None = None, privileged=False, **options) -> Result:
        """Run one more process in a running container to its end."""
        process = ProcessSpec(
            args=args,
            open_stdin=stdin is not None,
            **({"env": ("PATH=/bin",), "capabilities": defaults.CAPABILITIES} | options),
        )
        name = secrets.token_hex(8)
        running = self.do(
            self.driver.exec(spec.id, name, process, attach=ALL if stdin is not None else BOTH, privileged=privileged)
        )
        out, err = self.do(talk(running.streams[0], stdin, tty=process.tty))
        record = self.do(self.driver.wait_exec(spec.id, name))
        return Result(record.code, out.decode(), err.decode())

    def close(self) -> None:
        """End every container and the zygote; prove that nothing is left."""
        for spec in list(self._specs.values()):
            self.delete(spec)
        zygote = self.driver.zygote_pid
        self.do(self.driver.close())
        self.do(gone(zygote))
        self.runner.close()
        assert not self.debris()
        for path in cgroups.layout().hierarchies.values():
            with contextlib.suppress(FileNotFoundError):
                Path(path + self.parent).rmdir()
        shutil.rmtree(self.folder)

    def debris(self) -> list[str]:
        """Name processes, mounts and cgroups that belong to this box."""
        mark = str(self.folder)
        found = [
            f"cgroup {path}"
            for top in cgroups.layout().hierarchies.values()
            for path in Path(top + self.parent).glob("*")
            if path.is_dir()
        ]
        for process in Path("/proc").glob("[0-9]*"):
            if process.name == str(os.getpid()):
                continue
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if mark in command:
                    found.append(f"process {process.name} {command}")
                elif mark in (process / "mountinfo").read_text():
                    found.append(f"mount in process {process.name} {command}")
        if mark in Path("/proc/self/mountinfo").read_text():
            found.append("mount here")
        return found


async def gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(descriptor, lambda: ended.done() or ended.set_result(None))
    await ended
    loop.remove_reader(descriptor)
    os.close(descriptor)


async def talk(stream: socket.socket, stdin: bytes | None = None, *, tty: bool = False) -> tuple[bytes, bytes]:
    """Send all of stdin and the half-close, read to the end; give (stdout, stderr)."""
    reader, writer = await asyncio.open_unix_connection(sock=stream)
    if stdin is not None:
        writer.write(stdin)
        writer.write_eof()
    data = await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return (data, b"") if tty else unframe(data)


def unframe(data: bytes) -> tuple[bytes, bytes]:
    """Take Docker's frames apart."""
    found = {1: b"", 2: b""}
    while data:
        number, length = struct.unpack(">BxxxI", data[:8])
        found[number] += data[8 : 8 + length]
        data = data[8 + length :]
    return found[1], found[2]


async def read_until(stream: socket.socket, wanted: bytes) -> bytes:
    """Read raw bytes until ``wanted`` is among them."""
    stream.setblocking(False)
    data = b""
    while wanted not in data:
        more = await asyncio.get_running_loop().sock_recv(stream, 4096)
        assert more, data
        data += more
    return data
