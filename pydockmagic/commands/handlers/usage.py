"""One reading of ``docker stats`` into the figures of a row (docker/cli, command/container/stats_helpers.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["reading"]


def reading(container: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Compute percentages and sums from the API's counters."""
    cpu, before = data.get("cpu_stats") or {}, data.get("precpu_stats") or {}
    memory = data.get("memory_stats") or {}
    used = _memory_used(memory)
    limit = memory.get("limit") or 0
    received, sent = _network(data.get("networks") or {})
    read, written = _blocks(data.get("blkio_stats") or {})
    return {
        "Container": container,
        "Name": data.get("name", ""),
        "ID": data.get("id", ""),
        "CPUPercentage": _cpu_percent(cpu, before),
        "Memory": used,
        "MemoryLimit": limit,
        "MemoryPercentage": used / limit * 100 if limit else 0.0,
        "NetworkRx": received,
        "NetworkTx": sent,
        "BlockRead": read,
        "BlockWrite": written,
        "PidsCurrent": (data.get("pids_stats") or {}).get("current", 0),
        "IsInvalid": False,
    }


def _cpu_percent(cpu: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    usage, earlier = cpu.get("cpu_usage") or {}, before.get("cpu_usage") or {}
    spent = (usage.get("total_usage") or 0) - (earlier.get("total_usage") or 0)
    passed = (cpu.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    count = cpu.get("online_cpus") or len(usage.get("percpu_usage") or ())
    return spent / passed * count * 100 if passed > 0 and spent > 0 else 0.0


def _memory_used(memory: Mapping[str, Any]) -> float:
    """Return the memory in use without the page cache that could be dropped (cgroup v1, then v2)."""
    usage: int = memory.get("usage") or 0
    stats = memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        cache = stats.get(key)
        if cache is not None:
            return usage - cache if cache < usage else usage
    return usage


def _network(networks: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    return (
        sum(each.get("rx_bytes", 0) for each in networks.values()),
        sum(each.get("tx_bytes", 0) for each in networks.values()),
    )


def _blocks(blkio: Mapping[str, Any]) -> tuple[int, int]:
    entries = blkio.get("io_service_bytes_recursive") or ()
    read = sum(each["value"] for each in entries if str(each.get("op", "")).lower().startswith("r"))
    written = sum(each["value"] for each in entries if str(each.get("op", "")).lower().startswith("w"))
    return read, written
