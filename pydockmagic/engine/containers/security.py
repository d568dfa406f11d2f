"""What confines a container: security options, capabilities, which sysctls are its own (moby, runc's validator)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pydockmagic.engine.errors import InvalidParameter, StartError
from pydockmagic.engine.runtime import defaults

from .config import HostConfig
from .validation import ALL_CAPABILITIES

__all__ = ["Security", "capabilities", "check_sysctls", "missing_capabilities", "parse_security"]

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""Go's ``strconv.ParseBool``."""
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"]
)


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--security-opt`` asked for."""

    seccomp: str = "default"
    apparmor: str = ""
    no_new_privileges: bool = False


def parse_security(options: Sequence[str] | None) -> Security:
    """Read ``--security-opt``; raise ``InvalidParameter`` for unknown ones."""
    found = Security()
    for option in options or ():
        if option == "no-new-privileges":
            found = msgspec.structs.replace(found, no_new_privileges=True)
            continue
        if option == "disable":  # of labels, as old clients say it
            continue
        name, separator, value = option.partition("=" if "=" in option else ":")
        if not separator:
            raise InvalidParameter(f'invalid --security-opt 1: "{option}"')
        found = _with(found, name, value, option)
    return found


def _with(found: Security, name: str, value: str, option: str) -> Security:
    if name == "no-new-privileges" and value in _BOOLEANS:
        return msgspec.structs.replace(found, no_new_privileges=_BOOLEANS[value])
    if name == "seccomp":
        return msgspec.structs.replace(found, seccomp={"builtin": "default", "": "default"}.get(value, value))
    if name == "apparmor":
        return msgspec.structs.replace(found, apparmor=value)
    if name == "label" or (name == "writable-cgroups" and value in _BOOLEANS):
        return found
    raise InvalidParameter(f'invalid --security-opt 2: "{option}"')


def capabilities(host: HostConfig) -> frozenset[str]:
    """Give the capabilities of a container: everything for a privileged one, else 14, plus and minus."""
    everything = frozenset(ALL_CAPABILITIES)
    if host.privileged:
        return everything
    added, dropped = set(host.cap_add or ()), set(host.cap_drop or ())
    result = set(everything if "ALL" in added else () if "ALL" in dropped else defaults.CAPABILITIES)
    result |= added - {"ALL"}
    return frozenset(result - dropped)


def missing_capabilities(host: HostConfig, own: int) -> list[str]:
    """Warn of capabilities that are asked for and that the engine lacks itself (``own``: its bounding set)."""
    asked = set(ALL_CAPABILITIES) if host.privileged or "ALL" in (host.cap_add or ()) else set(host.cap_add or ())
    wanted = asked & capabilities(host)
    return [
        f"The engine itself does not have the capability {name}. Capability discarded."
        for number, name in enumerate(ALL_CAPABILITIES)
        if name in wanted and not own & 1 << number
    ]


def check_sysctls(host: HostConfig) -> None:
    """Refuse kernel settings that are not the container's own: they would be the host's. Raises ``StartError``."""
    for asked in host.sysctls or {}:
        if problem := _sysctl_problem(asked.replace("/", "."), host):
            raise StartError(f"failed to create shim task: OCI runtime create failed: runc create failed: {problem}"
                             ": unknown", 128)  # fmt: skip


def _sysctl_problem(name: str, host: HostConfig) -> str:
    if name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
        return f'sysctl "{name}" is not allowed in the hosts ipc namespace' if host.ipc_mode == "host" else ""
    if name.startswith("net."):
        return f'sysctl "{name}" not allowed in host network namespace' if host.network_mode == "host" else ""
    if host.uts_mode != "host":
        if name == "kernel.domainname":
            return ""
        if name == "kernel.hostname":
            return f'sysctl "{name}" is not allowed as it conflicts with the OCI "hostname" field'
    return f'sysctl "{name}" is not in a separate kernel namespace'
