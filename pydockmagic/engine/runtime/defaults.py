"""Docker's defaults for a container's isolation: capabilities, masked and read-only paths. Standard library only."""

from __future__ import annotations

from .linux import CAPABILITIES as _ALL

__all__ = ["ALL_CAPABILITIES", "CAPABILITIES", "MASKED_PATHS", "READONLY_PATHS"]

ALL_CAPABILITIES = frozenset(f"CAP_{name}" for name in _ALL)
"""What ``--privileged`` and ``--cap-add ALL`` give (as far as the engine itself has them)."""

CAPABILITIES = frozenset(
    (
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
    )
)
"""The mask 00000000a80425fb of ``/proc/self/status``."""

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
