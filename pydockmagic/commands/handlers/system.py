"""``docker version``, ``system df`` and ``system prune``, ``builder prune``."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydockmagic.client import API_VERSION, ClientError
from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.format.containers import CONTAINERS
from pydockmagic.commands.format.images import IMAGES, image_rows
from pydockmagic.commands.format.listing import Listing, Options
from pydockmagic.commands.format.system import BUILD_CACHE, DISK_USAGE, VOLUMES, disk_usage_rows
from pydockmagic.commands.results import Result, TableResult
from pydockmagic.commands.template import Struct, Template, TemplateExecutionError, TemplateSyntaxError, to_json
from pydockmagic.commands.units import human_size

from .filters import to_filters
from .image import deleted_images
from .listing import show
from .prompt import confirm
from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["builder_prune", "df", "prune", "version"]

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le"}


def version(parsed: Parsed, context: Context) -> Result:
    """``docker version``: the client's part even where no daemon answers."""
    form = parsed.text("format")
    template = compiled(form, name="version")
    sink = Sink(context)
    server, complaint = None, ""
    negotiated = API_VERSION
    try:
        server = context.client.version()
        negotiated = context.client.api_version
    except ClientError as error:
        complaint = str(error)
    client = _client_facts(negotiated, context)
    if template is not None:
        data = Struct({"Client": Struct(client), "Server": None if server is None else _server_struct(server)})
        data.go_type = "system.versionInfo"
        text, problem = filled(template, data)
        sink.out(text)
        complaint = complaint or problem
    elif form == "json":
        sink.out(to_json(Struct({"Client": Struct(client), "Server": server and _server_struct(server)})) + "\n")
    else:
        sink.out(_client_text(client) + ("" if server is None else "\n" + _server_text(server)))
    if complaint:
        raise sink.failure(complaint)
    return sink.result()


def compiled(form: str, *, name: str = "") -> Template | None:
    """Read a template, if one is given."""
    if form in {"", "json"}:
        return None
    try:
        return Template(form, name=name)
    except TemplateSyntaxError as error:
        raise CommandError(f"template parsing error: {error}", 64) from None


def filled(template: Template, data: Any) -> tuple[str, str]:
    """Fill a template in; returns the text, and the complaint where that failed."""
    try:
        return template.fill(data) + "\n", ""
    except TemplateExecutionError as error:
        return "\n", str(error)


def _client_facts(negotiated: str, context: Context) -> dict[str, Any]:
    from pydockmagic.version import __version__  # noqa: PLC0415

    machine = platform.machine()
    return {
        "Version": __version__,
        "ApiVersion": negotiated,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": platform.python_version(),
        "Os": platform.system().lower(),
        "Arch": _MACHINES.get(machine, machine),
        "Context": context.connection.address or "default",
    }


def _client_text(client: Mapping[str, Any]) -> str:
    api = client["ApiVersion"]
    if api != client["DefaultAPIVersion"]:
        api = f"{api} (downgraded from {client['DefaultAPIVersion']})"
    return (
        "Client: pydockmagic\n"
        f" Version:           {client['Version']}\n"
        f" API version:       {api}\n"
        f" Python version:    {client['PythonVersion']}\n"
        f" OS/Arch:           {client['Os']}/{client['Arch']}\n"
        f" Context:           {client['Context']}\n"
    )


def _server_struct(server: Mapping[str, Any]) -> Struct:
    parts = [
        Struct({**each, "Details": _details(each.get("Details") or {})}) for each in server.get("Components") or ()
    ]
    optional = frozenset({"GitCommit", "GoVersion", "KernelVersion", "Experimental", "BuildTime"})
    return Struct({**server, "Components": parts}, "*system.versionInfo", optional)


def _details(details: Mapping[str, str]) -> dict[str, str]:
    return {key: _build_time(value) if key == "BuildTime" else value for key, value in details.items()}


_DETAILS = (
    ("ApiVersion", "API version"),
    ("GoVersion", "Go version"),
    ("GitCommit", "Git commit"),
    ("BuildTime", "Built"),
    ("Arch", "OS/Arch"),
    ("Experimental", "Experimental"),
)


def _server_text(server: Mapping[str, Any]) -> str:
    name = (server.get("Platform") or {}).get("Name") or ""
    lines = [f"Server: {name}".rstrip() if name else "Server:"]
    for part in server.get("Components") or ():
        details = part.get("Details") or {}
        lines.append(f" {part['Name']}:")
        lines.append(f"  Version:          {part.get('Version', '')}")
        if part["Name"] == "Engine":
            lines += _engine_lines(details)
        else:
            lines += [f"  {key + ':':<17} {details[key]}" for key in sorted(details)]
    return "\n".join(lines) + "\n"


def _engine_lines(details: Mapping[str, str]) -> list[str]:
    """Write the engine's own facts in docker's order, then what is left of them."""
    lines = []
    for key, label in _DETAILS:
        value = details.get(key)
        if value is None:
            continue
        if key == "ApiVersion":
            value = f"{value} (minimum version {details.get('MinAPIVersion', '')})"
        elif key == "Arch":
            value = f"{details.get('Os', '')}/{value}"
        elif key == "BuildTime":
            value = _build_time(value)
        lines.append(f"  {label + ':':<17} {value}")
    known = {key for key, _ in _DETAILS} | {"MinAPIVersion", "Os", "KernelVersion"}
    lines += [f"  {key + ':':<17} {details[key]}" for key in sorted(details) if key not in known]
    return lines


