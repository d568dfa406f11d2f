"""Commands on images: lists, history, names, removal, archives, registries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from pydockmagic.client import ClientError, NotFound
from pydockmagic.commands.credentials import CredentialsFile
from pydockmagic.commands.format.images import HISTORY, HISTORY_IN_FULL, IMAGES, image_rows
from pydockmagic.commands.format.listing import Options
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.references import normalized
from pydockmagic.commands.results import Result, TableResult
from pydockmagic.commands.units import human_size

from .filters import to_filters
from .leaving import leaving
from .listing import show
from .progress import show_pull
from .prompt import confirm
from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed
    from pydockmagic.oci.reference import Reference

__all__ = ["history", "import_", "load", "ls", "prune", "pull", "push", "remove", "save", "search", "tag"]

_CHUNK = 1 << 20
_TERMINAL = "cowardly refusing to save to a terminal. Use the -o flag or redirect"


def ls(parsed: Parsed, context: Context) -> TableResult:
    """``docker images``."""
    filters = to_filters(parsed.list("filter"))
    if parsed.arguments:
        filters["reference"] = [*filters.get("reference", []), parsed.arguments[0]]
    images = context.client.images(all=parsed.flag("all"), filters=filters)
    digests = parsed.flag("digests")
    form = parsed.text("format")
    per_digest = digests or ("{{" in form and ".Digest" in form)
    options = Options(trunc=not parsed.flag("no-trunc"), digests=digests, now=time.time())
    return show(IMAGES, list(image_rows(images, digests=per_digest)), parsed, context, options)


def history(parsed: Parsed, context: Context) -> TableResult:
    """``docker history``."""
    items = context.client.image_history(parsed.arguments[0], platform=parsed.text("platform") or None)
    options = Options(trunc=not parsed.flag("no-trunc"), human=parsed.flag("human"), now=time.time())
    listing = HISTORY if options.human else HISTORY_IN_FULL
    return show(listing, items, parsed, context, options)


def tag(parsed: Parsed, context: Context) -> Result:
    """``docker tag``."""
    source, target = parsed.arguments
    sink = Sink(context)
    try:
        reference = normalized(target)
    except ValueProblem as problem:
        message = f'Error parsing reference: "{target}" is not a valid repository/tag: {problem}'
        raise sink.failure(message) from None
    if reference.digest:
        raise sink.failure("refusing to create a tag with a digest reference")
    context.client.image_tag(source, reference.familiar_name, reference.with_default_tag().tag)
    return sink.result()


def remove(parsed: Parsed, context: Context) -> Result:
    """``docker rmi``; with ``-f`` a missing image is told but is no failure."""
    sink = Sink(context)
    complaints, fatal = [], False
    for name in parsed.arguments:
        try:
            answer = context.client.image_remove(name, force=parsed.flag("force"), no_prune=parsed.flag("no-prune"))
        except ClientError as error:
            fatal = fatal or not isinstance(error, NotFound)
            complaints.append(str(error))
            continue
        for each in answer:
            sink.out(f"Deleted: {each['Deleted']}\n" if each.get("Deleted") else f"Untagged: {each['Untagged']}\n")
    if complaints and (fatal or not parsed.flag("force")):
        raise sink.failure("\n".join(complaints))
    sink.err("".join(f"{each}\n" for each in complaints))
    return sink.result()


def prune(parsed: Parsed, context: Context) -> Result:
    """``docker image prune``."""
    sink = Sink(context)
    everything = parsed.flag("all")
    filters = to_filters(parsed.list("filter"), dangling="false" if everything else "true")
    warning = "WARNING! This will remove all dangling images."
    if everything:
        warning = "WARNING! This will remove all images without at least one container associated to them."
    if not parsed.flag("force") and not confirm(warning, context, sink):
        return sink.result()
    answer = context.client.images_prune(filters=filters)
    sink.out(deleted_images(answer.get("ImagesDeleted") or []))
    sink.out(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}\n")
    return sink.result()


def deleted_images(deleted: list[dict[str, str]]) -> str:
    """Write what a prune removed."""
    if not deleted:
        return ""
    lines = [
        f"untagged: {each['Untagged']}\n" if each.get("Untagged") else f"deleted: {each['Deleted']}\n"
        for each in deleted
    ]
    return f"Deleted Images:\n{''.join(lines)}\n"


def _named(parsed: Parsed, sink: Sink) -> Reference:
    """Give what is pulled or pushed: one tag, which may be the default, or with ``-a`` a whole repository."""
    try:
        reference = normalized(parsed.arguments[0])
    except ValueProblem as problem:
        raise sink.failure(str(problem)) from None
    everything = parsed.flag("all-tags")
    if everything and not reference.is_name_only:
        raise sink.failure("tag can't be used with --all-tags/-a")
    if everything or not reference.is_name_only:
        return reference
    tagged = reference.with_default_tag()
    if not parsed.flag("quiet"):
        sink.out(f"Using default tag: {tagged.tag}\n")
    return tagged


def pull(parsed: Parsed, context: Context) -> Result:
    """``docker pull``."""
    quiet = parsed.flag("quiet")
    sink = Sink(context, live=not quiet)
    reference = _named(parsed, sink)
    label = None if parsed.flag("all-tags") else reference.digest or reference.tag
    try:
        platform = parsed.text("platform") or None
        auth = CredentialsFile(context.environ).header_for(reference)
        left = f"the pull of {reference.familiar} was stopped, and what was here before is as it was"
        with (
            leaving(sink.result, left, "the pull was stopped, and what was here before is as it was"),
            context.client.image_pull(reference.name, tag=label, platform=platform, auth=auth) as messages,
        ):
            show_pull(messages, context, sink, "stdout", quiet=quiet)
    except ClientError as error:
        raise sink.failure(str(error)) from None
    sink.out(f"{reference}\n")
    return sink.result()


def push(parsed: Parsed, context: Context) -> Result:
    """``docker push``."""
    quiet = parsed.flag("quiet")
    sink = Sink(context, live=not quiet)
    reference = _named(parsed, sink)
    try:
        auth = CredentialsFile(context.environ).header_for(reference)
        left = f"the push of {reference.familiar} was stopped; the registry keeps the layers that had arrived"
        with (
            leaving(sink.result, left),
            context.client.image_push(reference.familiar_name, tag=reference.tag or None, auth=auth) as messages,
        ):
            show_pull(messages, context, sink, "stdout", quiet=quiet)
    except ClientError as error:
        raise sink.failure(str(error).removeprefix("Error response from daemon: ")) from None
    if quiet:
        sink.out(f"{reference}\n")
    return sink.result()


def load(parsed: Parsed, context: Context) -> Result:
    """``docker load``."""
    sink = Sink(context)
    name = parsed.text("input")
    try:
        if name:
            with (context.directory / name).open("rb") as file:
                return _load(_chunks(file), parsed, context, sink)
        if context.stdin is None:
            raise sink.failure("requested load from stdin, but stdin is empty")
        return _load(context.chunks(_CHUNK), parsed, context, sink)
    except OSError as error:
        raise sink.failure(_open_error(name, error)) from None


def _load(tar: Iterator[bytes], parsed: Parsed, context: Context, sink: Sink) -> Result:
    try:
        with (
            leaving(sink.result, "the archive was not loaded to its end"),
            context.client.image_load(tar, quiet=True) as messages,
        ):
            show_pull(messages, context, sink, "stdout")
    except ClientError as error:
        raise sink.failure(str(error).removeprefix("Error response from daemon: ")) from None
    del parsed
    return sink.result()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield an open file's bytes, and close it."""
    with file:
        while data := file.read(_CHUNK):
            yield data


