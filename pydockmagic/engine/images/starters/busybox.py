"""The ``busybox`` starter: a small Unix from the machine's static busybox or, failing that, from its own tools.

What it is made of stands in the label ``io.pydockmagic.starter``: with a real busybox it behaves as the image of that
name elsewhere; made from bash and coreutils it is larger, and its tools know more options.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from .base import SEARCH_PATH, Missing, Starter
from .elf import NotElfError, read_elf
from .tree import Tree

__all__ = ["Busybox", "find_busybox"]

_PLACES = ("/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox", "/sbin/busybox", "/bin/busybox.static")
_SHELLS = ("dash", "bash", "ksh", "zsh")
_TOOL_NAMES = """
[ addgroup adduser ar arch ash awk base32 base64 basename bash bc bunzip2 bzcat bzip2 cal cat chgrp chmod chown chroot
cksum clear cmp comm cp cpio cut date dc dd df diff dirname dmesg du echo ed egrep env expand expr factor false fgrep
find flock fold free fsync getopt grep gunzip gzip head hexdump hostid hostname id install ionice ip ipcrm ipcs join
kill killall less link ln logger logname ls lsof md5sum mkdir mkfifo mknod mktemp more mount mountpoint mv nc netstat
nice nl nohup nproc nslookup od paste patch pgrep pidof ping ping6 pkill pmap printenv printf ps pstree pwd readlink
realpath renice reset rev rm rmdir route sed seq setsid sha1sum sha256sum sha512sum shuf sleep sort split stat strings
stty su sum sync sysctl tac tail tar taskset tee telnet test time timeout top touch tr traceroute true truncate tty
umount uname unexpand uniq unlink unshare unzip uptime users vi w wc wget which who whoami xargs xxd xz yes zcat
"""

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""  # noqa: S105 - no password is in it
GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
lp:x:7:
mail:x:8:
kmem:x:9:
wheel:x:10:root
cdrom:x:11:
dialout:x:18:
floppy:x:19:
video:x:28:
audio:x:29:
tape:x:32:
www-data:x:33:
operator:x:37:
utmp:x:43:
plugdev:x:46:
staff:x:50:
users:x:100:
nogroup:x:65534:
"""


def find_busybox() -> Path | None:
    """Find a busybox on this machine, a static one if there is one."""
    on_path = shutil.which("busybox")
    candidates = [Path(place) for place in (*([on_path] if on_path else []), *_PLACES)]
    found: Path | None = None
    for candidate in candidates:
        try:
            elf = read_elf(candidate.resolve())
        except (NotElfError, OSError):
            continue
        if not elf.interpreter:
            return candidate
        found = found or candidate
    return found


def _output(busybox: Path, *arguments: str) -> str:
    done = subprocess.run(
        [busybox, *arguments], capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout or done.stderr


def _version(busybox: Path) -> str:
    found = re.match(r"BusyBox v(\d+(?:\.\d+)*)", _output(busybox, "--help"))
    return found.group(1) if found else ""


class Busybox:
    """The recipe."""

    name = "busybox"
    base = ""

    def tags(self) -> tuple[str, ...]:
        """Give ``latest`` and, for a real busybox, its version."""
        busybox = find_busybox()
        version = _version(busybox) if busybox else ""
        if not version:
            return ("latest",)
        return ("latest", "stable", *dict.fromkeys((".".join(version.split(".")[:2]), version)))

    def fill(self, root: Path) -> Starter:
        """Put the root together. Raises ``Missing`` where there is not even a shell."""
        tree = Tree(root)
        _common(tree)
        busybox = find_busybox()
        source = _from_busybox(tree, busybox) if busybox else _from_tools(tree)
        tree.finish()
        return Starter(
            source=source,
            created=tree.newest,
            command=("sh",),
            env=(SEARCH_PATH,),
        )


def _common(tree: Tree) -> None:
    """Make what every small Unix has beside its programs."""
    for path in ("/bin", "/dev", "/etc", "/home", "/proc", "/sys", "/usr/bin", "/usr/sbin", "/var/spool/mail",
                 "/var/www", "/var/log", "/run"):  # fmt: skip
        tree.directory(path)
    tree.directory("/root", 0o700)
    tree.directory("/tmp", 0o1777)  # noqa: S108 - the image's own
    tree.directory("/var/tmp", 0o1777)  # noqa: S108 - the image's own
    tree.file("/etc/passwd", PASSWD)
    tree.file("/etc/group", GROUP)
    tree.file("/etc/shadow", "root:*:::::::\n", 0o640)
    tree.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")
    tree.file("/etc/shells", "/bin/sh\n/bin/ash\n")


def _from_busybox(tree: Tree, busybox: Path) -> str:
    program = busybox.resolve()
    tree.copy(program, "/bin/busybox")
    applets = [name for name in _output(program, "--list").split() if "/" not in name]
    if "sh" not in applets:
        raise Missing(f"{busybox} offers no shell; the package busybox-static brings one that does")
    for name in applets:
        tree.link(f"/bin/{name}", "/bin/busybox")
    linked = tree.add_libraries([program])
    kind = f"with {len(linked)} libraries" if linked else "static"
    return f"BusyBox {_version(program)} of this machine ({busybox}, {kind}, {len(applets)} commands)"


def _from_tools(tree: Tree) -> str:
    """Take the machine's own shell and tools; scripts among them are left out, as their languages would be missing."""
    shell = next((path for name in _SHELLS if (path := _program(name))), None)
    if shell is None:
        raise Missing("this machine has neither a busybox nor a shell to make the image from; install busybox-static")
    taken = {"sh": shell, **{name: path for name in _TOOL_NAMES.split() if (path := _program(name))}}
    first_names: dict[Path, str] = {}
    for name, path in taken.items():
        if path in first_names:
            tree.link(f"/bin/{name}", first_names[path])
        else:
            tree.copy(path, f"/bin/{name}")
            first_names[path] = f"/bin/{name}"
    tree.add_libraries([*taken.values(), *_name_services()])
    for library in _name_services():
        tree.copy(library, str(library))
    tree.copy_terminals()
    return f"the shell and {len(taken) - 1} tools of this machine with their libraries (no busybox was found)"


def _program(name: str) -> Path | None:
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if not found:
        return None
    path = Path(found).resolve()
    try:
        read_elf(path)
    except (NotElfError, OSError):
        return None
    return path


def _name_services() -> list[Path]:
    """Find glibc's plug-ins for names (before 2.34 even /etc/passwd needed one): they are loaded, never linked."""
    found = []
    for directory in (*sorted(Path("/lib").glob("*-linux-gnu*")), Path("/lib64"), Path("/usr/lib64")):
        found += [path for name in ("files", "dns") for path in directory.glob(f"libnss_{name}.so.2")]
    return found
