"""A host of its own for a replay: network, host name and resolver as where the commands were recorded.

The replayed commands publish ports, count networks and ask for names, so each engine gets a network namespace (and
those of mounts and host names), and several can be replayed at the same time on one machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.ordinary import NOBODY

HOST_NAME = "controller"
ADDRESS = "192.0.2.10"

_SET_UP = f"""
hostname {HOST_NAME}
ip link set lo up
ip link add eth0 type veth peer name uplink
ip address add {ADDRESS}/24 dev eth0
ip link set eth0 up
ip link set uplink up
ip route add default via 192.0.2.1 dev eth0
echo nameserver {ADDRESS} > "$0/resolv.conf"
mount --bind "$0/resolv.conf" /etc/resolv.conf
if [ -n "$2" ]; then
    for name in subuid subgid; do
        echo "$2" > "$0/$name"
        mount --bind "$0/$name" "/etc/$name"
    done
fi
exec "$1" -c "$3"
"""

# What answers names on that host: it knows none, as the recorded one did.
_RESOLVER = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
    names.bind(("{ADDRESS}", 53))
    print("ready", flush=True)
    while True:
        question, asker = names.recvfrom(4096)
        names.sendto(question[:2] + b"\\x81\\x83" + question[4:6] + bytes(6) + question[12:], asker)
"""


class Stage:
    """The namespaces of one host; ``user`` is who the engine and the commands run as (``None``: root)."""

    def __init__(self, pid: int, user: int | None) -> None:
        self._pid = pid
        self.user = user

    def command(self, arguments: Sequence[str], *, ours: bool = False) -> list[str]:
        """Give the command that runs another one on this host; ``ours`` as who runs the tests."""
        inside = ["nsenter", f"--target={self._pid}", "--net", "--uts", "--mount"]
        if self.user is not None and not ours:
            inside += ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [*inside, *arguments]


@contextmanager
def stage(folder: Path, *, user: int | None = None, subordinate: str = "") -> Iterator[Stage]:
    """Make a host below ``folder``; ``subordinate`` is a line of /etc/subuid that only this host has."""
    command = ["unshare", "--net", "--uts", "--mount", "sh", "-ec", _SET_UP, folder, sys.executable, subordinate]
    holder = subprocess.Popen([*map(str, command), _RESOLVER], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n", "no host for the replay: see what the shell said"
        yield Stage(holder.pid, user)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


SUBORDINATE_IDS = f"{NOBODY}:300000:65536"