def _open_error(name: str, error: OSError) -> str:
    return f"open {name}: {(error.strerror or str(error)).lower()}"


def save(parsed: Parsed, context: Context) -> Result:
    """``docker save``: to a file, or to standard output where it is no terminal."""
    sink = Sink(context)
    return write_archive(context.client.image_save(parsed.arguments), parsed.text("output"), context, sink)


def write_archive(chunks: Iterator[bytes] | object, name: str, context: Context, sink: Sink) -> Result:
    """Write an archive to a file, whole or not at all; or to the binary output where no file is named."""
    from pydockmagic.client import ByteStream  # noqa: PLC0415

    assert isinstance(chunks, ByteStream)
    with chunks:
        if not name:
            if context.binary is None:
                raise sink.failure(_TERMINAL)
            for data in chunks:
                context.binary.write(data)
            context.binary.flush()
            return sink.result()
        path = context.directory / name
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                for data in chunks:
                    file.write(data)
            part.replace(path)
        except OSError as error:
            raise sink.failure(f"failed to save image: {_open_error(name, error)}") from None
        finally:
            part.unlink(missing_ok=True)
    return sink.result()


def import_(parsed: Parsed, context: Context) -> Result:
    """``docker import``: from a file, a URL that the daemon fetches, or standard input."""
    source, *rest = parsed.arguments
    sink = Sink(context)
    repo = rest[0] if rest else None
    message = parsed.text("message") or None
    changes = parsed.list("change")
    platform = parsed.text("platform") or None
    try:
        if source == "-":
            tar: Iterator[bytes] | None = context.chunks(_CHUNK)
            origin = "-"
        elif "://" in source:
            tar, origin = None, source
        else:
            tar, origin = _chunks((context.directory / source).open("rb")), "-"
    except OSError as error:
        raise sink.failure(_open_error(source, error)) from None
    with context.client.image_import(
        tar, source=origin, repo=repo, message=message, changes=changes, platform=platform
    ) as messages:
        show_pull(messages, context, sink, "stdout")
    return sink.result()


def search(parsed: Parsed, context: Context) -> TableResult:
    """``docker search``."""
    from pydockmagic.commands.format.search import SEARCH  # noqa: PLC0415

    limit = parsed.number("limit") or None
    auth = CredentialsFile(context.environ).header_for(normalized("docker.io/library/search"))
    filters = to_filters(parsed.list("filter"))
    items = context.client.image_search(parsed.arguments[0], limit=limit, filters=filters, auth=auth)
    return show(SEARCH, items, parsed, context, Options(trunc=not parsed.flag("no-trunc"), now=time.time()))
