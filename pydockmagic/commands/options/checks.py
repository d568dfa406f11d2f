"""Values that docker checks while it parses options: a mistake is told with the option's name and the usage line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.references import normalized

from . import devices, hosts, mounts, networks, pairs

__all__ = ["check"]

_STREAMS = frozenset({"stdin", "stdout", "stderr"})
_SYSCTLS = frozenset(
    {
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
        "kernel.shmmni", "kernel.shm_rmid_forced",
    }
)  # fmt: skip


def check(option: str, text: str) -> Any:
    """Return the value to keep for one use of an option.

    Raises ``ValueProblem``.
    """
    return _CHECKS[option](text)


def _attach(text: str) -> str:
    if text.lower() not in _STREAMS:
        raise ValueProblem("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def _mount(text: str) -> str:
    mounts.parse_mount(text, Path("/"))
    return text


def _network(text: str) -> str:
    networks.parse_network(text)
    return text


def _sysctl(text: str) -> str:
    name, equals, _ = text.partition("=")
    if equals and (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        return text
    raise ValueProblem(f"sysctl '{text}' is not allowed")


def _tag(text: str) -> str:
    normalized(text)
    return text


_CHECKS: dict[str, Callable[[str], Any]] = {
    "add-host": hosts.check_extra_host,
    "attach": _attach,
    "blkio-weight-device": devices.weight_device,
    "build-arg": pairs.check_env,
    "device": devices.check_device,
    "device-cgroup-rule": devices.check_cgroup_rule,
    "device-read-bps": lambda text: devices.throttle(text, sizes=True),
    "device-read-iops": lambda text: devices.throttle(text, sizes=False),
    "device-write-bps": lambda text: devices.throttle(text, sizes=True),
    "device-write-iops": lambda text: devices.throttle(text, sizes=False),
    "dns": hosts.check_dns,
    "dns-search": hosts.check_dns_search,
    "env": pairs.check_env,
    "gpus": devices.gpus,
    "label": pairs.check_label,
    "link": networks.check_link,
    "mount": _mount,
    "network": _network,
    "sysctl": _sysctl,
    "tag": _tag,
    "ulimit": devices.ulimit,
}
