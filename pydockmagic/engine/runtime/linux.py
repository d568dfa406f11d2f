"""Linux system calls that Python lacks, through ctypes: namespaces, mounts, capabilities, seccomp.

Standard library only, and single-threaded callers only: ``clone`` returns twice, as fork does. The calls keep the
GIL (``PyDLL``), so that the child owns it. Each raises OSError with the kernel's errno. See the man pages of
section 2 for what they do.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
from typing import Any

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

MACHINE = os.uname().machine
_NUMBERS = {
    # name: (x86_64, aarch64); calls from 424 on have one number everywhere
    "capset": (126, 91),
    "clone": (56, 220),
    "keyctl": (250, 219),
    "pivot_root": (155, 41),
    "rt_sigaction": (13, 134),
}
_COLUMN = 1 if MACHINE in ("aarch64", "arm64") else 0
_MOVE_MOUNT, _OPEN_TREE, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 428, 430, 431, 432
_CLONE3, _CLOSE_RANGE, _MOUNT_SETATTR = 435, 436, 442

CLONE_NEWTIME = 0x00000080
CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_FDCWD = -100
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_KEYCTL_JOIN_SESSION_KEYRING = 1

TIOCGPTPEER = 0x5441
TIOCSPTLCK = 0x40045431
TIOCGPTN = 0x80045430
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6

CAPABILITIES = tuple(
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
    SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
    """.split()  # noqa: SIM905 - forty quoted lines would say no more
)
"""Capability names in the order of their numbers (linux/capability.h), without CAP_."""


def _fail(path: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path) if path is not None else OSError(number, os.strerror(number))


def _syscall(number: int, *arguments: Any) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise _fail()
    return result


def _named(name: str, *arguments: Any) -> int:
    return _syscall(_NUMBERS[name][_COLUMN], *arguments)


