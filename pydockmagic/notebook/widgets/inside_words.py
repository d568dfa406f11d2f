"""What namespaces and capabilities are for, in words for whoever meets them the first time."""

from __future__ import annotations

__all__ = ["CAPABILITIES", "NAMESPACES", "STANDARD"]

NAMESPACES = {
    "pid": "which processes it can see and signal",
    "net": "its network: interfaces, addresses, ports",
    "mnt": "its files: what is mounted where",
    "uts": "the machine's name",
    "ipc": "shared memory and message queues",
    "user": "user ids: who is root",
    "cgroup": "which cgroup it takes for the top one",
    "time": "the clock since boot",
}

CAPABILITIES = {
    "CHOWN": "give files to another user",
    "DAC_OVERRIDE": "read and write any file, whatever its permissions",
    "DAC_READ_SEARCH": "read any file and folder",
    "FOWNER": "act as the owner of any file",
    "FSETID": "keep set-user-id bits when a file changes",
    "KILL": "signal processes of other users",
    "SETGID": "become another group",
    "SETUID": "become another user",
    "SETPCAP": "hand on capabilities",
    "LINUX_IMMUTABLE": "make files immutable",
    "NET_BIND_SERVICE": "listen on ports below 1024",
    "NET_BROADCAST": "send broadcasts",
    "NET_ADMIN": "change network interfaces, routes and packet filters",
    "NET_RAW": "send raw packets (ping)",
    "IPC_LOCK": "lock memory",
    "IPC_OWNER": "use anybody's shared memory",
    "SYS_MODULE": "load kernel modules",
    "SYS_RAWIO": "reach the hardware directly",
    "SYS_CHROOT": "change its root folder",
    "SYS_PTRACE": "debug other processes",
    "SYS_PACCT": "account for processes",
    "SYS_ADMIN": "mount, enter namespaces, and most else that root may",
    "SYS_BOOT": "reboot the machine",
    "SYS_NICE": "raise its priority",
    "SYS_RESOURCE": "go beyond limits",
    "SYS_TIME": "set the machine's clock",
    "SYS_TTY_CONFIG": "hang up terminals",
    "MKNOD": "make device files",
    "LEASE": "take leases on files",
    "AUDIT_WRITE": "write to the kernel's audit log",
    "AUDIT_CONTROL": "set the rules of the kernel's audit log",
    "SETFCAP": "give capabilities to files",
    "MAC_OVERRIDE": "ignore the rules of SELinux, AppArmor and the like",
    "MAC_ADMIN": "change the rules of SELinux, AppArmor and the like",
    "SYSLOG": "read the kernel's messages",
    "WAKE_ALARM": "wake the machine up",
    "BLOCK_SUSPEND": "keep the machine from sleeping",
    "AUDIT_READ": "read the kernel's audit log",
    "PERFMON": "measure the performance of the whole machine",
    "BPF": "load programs into the kernel (BPF)",
    "CHECKPOINT_RESTORE": "freeze and restore processes",
}
"""In the order of their numbers in the kernel (capabilities(7))."""

STANDARD = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
"""What docker gives a container where nobody asks for more or less (docs.docker.com, "Runtime privilege")."""
