"""Commands that change a container's state, and those that make and remove containers without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydockmagic.client import ClientError, NotFound
from pydockmagic.commands.results import Result, RunResult

from .create import create_container
from .filters import to_filters
from .leaving import leaving
from .prompt import confirm
from .sink import Sink, for_each

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["create", "kill", "pause", "prune", "remove", "rename", "restart", "stop", "unpause", "update", "wait"]


def create(parsed: Parsed, context: Context) -> RunResult:
    """``docker create``: prints the id."""
    sink = Sink(context)
    made = create_container(parsed, context, sink, command="create")
    sink.out(f"{made.id}\n")
    return sink.fill(RunResult(id=made.id, name=made.name, detached=True))


def stop(parsed: Parsed, context: Context) -> Result:
    """``docker stop``."""
    timeout = parsed.number("timeout") if parsed.given("timeout") else None
    signal = parsed.text("signal") or None
    return for_each(
        parsed.arguments, lambda name: context.client.container_stop(name, timeout=timeout, signal=signal), context
    )


def restart(parsed: Parsed, context: Context) -> Result:
    """``docker restart``."""
    timeout = parsed.number("timeout") if parsed.given("timeout") else None
    signal = parsed.text("signal") or None
    return for_each(
        parsed.arguments, lambda name: context.client.container_restart(name, timeout=timeout, signal=signal), context
    )


def kill(parsed: Parsed, context: Context) -> Result:
    """``docker kill``."""
    signal = parsed.text("signal") or None
    return for_each(parsed.arguments, lambda name: context.client.container_kill(name, signal=signal), context)


def pause(parsed: Parsed, context: Context) -> Result:
    """``docker pause``."""
    return for_each(parsed.arguments, context.client.container_pause, context)


def unpause(parsed: Parsed, context: Context) -> Result:
    """``docker unpause``."""
    return for_each(parsed.arguments, context.client.container_unpause, context)


def wait(parsed: Parsed, context: Context) -> Result:
    """``docker wait``: prints the exit codes."""

    def one(name: str) -> str:
        with leaving(Sink(context).result, f"docker wait {name} waits again"):
            answer = context.client.container_wait(name)
        error = (answer.get("Error") or {}).get("Message")
        if error:
            raise ClientError(error)
        return f"{answer['StatusCode']}\n"

    return for_each(parsed.arguments, one, context)


def rename(parsed: Parsed, context: Context) -> Result:
    """``docker rename``."""
    old, new = parsed.arguments
    sink = Sink(context)
    try:
        context.client.container_rename(old, new)
    except ClientError as error:
        raise sink.failure(f"{error}\nError: failed to rename container named {old}") from None
    return sink.result()


def remove(parsed: Parsed, context: Context) -> Result:
    """``docker rm``; with ``-f`` a missing container is told but is no failure."""
    force, volumes, link = parsed.flag("force"), parsed.flag("volumes"), parsed.flag("link")
    sink = Sink(context)
    complaints: list[str] = []
    for name in parsed.arguments:
        bare = name.strip("/")
        if not bare:
            complaints.append("container name cannot be empty")
            continue
        try:
            context.client.container_remove(bare, force=force, volumes=volumes, link=link)
        except NotFound as error:
            if force:
                sink.err(f"{error}\n")
            else:
                complaints.append(str(error))
        except ClientError as error:
            complaints.append(str(error))
        else:
            sink.out(f"{name}\n")
    if complaints:
        raise sink.failure("\n".join(complaints))
    return sink.result()


def update(parsed: Parsed, context: Context) -> Result:
    """``docker update``."""
    from pydockmagic.commands.options.config import restart_policy  # noqa: PLC0415

    changes = {
        "BlkioWeight": parsed.number("blkio-weight"),
        "CpuShares": parsed.number("cpu-shares"),
        "Memory": parsed.number("memory"),
        "MemoryReservation": parsed.number("memory-reservation"),
        "MemorySwap": parsed.number("memory-swap"),
        "CpuPeriod": parsed.number("cpu-period"),
        "CpuQuota": parsed.number("cpu-quota"),
        "CpuRealtimePeriod": parsed.number("cpu-rt-period"),
        "CpuRealtimeRuntime": parsed.number("cpu-rt-runtime"),
        "CpusetCpus": parsed.text("cpuset-cpus"),
        "CpusetMems": parsed.text("cpuset-mems"),
        "NanoCpus": parsed.number("cpus"),
        "PidsLimit": parsed.number("pids-limit"),
        "RestartPolicy": restart_policy(parsed.text("restart")),
    }
    sink = Sink(context)
    if not parsed.values:
        raise sink.failure("you must provide one or more flags when using this command")
    complaints: list[str] = []
    warnings: list[str] = []
    for name in parsed.arguments:
        try:
            answer = context.client.container_update(name, changes)
        except ClientError as error:
            complaints.append(str(error))
        else:
            sink.out(f"{name}\n")
            warnings += answer.get("Warnings") or []
    if warnings:
        sink.out("\n".join(warnings))
    if complaints:
        raise sink.failure("\n".join(complaints))
    return sink.result()


def prune(parsed: Parsed, context: Context) -> Result:
    """``docker container prune``."""
    sink = Sink(context)
    if not parsed.flag("force") and not confirm("WARNING! This will remove all stopped containers.", context, sink):
        return sink.result()
    answer = context.client.containers_prune(filters=to_filters(parsed.list("filter")))
    from pydockmagic.commands.units import human_size  # noqa: PLC0415

    deleted = answer.get("ContainersDeleted") or []
    if deleted:
        sink.out("Deleted Containers:\n" + "".join(f"{name}\n" for name in deleted) + "\n")
    sink.out(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}\n")
    return sink.result()