def clone(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """Fork into new namespaces; give (pid, pidfd) to the parent and (0, -1) to the child.

    ``cgroup`` is a descriptor of the cgroup v2 directory to be born in. Where clone3 is filtered away (containers
    with an old seccomp profile) plain clone does, without ``cgroup``.
    """
    pidfd = ctypes.c_int(-1)
    flags |= CLONE_PIDFD
    pointer = ctypes.addressof(pidfd)
    into = CLONE_INTO_CGROUP if cgroup >= 0 else 0
    arguments = struct.pack("11Q", flags | into, pointer, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, max(cgroup, 0))
    try:
        pid = _syscall(_CLONE3, ctypes.c_char_p(arguments), ctypes.c_size_t(len(arguments)))
    except OSError as error:
        if error.errno != errno.ENOSYS or cgroup >= 0:
            raise
        zero = ctypes.c_void_p(0)
        pid = _named("clone", ctypes.c_ulong(flags | signal.SIGCHLD), zero, ctypes.c_void_p(pointer), zero, zero)
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones."""
    if _libc.unshare(ctypes.c_int(flags)) < 0:
        raise _fail()


def setns(descriptor: int, flags: int = 0) -> None:
    """Join a namespace (its descriptor) or several of a process (a pidfd and CLONE_NEW* flags)."""
    if _libc.setns(ctypes.c_int(descriptor), ctypes.c_int(flags)) < 0:
        raise _fail()


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Attach a filesystem, or change a mount."""
    result = _libc.mount(
        os.fsencode(source) if source else None,
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    if result < 0:
        raise _fail(target)


def umount(target: str, flags: int = 0) -> None:
    """Detach a filesystem."""
    if _libc.umount2(os.fsencode(target), ctypes.c_int(flags)) < 0:
        raise _fail(target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` the root of this mount namespace."""
    _named("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def set_read_only(path: str, *, recursive: bool) -> None:
    """Make a mount (and those below it) read-only with mount_setattr, Linux 5.12."""
    attributes = struct.pack("4Q", MOUNT_ATTR_RDONLY, 0, 0, 0)
    _syscall(
        _MOUNT_SETATTR,
        ctypes.c_int(AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(AT_RECURSIVE if recursive else 0),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )


def clone_tree(path: str, *, recursive: bool = False) -> int:
    """Give a descriptor of a detached copy of a mount, to be attached by ``attach_tree`` in any mount namespace."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _syscall(_OPEN_TREE, ctypes.c_int(AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags))


def attach_tree(descriptor: int, target: str) -> None:
    """Mount what ``clone_tree`` or ``overlay_tree`` gave."""
    _syscall(
        _MOVE_MOUNT,
        ctypes.c_int(descriptor),
        b"",
        ctypes.c_int(AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )


def overlay_tree(lower: list[str], options: dict[str, str]) -> int:
    """Make an overlay layer by layer (``lowerdir+``, Linux 6.7), for more layers than fit the page of mount(2)."""
    context = _syscall(_FSOPEN, b"overlay", ctypes.c_uint(1))
    try:

        def configure(command: int, key: bytes | None, value: bytes | None) -> None:
            _syscall(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(command), key, value, ctypes.c_int(0))

        for directory in lower:
            configure(_FSCONFIG_SET_STRING, b"lowerdir+", os.fsencode(directory))
        for key, value in options.items():
            if value:
                configure(_FSCONFIG_SET_STRING, key.encode(), os.fsencode(value))
            else:
                configure(_FSCONFIG_SET_FLAG, key.encode(), None)
        configure(_FSCONFIG_CMD_CREATE, None, None)
        return _syscall(_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(1), ctypes.c_uint(0))
    finally:
        os.close(context)


def prctl(option: int, argument: int = 0, third: int = 0) -> int:
    """Change a trait of this process (integer arguments)."""
    result = int(
        _libc.prctl(
            ctypes.c_int(option), ctypes.c_ulong(argument), ctypes.c_ulong(third), ctypes.c_ulong(0), ctypes.c_ulong(0)
        )
    )
    if result < 0:
        raise _fail()
    return result


def set_name(name: str) -> None:
    """Name this process, as ``ps`` shows it (15 bytes)."""
    _libc.prctl(ctypes.c_int(PR_SET_NAME), ctypes.c_char_p(name.encode()), ctypes.c_ulong(0))


def bounding_set() -> int:
    """Give the mask of the capabilities that this process could ever have."""
    mask = 0
    for number in range(64):
        try:
            mask |= prctl(PR_CAPBSET_READ, number) << number
        except OSError:  # beyond the kernel's last capability
            break
    return mask


def drop_bounding(keep: int) -> None:
    """Drop every capability outside ``keep`` from the bounding set."""
    for number in range(64):
        try:
            if not keep >> number & 1 and prctl(PR_CAPBSET_READ, number):
                prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                break
            raise


def set_capabilities(mask: int) -> None:
    """Set the permitted and effective set; empty the inheritable and ambient ones."""
    try:
        prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("Ii", 0x20080522, 0)
    data = struct.pack("6I", low, low, 0, high, high, 0)
    _named("capset", ctypes.c_char_p(header), ctypes.c_char_p(data))


def set_seccomp(program: bytes) -> None:
    """Install a seccomp filter: an array of ``struct sock_filter``."""
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_program = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    result = _libc.prctl(
        ctypes.c_int(PR_SET_SECCOMP),
        ctypes.c_ulong(_SECCOMP_MODE_FILTER),
        ctypes.c_char_p(filter_program),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )
    if result < 0:
        raise _fail()


def close_range(first: int, *, on_exec: bool) -> None:
    """Close every descriptor from ``first`` on, now or at exec."""
    try:
        _syscall(_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(4 if on_exec else 0))
    except OSError:  # Linux before 5.9, or filtered
        for name in os.listdir("/proc/self/fd"):
            descriptor = int(name)
            try:
                if descriptor >= first:
                    if on_exec:
                        os.set_inheritable(descriptor, False)
                    else:
                        os.close(descriptor)
            except OSError:
                continue


def set_domain_name(name: str) -> None:
    """Set the NIS domain name."""
    encoded = name.encode()
    if _libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))) < 0:
        raise _fail()


def join_session_keyring(name: str) -> None:
    """Start a new session keyring, so that a container cannot see the engine's keys. Kernels without keys: nothing."""
    try:
        _named("keyctl", ctypes.c_long(_KEYCTL_JOIN_SESSION_KEYRING), ctypes.c_char_p(name.encode()))
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):
            raise


def loopback_up() -> None:
    """Bring ``lo`` of this network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def open_terminal() -> tuple[int, int]:
    """Open a new pseudo-terminal of this mount namespace's devpts; give (master, slave)."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return master, slave


def terminal_name(master: int) -> str:
    """Give the path of the terminal whose master this is."""
    (number,) = struct.unpack("I", fcntl.ioctl(master, TIOCGPTN, bytes(4)))
    return f"/dev/pts/{number}"


def uid_map() -> list[tuple[int, int, int]]:
    """Give this user namespace's map: (inside, outside, count)."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in file)]


def in_user_namespace() -> bool:
    """Say whether ids here are mapped (rootless)."""
    return uid_map() != [(0, 0, 4_294_967_295)]


def has_single_uid() -> bool:
    """Say whether this user namespace has one id only, so that every chown and setuid fails."""
    entries = uid_map()
    return sum(count for _, _, count in entries) == 1


def reset_signals() -> None:
    """Give every signal its default action and unblock all, as a program expects at its start."""
    for number in range(1, signal.NSIG):
        try:
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue
    # The two that the C library keeps for itself: its posix_spawn leaves them ignored in every child (of make, say),
    # and its sigaction refuses to touch them.
    for number in (32, 33):
        _named("rt_sigaction", ctypes.c_long(number), ctypes.create_string_buffer(32), None, ctypes.c_size_t(8))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
