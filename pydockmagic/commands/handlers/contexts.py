"""``docker context``: named daemons, kept in docker's own files.

``context use`` chooses for this session, as ``engine use`` does: docker's own choice is left alone, for a notebook may
not change which daemon its user's terminals talk to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydockmagic.client import EMBEDDED, BadAddress, EngineAddress, TlsFiles, choose, embedded, parse_address
from pydockmagic.client.contexts import DEFAULT, ContextStore, DockerContext, check_name, described
from pydockmagic.commands.format.contexts import CONTEXTS
from pydockmagic.commands.format.listing import Options
from pydockmagic.commands.options.pairs import to_map
from pydockmagic.commands.results import InspectResult, Result, TableResult

from . import engine
from .inspect import inspect_each
from .listing import show as show_list
from .sink import Sink, for_each

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["create", "export", "import_", "inspect", "ls", "remove", "show", "update", "use"]

_KEYS = ("from", "host", "ca", "cert", "key", "skip-tls-verify")


def ls(parsed: Parsed, context: Context) -> TableResult:
    """``docker context ls``: docker's contexts, and the embedded engine as one more; ``*`` marks the one in use."""
    chosen = _current(context)
    found = ContextStore.of(context.environ).all()
    ours = DockerContext(EMBEDDED, str(embedded.places(context.environ).address), "The engine that starts by itself")
    items = [{"context": each, "current": each.name == chosen} for each in (ours, *found)]
    if chosen not in {each.name for each in (ours, *found)}:
        given = DockerContext("", chosen, "Named by its address")
        items.insert(0, {"context": given, "current": True})
    return show_list(CONTEXTS, items, parsed, context, Options())


def show(parsed: Parsed, context: Context) -> Result:
    """``docker context show``: the name of the context in use (its address where it has no name)."""
    del parsed
    sink = Sink(context)
    sink.out(f"{_current(context)}\n")
    return sink.result()


def use(parsed: Parsed, context: Context) -> Result:
    """``docker context use NAME``: take another daemon for the rest of the session; it must answer."""
    sink = Sink(context)
    if len(parsed.arguments) != 1:
        raise sink.failure(f"accepts 1 arg(s), received {len(parsed.arguments)}")
    name = parsed.arguments[0]
    if name != EMBEDDED:
        ContextStore.of(context.environ).get(name)
    if context.echo:
        raise sink.failure(
            "a choice made here would end with this command",
            hint=f"Set DOCKER_CONTEXT={name}, or give --context {name} with each command.",
        )
    engine.take(name, context)
    sink.out(f"{name}\n")
    sink.err(f'Current context is now "{name}"\n')
    return sink.result()


def inspect(parsed: Parsed, context: Context) -> InspectResult:
    """``docker context inspect [NAME...]``."""
    store = ContextStore.of(context.environ)

    def described_in_full(name: str) -> dict[str, Any]:
        found = store.get(name)
        files = [path.name for path in (found.tls.ca, found.tls.cert, found.tls.key) if path] if found.tls else []
        on_disk = name != DEFAULT
        return {
            **described(found),
            "TLSMaterial": {"docker": files} if files else {},
            "Storage": {
                "MetadataPath": str(store.meta_path(name)) if on_disk else "<IN MEMORY>",
                "TLSPath": str(store.tls_path(name)) if on_disk else "<IN MEMORY>",
            },
        }

    chosen = _current(context)
    names = parsed.arguments or [chosen if chosen != EMBEDDED else DEFAULT]
    return inspect_each(names, parsed.text("format"), context, described_in_full)


def create(parsed: Parsed, context: Context) -> Result:
    """``docker context create``."""
    sink = Sink(context)
    name = parsed.arguments[0]
    store = ContextStore.of(context.environ)
    check_name(name)
    base = DockerContext(name, _address_in_use(context))
    if parsed.text("from"):
        base = replace(store.get(parsed.text("from")), name=name)
    changed = _with_endpoint(base, parsed, store, sink)
    store.put(replace(changed, description=parsed.text("description") or changed.description))
    sink.out(f"{name}\n")
    sink.err(f'Successfully created context "{name}"\n')
    return sink.result()


def update(parsed: Parsed, context: Context) -> Result:
    """``docker context update``."""
    sink = Sink(context)
    name = parsed.arguments[0]
    store = ContextStore.of(context.environ)
    check_name(name)
    changed = _with_endpoint(store.get(name), parsed, store, sink)
    if parsed.given("description"):
        changed = replace(changed, description=parsed.text("description"))
    store.put(changed, overwrite=True)
    sink.out(f"{name}\n")
    sink.err(f'Successfully updated context "{name}"\n')
    return sink.result()


