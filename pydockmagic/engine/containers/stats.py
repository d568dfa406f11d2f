"""The counters of a container as ``docker stats`` reads them (Engine API v1.50, "Get container stats")."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.runtime.driver import CgroupStats
from pydockmagic.engine.timestamps import ZERO_TIME, rfc3339

from .container import Container
from .core import Core

__all__ = ["stats"]

_INTERVAL = 1.0
_encode = msgspec.json.Encoder().encode


async def stats(core: Core, container: Container, *, stream: bool, one_shot: bool) -> AsyncIterator[bytes]:
    """Give one document, or one a second for as long as the container is there."""
    before: dict[str, Any] | None = None
    while not container.gone:
        document = await _document(core, container)
        document["precpu_stats"] = (before or {}).get("cpu_stats") or _empty_cpu()
        document["preread"] = (before or {}).get("read", ZERO_TIME)
        first = before is None
        before = document
        # a single reading without one-shot waits for a second sample, so that percentages can be computed
        if stream or one_shot or not first or not container.record.state.pid:
            yield _encode(document) + b"\n"
            if not stream:
                return
        await asyncio.sleep(_INTERVAL)


async def _document(core: Core, container: Container) -> dict[str, Any]:
    record = container.record
    identity = {"name": f"/{record.name}", "id": record.id}
    if not record.state.pid:
        return {
            "read": ZERO_TIME,
            "preread": ZERO_TIME,
            "pids_stats": {},
            "blkio_stats": dict.fromkeys(_BLKIO),
            "num_procs": 0,
            "storage_stats": {},
            "cpu_stats": _empty_cpu(),
            "precpu_stats": _empty_cpu(),
            "memory_stats": {},
            **identity,
        }
    try:
        counters = await core.runtime.stats(container.id)
    except ProcessLookupError:
        counters = CgroupStats()
    document: dict[str, Any] = {
        "read": rfc3339(time.time_ns()),
        "preread": ZERO_TIME,
        "pids_stats": _pids(counters),
        "blkio_stats": _blkio(counters),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(counters),
        "precpu_stats": _empty_cpu(),
        "memory_stats": _memory(counters),
        **identity,
    }
    if record.host_config.network_mode not in ("none", "host"):
        document["networks"] = await asyncio.to_thread(_networks, record.state.pid)
    return document


_BLKIO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)


def _empty_cpu() -> dict[str, Any]:
    return {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def _pids(counters: CgroupStats) -> dict[str, int]:
    result = {}
    if counters.pids is not None:
        result["current"] = counters.pids
    if counters.pids_limit:
        result["limit"] = counters.pids_limit
    return result


def _blkio(counters: CgroupStats) -> dict[str, Any]:
    first = counters.per_cpu_ns is not None  # cgroup v1, whose lists are empty where those of v2 are missing
    result: dict[str, Any] = dict.fromkeys(_BLKIO, [] if first else None)
    for name, rows in (
        ("io_service_bytes_recursive", counters.blkio_bytes),
        ("io_serviced_recursive", counters.blkio_operations),
    ):
        if rows:
            result[name] = [
                {"major": major, "minor": minor, "op": operation, "value": value}
                for major, minor, operation, value in rows
            ]
    return result


def _cpu(counters: CgroupStats) -> dict[str, Any]:
    if counters.cpu_usage_ns is None:
        return _empty_cpu()
    periods, throttled, nanoseconds = counters.throttled
    by_processor = {"percpu_usage": list(counters.per_cpu_ns)} if counters.per_cpu_ns else {}
    return {
        "cpu_usage": {
            "total_usage": counters.cpu_usage_ns,
            **by_processor,
            "usage_in_kernelmode": counters.cpu_system_ns or 0,
            "usage_in_usermode": counters.cpu_user_ns or 0,
        },
        "system_cpu_usage": _system_cpu(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {"periods": periods, "throttled_periods": throttled, "throttled_time": nanoseconds},
    }


def _system_cpu() -> int:
    """Give all CPU time of the machine, in nanoseconds (proc_stat(5); moby adds the same seven columns)."""
    with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123 - one line of a kernel file
        ticks = sum(int(field) for field in file.readline().split()[1:8])
    return ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def _memory(counters: CgroupStats) -> dict[str, Any]:
    if counters.memory_usage is None:
        return {}
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = counters.memory_limit
    # moby leaves out what is zero
    extra = {"max_usage": counters.memory_max_usage, "failcnt": counters.memory_failures}
    return {
        "usage": counters.memory_usage,
        **{name: value for name, value in extra.items() if value},
        "stats": dict(counters.memory_stat),
        "limit": total if not limit or limit > total else limit,
    }


def _networks(pid: int) -> Mapping[str, Mapping[str, int]]:
    """Read the interfaces of a process's network namespace (proc_pid_net(5), ``dev``)."""
    result: dict[str, dict[str, int]] = {}
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return result
    for line in lines:
        name, _, rest = line.partition(":")
        fields = [int(field) for field in rest.split()]
        if name.strip() != "lo":
            result[name.strip()] = {
                "rx_bytes": fields[0],
                "rx_packets": fields[1],
                "rx_errors": fields[2],
                "rx_dropped": fields[3],
                "tx_bytes": fields[8],
                "tx_packets": fields[9],
                "tx_errors": fields[10],
                "tx_dropped": fields[11],
            }
    return result
