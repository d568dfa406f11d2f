"""What an engine keeps in mind of a container that a supervisor carries: its channel and what is awaited."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time

import msgspec

from . import bundle
from .channel import Channel, Message
from .spec import ExitRecord

__all__ = ["Tracked", "exit_record", "remove_bundle"]


class Tracked:
    """A container as this engine knows it: the channel to its supervisor, and futures of what will end."""

    def __init__(self, container_id: str, directory: str, ooms: asyncio.Queue[str]) -> None:
        loop = asyncio.get_running_loop()
        self.id = container_id
        self.bundle = directory
        self.channel: Channel | None = None
        self.started: asyncio.Future[Message] = loop.create_future()
        self.exit: asyncio.Future[ExitRecord] = loop.create_future()
        self.execs: dict[str, asyncio.Future[ExitRecord]] = {}
        self._ooms = ooms
        self.resuming: asyncio.Task[None] | None = None
        """Finds out why the supervisor is gone."""

    def on_event(self, message: Message) -> None:
        """Take what the supervisor tells unasked."""
        event = message.get("event")
        if event == "exit":
            self.end(msgspec.convert(message["record"], ExitRecord))
        elif event == "oom":
            self._ooms.put_nowait(self.id)
        elif event == "exec_exit":
            future = self.exec_future(message["exec"])
            if not future.done():
                future.set_result(msgspec.convert(message["record"], ExitRecord))
        elif not self.started.done():
            self.started.set_result(message)

    def end(self, record: ExitRecord) -> None:
        """Make it known that the container ended, and everything in it."""
        if not self.exit.done():
            self.exit.set_result(record)
        for future in self.execs.values():
            if not future.done():
                future.set_result(msgspec.structs.replace(record, oom_killed=False))

    def exec_future(self, exec_id: str) -> asyncio.Future[ExitRecord]:
        """Give the future of an exec's end."""
        if exec_id not in self.execs:
            self.execs[exec_id] = asyncio.get_running_loop().create_future()
        return self.execs[exec_id]


async def remove_bundle(directory: str) -> None:
    """Remove a bundle: a few files of ours at once, anything more in a thread."""
    for name in (bundle.CONTROL, bundle.STATE, bundle.EXIT):
        with contextlib.suppress(OSError):
            os.unlink(f"{directory}/{name}")
    with contextlib.suppress(OSError):
        os.rmdir(f"{directory}/{bundle.ROOTFS}")
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return
    except OSError:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def exit_record(directory: str) -> ExitRecord:
    """Read how a container ended from its bundle."""
    record = bundle.read_json(f"{directory}/{bundle.EXIT}")
    if record is None:  # the bundle was taken away
        now = time.time_ns()
        return ExitRecord(code=137, started_ns=now, finished_ns=now, error=f"no exit record in {directory}")
    return msgspec.convert(record, ExitRecord)