def _build_time(text: str) -> str:
    from pydockmagic.commands.format.times import nanoseconds  # noqa: PLC0415

    nanos = nanoseconds(text)
    return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(nanos // 10**9)) if nanos else text


def df(parsed: Parsed, context: Context) -> TableResult:
    """``docker system df``; ``-v`` lists every object."""
    usage = context.client.disk_usage()
    if parsed.flag("verbose"):
        return _verbose(usage, parsed, context)
    return show(DISK_USAGE, disk_usage_rows(usage), parsed, context, Options(now=time.time()))


def _verbose(usage: Mapping[str, Any], parsed: Parsed, context: Context) -> TableResult:
    if parsed.text("format"):
        raise CommandError("the verbose and the format options conflict", 1)
    options = Options(now=time.time())
    containers = [{**each, "SizeRootFs": 0} for each in usage.get("Containers") or ()]
    images = list(image_rows(usage.get("Images") or (), digests=False))
    cache = usage.get("BuildCache") or ()
    size = sum(each.get("Size", 0) for each in cache if not each.get("Shared"))
    image_columns = "Repository Tag ID CreatedSince Size SharedSize UniqueSize Containers"
    container_columns = "ID Image Command LocalVolumes Size RunningFor Status Names"
    cache_columns = "ID CacheType Size CreatedSince LastUsedSince UsageCount Shared"
    parts = (
        ("Images space usage:", IMAGES, images, image_columns),
        ("Containers space usage:", CONTAINERS, containers, container_columns),
        ("Local Volumes space usage:", VOLUMES, usage.get("Volumes") or (), "Name Links Size"),
        (f"Build cache usage: {human_size(size)}", BUILD_CACHE, cache, cache_columns),
    )
    sink = Sink(context)
    rows: list[dict[str, Any]] = []
    for title, listing, items, columns in parts:
        text, found = _section(listing, items, columns, options)
        sink.out(f"{title}\n\n{text}\n" if listing is not BUILD_CACHE else f"{title}\n\n{text}")
        rows += found
    return sink.fill(TableResult(rows=rows))


def _section(
    listing: Listing, items: Sequence[Mapping[str, Any]], columns: str, options: Options
) -> tuple[str, list[dict[str, Any]]]:
    form = "table " + "\\t".join(f"{{{{.{name}}}}}" for name in columns.split())
    rendered = listing.render(items, form, options)
    return rendered.text, rendered.rows


def prune(parsed: Parsed, context: Context) -> Result:
    """``docker system prune``."""
    sink = Sink(context)
    everything, volumes = parsed.flag("all"), parsed.flag("volumes")
    pairs = parsed.list("filter")
    if volumes and any(name == "until" for name, _ in pairs):
        raise sink.failure('ERROR: The "until" filter is not supported with "--volumes"')
    if not parsed.flag("force") and not confirm(_prune_warning(everything, volumes, pairs), context, sink):
        return sink.result()
    filters = to_filters(pairs)
    client = context.client
    answer = client.containers_prune(filters=filters)
    space = answer.get("SpaceReclaimed") or 0
    sink.out(_deleted("Containers", answer.get("ContainersDeleted")))
    sink.out(_deleted("Networks", client.networks_prune(filters=filters).get("NetworksDeleted")))
    if volumes:
        answer = client.volumes_prune(filters=filters)
        space += answer.get("SpaceReclaimed") or 0
        sink.out(_deleted("Volumes", answer.get("VolumesDeleted")))
    answer = client.images_prune(filters=to_filters(pairs, dangling="false" if everything else "true"))
    space += answer.get("SpaceReclaimed") or 0
    sink.out(deleted_images(answer.get("ImagesDeleted") or []))
    answer = client.build_prune(all=everything, filters=filters)
    space += answer.get("SpaceReclaimed") or 0
    sink.out(_deleted("build cache objects", answer.get("CachesDeleted")))
    sink.out(f"Total reclaimed space: {human_size(space)}\n")
    return sink.result()


def _deleted(what: str, names: Sequence[str] | None) -> str:
    return f"Deleted {what}:\n" + "".join(f"{name}\n" for name in names) + "\n" if names else ""


def _prune_warning(everything: bool, volumes: bool, filters: Sequence[tuple[str, str]]) -> str:
    warnings = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        warnings.append("all anonymous volumes not used by at least one container")
    warnings.append(
        "all images without at least one container associated to them" if everything else "all dangling images"
    )
    warnings.append("all build cache" if everything else "unused build cache")
    lines = ["WARNING! This will remove:", *(f"  - {each}" for each in warnings)]
    if filters:
        lines += ["", "  Items to be pruned will be filtered with:"]
        lines += [f"  - {name}={value}" for name, value in sorted(filters)]
    return "\n".join(lines) + "\n"


def builder_prune(parsed: Parsed, context: Context) -> Result:
    """``docker builder prune``."""
    sink = Sink(context)
    everything = parsed.flag("all")
    warning = "WARNING! This will remove all dangling build cache."
    if everything:
        warning = "WARNING! This will remove all build cache."
    if not parsed.flag("force") and not confirm(warning, context, sink):
        return sink.result()
    answer = context.client.build_prune(all=everything, filters=to_filters(parsed.list("filter")))
    names = answer.get("CachesDeleted") or []
    if names:
        sink.out("Deleted build cache objects:\n" + "".join(f"{name}\n" for name in names) + "\n")
    sink.out(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}\n")
    return sink.result()
