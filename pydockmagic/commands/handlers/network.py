"""``docker network`` and ``docker volume``: lists, creation, removal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError, NotFound
from pydockmagic.commands.format.listing import Options
from pydockmagic.commands.format.system import NETWORKS, VOLUMES
from pydockmagic.commands.options.networks import check_link
from pydockmagic.commands.options.pairs import to_map
from pydockmagic.commands.results import Result, TableResult
from pydockmagic.commands.units import human_size

from .filters import to_filters
from .listing import show
from .prompt import confirm
from .sink import Sink, for_each

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = [
    "connect", "create", "disconnect", "ls", "prune", "remove", "volume_create", "volume_ls", "volume_prune",
    "volume_remove",
]  # fmt: skip


def ls(parsed: Parsed, context: Context) -> TableResult:
    """``docker network ls``, by name."""
    items = context.client.networks(filters=to_filters(parsed.list("filter")))
    items.sort(key=lambda item: str(item.get("Name", "")))
    options = Options(trunc=not parsed.flag("no-trunc"), now=time.time())
    return show(NETWORKS, items, parsed, context, options)


def create(parsed: Parsed, context: Context) -> Result:
    """``docker network create``: prints the id."""
    sink = Sink(context)
    ipam: dict[str, Any] = {
        "Driver": parsed.text("ipam-driver"),
        "Options": to_map(parsed.list("ipam-opt")),
        "Config": _pools(parsed, sink),
    }
    config: dict[str, Any] = {
        "Name": parsed.arguments[0],
        "Driver": parsed.text("driver"),
        "Options": to_map(parsed.list("opt")),
        "IPAM": ipam,
        "Internal": parsed.flag("internal"),
        "Ingress": parsed.flag("ingress"),
        "Attachable": parsed.flag("attachable"),
        "ConfigOnly": parsed.flag("config-only"),
        "Scope": parsed.text("scope"),
        "Labels": to_map(parsed.list("label")),
    }
    for option, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if parsed.given(option):
            config[key] = parsed.flag(option)
    if not context.client.at_least("1.44"):
        config["CheckDuplicate"] = True
    if parsed.text("config-from"):
        config["ConfigFrom"] = {"Network": parsed.text("config-from")}
    answer = context.client.network_create(config)
    sink.out(f"{answer['Id']}\n")
    return sink.result()


def _pools(parsed: Parsed, sink: Sink) -> list[dict[str, Any]]:
    """Bring subnets, ranges and gateways together."""
    import ipaddress  # noqa: PLC0415

    subnets = parsed.list("subnet")
    if len(subnets) < len(parsed.list("ip-range")) or len(subnets) < len(parsed.list("gateway")):
        raise sink.failure("every ip-range or gateway must have a corresponding subnet")
    pools: list[dict[str, Any]] = []
    known = []
    for text in subnets:
        try:
            known.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise sink.failure(f"invalid CIDR address: {text}") from None
        pools.append({"Subnet": text})
    for option, key in (("ip-range", "IPRange"), ("gateway", "Gateway")):
        for text in parsed.list(option):
            address = ipaddress.ip_network(text, strict=False).network_address
            for pool, subnet in zip(pools, known, strict=True):
                if address.version == subnet.version and address in subnet:
                    pool[key] = text
                    break
            else:
                raise sink.failure(f"no matching subnet for {option} {text}")
    for name, text in to_map(parsed.list("aux-address")).items():
        for pool, subnet in zip(pools, known, strict=True):
            if ipaddress.ip_address(text) in subnet:
                pool.setdefault("AuxiliaryAddresses", {})[name] = text
                break
        else:
            raise sink.failure(f"no matching subnet for aux-address {text}")
    return pools


def remove(parsed: Parsed, context: Context) -> Result:
    """``docker network rm``."""
    sink = Sink(context)
    complaints: list[str] = []
    fatal = False
    for name in parsed.arguments:
        try:
            context.client.network_remove(name)
        except ClientError as error:
            complaints.append(str(error))
            fatal = fatal or not (parsed.flag("force") and isinstance(error, NotFound))
        else:
            sink.out(f"{name}\n")
    if complaints and fatal:
        raise sink.failure("\n".join([*complaints, "exit status 1"]))
    sink.err("".join(f"{each}\n" for each in complaints))
    return sink.result()


def connect(parsed: Parsed, context: Context) -> Result:
    """``docker network connect``."""
    network, container = parsed.arguments
    ipam: dict[str, Any] = {"IPv4Address": parsed.text("ip"), "IPv6Address": parsed.text("ip6")}
    if parsed.list("link-local-ip"):
        ipam["LinkLocalIPs"] = parsed.list("link-local-ip")
    endpoint: dict[str, Any] = {
        "IPAMConfig": {key: value for key, value in ipam.items() if value} or None,
        "Links": [check_link(text) for text in parsed.list("link")] or None,
        "Aliases": parsed.list("alias") or None,
        "DriverOpts": to_map(parsed.list("driver-opt")) or None,
        "GwPriority": parsed.number("gw-priority"),
    }
    context.client.network_connect(network, container, endpoint)
    return Sink(context).result()


def disconnect(parsed: Parsed, context: Context) -> Result:
    """``docker network disconnect``."""
    network, container = parsed.arguments
    context.client.network_disconnect(network, container, force=parsed.flag("force"))
    return Sink(context).result()


def prune(parsed: Parsed, context: Context) -> Result:
    """``docker network prune``."""
    sink = Sink(context)
    warning = "WARNING! This will remove all custom networks not used by at least one container."
    if not parsed.flag("force") and not confirm(warning, context, sink):
        return sink.result()
    answer = context.client.networks_prune(filters=to_filters(parsed.list("filter")))
    deleted = answer.get("NetworksDeleted") or []
    if deleted:
        sink.out("Deleted Networks:\n" + "".join(f"{name}\n" for name in deleted) + "\n")
    return sink.result()


def volume_ls(parsed: Parsed, context: Context) -> TableResult:
    """``docker volume ls``, by name."""
    items = context.client.volumes(filters=to_filters(parsed.list("filter"))).get("Volumes") or []
    items.sort(key=lambda item: str(item.get("Name", "")))
    return show(VOLUMES, items, parsed, context, Options(now=time.time()))


def volume_create(parsed: Parsed, context: Context) -> Result:
    """``docker volume create``: prints the name."""
    sink = Sink(context)
    name = parsed.text("name")
    if parsed.arguments:
        if name:
            raise sink.failure(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
            )
        name = parsed.arguments[0]
    config = {
        "Name": name,
        "Driver": parsed.text("driver"),
        "DriverOpts": to_map(parsed.list("opt")),
        "Labels": to_map(parsed.list("label")),
    }
    sink.out(f"{context.client.volume_create(config)['Name']}\n")
    return sink.result()


def volume_remove(parsed: Parsed, context: Context) -> Result:
    """``docker volume rm``."""
    force = parsed.flag("force")
    return for_each(parsed.arguments, lambda name: context.client.volume_remove(name, force=force), context)


def volume_prune(parsed: Parsed, context: Context) -> Result:
    """``docker volume prune``."""
    sink = Sink(context)
    filters = to_filters(parsed.list("filter"))
    warning = "WARNING! This will remove anonymous local volumes not used by at least one container."
    if not context.client.at_least("1.42"):
        warning = "WARNING! This will remove all local volumes not used by at least one container."
    elif parsed.flag("all"):
        filters["all"] = ["true"]
        warning = "WARNING! This will remove all local volumes not used by at least one container."
    if not parsed.flag("force") and not confirm(warning, context, sink):
        return sink.result()
    answer = context.client.volumes_prune(filters=filters)
    deleted = answer.get("VolumesDeleted") or []
    if deleted:
        sink.out("Deleted Volumes:\n" + "".join(f"{name}\n" for name in deleted) + "\n")
    sink.out(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}\n")
    return sink.result()
