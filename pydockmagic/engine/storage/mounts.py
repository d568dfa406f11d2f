"""Mounting overlayfs from Python: the new mount API where the kernel has it, mount(2) where not.

Follows fsopen(2), fsconfig(2), fsmount(2), move_mount(2), mount(2) and the kernel's ``filesystems/overlayfs.rst``.
Directories are handed to the kernel as ``/proc/self/fd/N`` where their paths would not fit (an fsconfig value holds
255 bytes, the whole option string of mount(2) one page), so neither the number of layers nor odd characters in
the data root's path matter, and the working directory, which all threads share, is never changed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["MountError", "detach_below", "detached_overlay", "mount_overlay", "unmount"]

_SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 429, 430, 431, 432  # the same on every architecture
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_CLOEXEC = 1
_MOVE_EMPTY_PATH = 4
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_MNT_DETACH = 2
_VALUE_MAX = 255
_PARAMETERS = Path("/sys/module/overlay/parameters")

_libc = ctypes.CDLL(None, use_errno=True)


class MountError(OSError):
    """The kernel refused; ``str()`` of it says what it said, from its own log where it left one."""

    def __str__(self) -> str:
        return str(self.strerror)


def _raise(what: str, detail: str = "") -> None:
    number = ctypes.get_errno()
    text = detail or os.strerror(number)
    raise MountError(number, f"{what}: {text}")


def _syscall(number: int, *args: int | bytes | None) -> int:
    converted = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in args]
    return int(_libc.syscall(ctypes.c_long(number), *converted))


def _switched_off(*, userxattr: bool) -> list[tuple[str, str]]:
    """Give the features that must be off so that an upper directory can become somebody's lower layer later."""
    found = []
    # Without privilege the kernel makes no redirects, and does not want to be told.
    for name in ("metacopy", "index") if userxattr else ("redirect_dir", "metacopy", "index"):
        try:
            if (_PARAMETERS / name).read_text().strip() == "Y":
                found.append((name, "off"))
        except OSError:
            continue  # an older kernel, which does not know the feature
    return found


def _open_tree(stack: ExitStack, path: Path) -> str:
    """Give a short name of a directory, good as long as the stack is open."""
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return f"/proc/self/fd/{descriptor}"


def _fits(path: Path) -> bool:
    """Tell whether a path may stand in an option as it is: short, and nothing that a kernel would unescape."""
    encoded = os.fsencode(path)
    return len(encoded) <= _VALUE_MAX and not any(character in encoded for character in b":,\\")


class _Context:
    """A filesystem being configured (fsopen); what the kernel complains about is read from its log."""

    def __init__(self) -> None:
        self.fd = _syscall(_SYS_FSOPEN, b"overlay", _CLOEXEC)
        if self.fd < 0:
            _raise("overlay")

    def set(self, key: str, value: str | None = None) -> None:
        """Set an option, or a flag when there is no value."""
        command, data = (_SET_FLAG, None) if value is None else (_SET_STRING, os.fsencode(value))
        if _syscall(_SYS_FSCONFIG, self.fd, command, key.encode(), data, 0) < 0:
            self._fail(f"overlay option {key}")

    def create(self, attributes: int) -> int:
        """Make the filesystem and a detached mount of it; give the mount's descriptor."""
        if _syscall(_SYS_FSCONFIG, self.fd, _CREATE, None, None, 0) < 0:
            self._fail("overlay")
        mount = _syscall(_SYS_FSMOUNT, self.fd, _CLOEXEC, attributes)
        if mount < 0:
            _raise("fsmount")
        return mount

    def _fail(self, what: str) -> None:
        number = ctypes.get_errno()
        messages = []
        while True:
            try:
                messages.append(os.read(self.fd, 4096).decode(errors="replace").strip())
            except OSError:
                break  # ENODATA: all was read
        # Lines look like "e overlay: at least 2 lowerdir are needed"; the letter is the level.
        errors = [m.partition(" ")[2].removeprefix("overlay: ") for m in messages if m.startswith("e ")]
        ctypes.set_errno(number)
        _raise(what, f"{os.strerror(number)} ({'; '.join(errors)})" if errors else "")


@contextmanager
def detached_overlay(
    lower: Sequence[Path], upper: Path, work: Path, *, userxattr: bool, read_only: bool = False
) -> Iterator[int]:
    """Mount an overlay that is attached nowhere and give its descriptor; it is gone when the block is left.

    Raises ``MountError``; its errno is ENOSYS where the kernel (or a seccomp filter) lacks the new mount API, and
    EINVAL where it lacks ``lowerdir+`` (before 6.7).
    """
    with ExitStack() as stack:
        context = _Context()
        stack.callback(os.close, context.fd)
        context.set("source", "overlay")
        if userxattr:
            context.set("userxattr")
        for key, value in _switched_off(userxattr=userxattr):
            context.set(key, value)
        for path in lower:
            context.set("lowerdir+", str(path) if _fits(path) else _open_tree(stack, path))
        for key, path in (("upperdir", upper), ("workdir", work)):
            context.set(key, str(path) if _fits(path) else _open_tree(stack, path))
        mount = context.create(_ATTR_NOSUID | _ATTR_NODEV | (_ATTR_RDONLY if read_only else 0))
        stack.callback(os.close, mount)
        yield mount


def mount_overlay(
    target: Path, lower: Sequence[Path], upper: Path, work: Path, *, userxattr: bool, read_only: bool = False
) -> None:
    """Mount an overlay at ``target``, without devices and set-user-id programs: the engine looks, it runs nothing.

    ``lower`` is topmost first. Raises ``MountError``.
    """
    try:
        with detached_overlay(lower, upper, work, userxattr=userxattr, read_only=read_only) as mount:
            if _syscall(_SYS_MOVE_MOUNT, mount, b"", -100, os.fsencode(target), _MOVE_EMPTY_PATH) < 0:
                _raise("move_mount")
            return
    except MountError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
            raise
        first = error
    try:
        _mount_classic(target, lower, upper, work, userxattr=userxattr, read_only=read_only)
    except MountError as error:
        # Where both fail for the same reason the new API's log says more.
        raise (first if first.errno == error.errno else error) from None


def _mount_classic(
    target: Path, lower: Sequence[Path], upper: Path, work: Path, *, userxattr: bool, read_only: bool
) -> None:
    with ExitStack() as stack:
        options = [
            "lowerdir=" + ":".join(_open_tree(stack, path) for path in lower),
            "upperdir=" + _open_tree(stack, upper),
            "workdir=" + _open_tree(stack, work),
            *(f"{key}={value}" for key, value in _switched_off(userxattr=userxattr)),
        ]
        if userxattr:
            options.append("userxattr")
        flags = _MS_NOSUID | _MS_NODEV | (_MS_RDONLY if read_only else 0)
        data = ",".join(options).encode()
        if _libc.mount(b"overlay", os.fsencode(target), b"overlay", ctypes.c_ulong(flags), data) < 0:
            _raise("overlay")


def unmount(target: Path) -> None:
    """Take the mount at ``target`` away at once, even if somebody still looks at it. Not being one is no error."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) < 0 and ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):
        _raise(f"unmount {target}")


def detach_below(directory: Path) -> None:
    """Take away every mount below a directory, the innermost first: what an engine that was killed left."""
    prefix = f"{directory}/"
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as table:
        points = [_unescape(line.split(" ", 5)[4]) for line in table]
    for point in reversed(points):
        if point.startswith(prefix):
            unmount(Path(point))


def _unescape(text: str) -> str:
    """Undo mountinfo's octal escapes of blank, tab, newline and backslash (proc(5))."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
