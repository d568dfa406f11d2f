"""``docker info`` (docker/cli, command/system/info.go)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError
from pydockmagic.commands.results import Result
from pydockmagic.commands.template import Struct, to_json
from pydockmagic.commands.units import binary_size

from .sink import Sink
from .system import compiled, filled

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["info", "server_lines"]


def info(parsed: Parsed, context: Context) -> Result:
    """``docker info``: the client's part even where no daemon answers."""
    from pydockmagic.version import __version__  # noqa: PLC0415

    form = parsed.text("format")
    template = compiled(form)
    sink = Sink(context)
    server: dict[str, Any] = {}
    complaint = ""
    try:
        server = context.client.info()
    except ClientError as error:
        complaint = str(error)
    client = {"Version": __version__, "Context": context.connection.address or "default", "Debug": False}
    if form:
        data = Struct({**server, "ClientInfo": Struct(client)}, "system.dockerInfo")
        if template is None:
            sink.out(to_json(data) + "\n")
        else:
            text, problem = filled(template, data)
            sink.out(text)
            complaint = complaint or problem
    else:
        sink.out("Client: pydockmagic\n")
        sink.out(f" Version:    {client['Version']}\n Context:    {client['Context']}\n Debug Mode: false\n\nServer:\n")
        if server:
            sink.out("".join(f"{line}\n" for line in server_lines(server)) + "\n")
            sink.err("".join(f"{each}\n" for each in server.get("Warnings") or ()))
    if complaint:
        raise sink.failure(complaint)
    return sink.result()


def server_lines(server: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about the server."""
    yield f" Containers: {server.get('Containers', 0)}"
    for label, key in (
        ("Running", "ContainersRunning"),
        ("Paused", "ContainersPaused"),
        ("Stopped", "ContainersStopped"),
    ):
        yield f"  {label}: {server.get(key, 0)}"
    yield f" Images: {server.get('Images', 0)}"
    yield from _plain(server, ("Server Version", "ServerVersion"))
    yield f" Storage Driver: {server.get('Driver', '')}"
    yield from (f"  {name}: {value}" for name, value in server.get("DriverStatus") or ())
    yield from (f" {name}: {value}" for name, value in server.get("SystemStatus") or ())
    yield from _plain(server, ("Logging Driver", "LoggingDriver"), ("Cgroup Driver", "CgroupDriver"))
    yield from _plain(server, ("Cgroup Version", "CgroupVersion"))
    yield from _plugins(server.get("Plugins") or {})
    yield from _devices(server)
    yield f" Swarm: {(server.get('Swarm') or {}).get('LocalNodeState', 'inactive')}"
    yield from _runtimes(server)
    yield from _security(server.get("SecurityOptions") or ())
    yield from _host(server)
    yield from _settings(server)


def _plain(server: Mapping[str, Any], *pairs: tuple[str, str]) -> Iterator[str]:
    yield from (f" {label}: {server[key]}" for label, key in pairs if server.get(key))


def _plugins(plugins: Mapping[str, Any]) -> Iterator[str]:
    yield " Plugins:"
    yield f"  Volume: {' '.join(plugins.get('Volume') or ())}"
    yield f"  Network: {' '.join(plugins.get('Network') or ())}"
    if plugins.get("Authorization"):
        yield f"  Authorization: {' '.join(plugins['Authorization'])}"
    yield f"  Log: {' '.join(plugins.get('Log') or ())}"


def _devices(server: Mapping[str, Any]) -> Iterator[str]:
    if server.get("CDISpecDirs"):
        yield " CDI spec directories:"
        yield from (f"  {each}" for each in server["CDISpecDirs"])
    if server.get("DiscoveredDevices"):
        yield " Discovered Devices:"
        yield from (f"  {each.get('Source', '')}: {each.get('ID', '')}" for each in server["DiscoveredDevices"])


def _runtimes(server: Mapping[str, Any]) -> Iterator[str]:
    runtimes = server.get("Runtimes") or {}
    if runtimes:
        yield f" Runtimes: {' '.join(sorted(runtimes))}"
        yield f" Default Runtime: {server.get('DefaultRuntime', '')}"
    if server.get("OSType") == "linux":
        yield f" Init Binary: {server.get('InitBinary', '')}"
        for label, key in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
            commit = server.get(key) or {}
            yield f" {label} version: {commit.get('ID', '')}"


def _security(options: Any) -> Iterator[str]:
    """Yield the security options: ``name=seccomp,profile=builtin`` becomes two lines."""
    if not options:
        return
    yield " Security Options:"
    for option in options:
        fields = dict(part.partition("=")[::2] for part in str(option).split(","))
        yield f"  {fields.pop('name', option)}"
        for key, value in fields.items():
            yield f"   {'Profile' if key == 'profile' else key}: {value}"


def _host(server: Mapping[str, Any]) -> Iterator[str]:
    yield from _plain(
        server,
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    )
    yield f" CPUs: {server.get('NCPU', 0)}"
    yield f" Total Memory: {binary_size(server.get('MemTotal', 0))}"
    yield from _plain(server, ("Name", "Name"), ("ID", "ID"))
    yield f" Docker Root Dir: {server.get('DockerRootDir', '')}"
    yield f" Debug Mode: {'true' if server.get('Debug') else 'false'}"
    if server.get("Debug"):
        yield f"  File Descriptors: {server.get('NFd', 0)}"
        yield f"  Goroutines: {server.get('NGoroutines', 0)}"
        yield f"  System Time: {server.get('SystemTime', '')}"
        yield f"  EventsListeners: {server.get('NEventsListener', 0)}"
    yield from _plain(server, ("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy"))


def _settings(server: Mapping[str, Any]) -> Iterator[str]:
    labels = server.get("Labels") or ()
    if labels:
        yield " Labels:"
        yield from (f"  {each}" for each in labels)
    yield f" Experimental: {'true' if server.get('ExperimentalBuild') else 'false'}"
    registries = server.get("RegistryConfig") or {}
    insecure = [name for name, each in (registries.get("IndexConfigs") or {}).items() if not each.get("Secure")]
    ranges = registries.get("InsecureRegistryCIDRs") or ()
    if insecure or ranges:
        yield " Insecure Registries:"
        yield from (f"  {each}" for each in (*insecure, *ranges))
    if registries.get("Mirrors"):
        yield " Registry Mirrors:"
        yield from (f"  {each}" for each in registries["Mirrors"])
    yield f" Live Restore Enabled: {'true' if server.get('LiveRestoreEnabled') else 'false'}"
    if server.get("ProductLicense"):
        yield f" Product License: {server['ProductLicense']}"
    pools = server.get("DefaultAddressPools") or ()
    if pools:
        yield " Default Address Pools:"
        yield from (f"   Base: {each['Base']}, Size: {each['Size']}" for each in pools)
    if server.get("FirewallBackend"):
        yield f" Firewall Backend: {server['FirewallBackend'].get('Driver', '')}"