def remove(parsed: Parsed, context: Context) -> Result:
    """``docker context rm``."""
    store = ContextStore.of(context.environ)
    chosen = _current(context)

    def forget(name: str) -> None:
        if name != DEFAULT and not (store.meta_path(name) / "meta.json").exists():
            if parsed.flag("force"):
                return
            raise BadAddress(f'context "{name}" does not exist')
        if name == chosen and name != DEFAULT and not parsed.flag("force"):
            raise BadAddress(f'context "{name}" is in use, set -f flag to force remove')
        store.remove(name)

    return for_each(parsed.arguments, forget, context)


def export(parsed: Parsed, context: Context) -> Result:
    """``docker context export NAME [FILE|-]``."""
    sink = Sink(context)
    name = parsed.arguments[0]
    target = parsed.arguments[1] if len(parsed.arguments) > 1 else f"{name}.dockercontext"
    archive = ContextStore.of(context.environ).export(name)
    if target == "-":
        if context.binary is None:
            raise sink.failure("cowardly refusing to export to a terminal, specify a file path")
        context.binary.write(archive)
        return sink.result()
    try:
        with (context.directory / target).open("xb") as file:
            file.write(archive)
    except FileExistsError:
        raise sink.failure(f"open {target}: file exists") from None
    except OSError as error:
        raise sink.failure(f"open {target}: {(error.strerror or '').lower()}") from None
    sink.err(f'Written file "{target}"\n')
    return sink.result()


def import_(parsed: Parsed, context: Context) -> Result:
    """``docker context import NAME FILE|-``."""
    sink = Sink(context)
    name, source = parsed.arguments
    check_name(name)
    try:
        content = b"".join(context.chunks()) if source == "-" else (context.directory / source).read_bytes()
    except OSError as error:
        raise sink.failure(f"open {source}: {(error.strerror or '').lower()}") from None
    ContextStore.of(context.environ).import_(name, content)
    sink.out(f"{name}\n")
    sink.err(f'Successfully imported context "{name}"\n')
    return sink.result()


def _chosen(context: Context) -> EngineAddress | None:
    return choose(context.connection.target, context.environ)


def _current(context: Context) -> str:
    """Name the context in use: ``embedded``, a context's name, or an address that was given directly."""
    chosen = _chosen(context)
    if chosen is None:
        return EMBEDDED
    return chosen.source.removeprefix("context ") if chosen.source.startswith("context ") else str(chosen)


def _address_in_use(context: Context) -> str:
    return str(_chosen(context) or embedded.places(context.environ).address)


def _with_endpoint(base: DockerContext, parsed: Parsed, store: ContextStore, sink: Sink) -> DockerContext:
    """Apply ``--docker host=...,ca=...``."""
    if not parsed.given("docker"):
        return base
    pairs = to_map([pair for text in parsed.list("docker") for pair in text.split(",") if pair])
    for key in pairs:
        if key not in _KEYS:
            raise sink.failure(f"unable to create docker endpoint config: unrecognized config key: {key}")
    if "from" in pairs:
        found = store.get(pairs["from"])
        return replace(base, host=found.host, tls=found.tls, skip_tls_verify=found.skip_tls_verify)
    files = {key: Path(pairs[key]).expanduser() for key in ("ca", "cert", "key") if key in pairs}
    for path in files.values():
        if not path.is_file():
            raise sink.failure(f"unable to create docker endpoint config: open {path}: no such file or directory")
    unverified = _true(pairs.get("skip-tls-verify", "false"), sink)
    try:
        host = str(parse_address(pairs.get("host", ""), tls=TlsFiles() if files else None))
    except BadAddress as error:
        problem = f"unable to create docker endpoint config: invalid docker endpoint options: {error}"
        raise sink.failure(problem) from None
    tls = TlsFiles(**files, verify=not unverified) if files else None
    return replace(base, host=host, tls=tls, skip_tls_verify=unverified)


def _true(text: str, sink: Sink) -> bool:
    known = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
    if text.lower() not in known:
        raise sink.failure(
            "unable to create docker endpoint config: "
            f'strconv.ParseBool: parsing "{text}": invalid syntax: invalid value for skip-tls-verify'
        )
    return known[text.lower()]
