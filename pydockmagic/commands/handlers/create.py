"""Creating a container from a ``run`` or ``create`` line, fetching the image where it is missing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ApiError, ClientError, NotFound
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.options.config import ContainerConfig, container_config
from pydockmagic.commands.references import check_name, familiar_tagged, normalized

from .leaving import completed, leaving
from .progress import show_pull

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.errors import CommandError
    from pydockmagic.commands.grammar import Parsed

    from .sink import Sink

__all__ = ["Created", "check_pull", "create_container", "create_from", "failed"]

_PULL = frozenset({"always", "missing", "never"})


@dataclass(frozen=True, slots=True)
class Created:
    """A container that was created, and the request that made it."""

    id: str
    name: str
    config: dict[str, Any]
    host_config: dict[str, Any]


def failed(message: str, sink: Sink, command: str, exit_code: int) -> CommandError:
    """Return the error of a ``run`` or ``create`` that did not come to pass."""
    prefix = "docker: " if command == "run" else ""
    return sink.failure(f"{prefix}{message}", exit_code, hint=f"Run 'docker {command} --help' for more information")


def create_container(parsed: Parsed, context: Context, sink: Sink, *, command: str) -> Created:
    """Create the container that the options ask for.

    Raises ``CommandError``: 125 for ``run``, and for ``create`` where docker refuses before it asks the daemon; 1 for
    what the daemon refuses to ``create``.
    """
    try:
        request = container_config(parsed, context.directory, context.environ)
        check_pull(parsed)
    except ValueProblem as problem:
        raise failed(str(problem), sink, command, 125) from None
    return create_from(request, parsed, context, sink, command)


def check_pull(parsed: Parsed) -> None:
    """Check what is only known to be wrong once all options are read; raises ``ValueProblem``."""
    if parsed.flag("use-api-socket"):
        raise ValueProblem("--use-api-socket is not supported here")
    if parsed.text("pull") not in _PULL:
        raise ValueProblem(
            f'invalid pull option: \'{parsed.text("pull")}\': must be one of "always", "missing" or "never"'
        )


def create_from(request: ContainerConfig, parsed: Parsed, context: Context, sink: Sink, command: str) -> Created:
    """Send the create request, with the image fetched before or after the daemon asks for it."""
    image = parsed.arguments[0]
    cidfile = parsed.text("cidfile")
    path = context.directory / cidfile
    if cidfile and path.exists():
        message = f"container ID file found, make sure the other container isn't running or delete {cidfile}"
        raise failed(message, sink, command, 125)
    try:
        check_name(image)
    except ValueProblem as problem:
        if command == "create":
            raise sink.failure(str(problem), 1) from None
        raise failed(str(problem), sink, command, 125) from None
    try:
        with leaving(sink.result, "no container was started"):
            if parsed.text("pull") == "always":
                _pull(image, parsed, context, sink)
            answer = _create(request, parsed, context, sink)
    except ApiError as error:
        if command == "create":
            raise sink.failure(str(error), 1) from None
        raise failed(str(error), sink, command, 125) from None
    except ClientError as error:
        raise failed(str(error), sink, command, 125 if command == "run" else 1) from None
    for warning in answer.get("Warnings") or ():
        sink.err(f"WARNING: {warning}\n")
    if cidfile:
        path.write_text(answer["Id"], encoding="ascii")
    name = parsed.text("name")
    return Created(answer["Id"], name, request.config, request.host_config)


def _create(request: ContainerConfig, parsed: Parsed, context: Context, sink: Sink) -> dict[str, Any]:
    image = parsed.arguments[0]
    name = parsed.text("name") or None
    platform = parsed.text("platform") or None

    def make() -> dict[str, Any]:
        return context.client.container_create(request.request(), name=name, platform=platform)

    def unmake(answer: dict[str, Any]) -> None:
        with suppress(ClientError):
            context.client.container_remove(answer["Id"], volumes=True)

    try:
        return completed(make, unmake)
    except NotFound as error:
        if parsed.text("pull") != "missing" or "No such image" not in error.message:
            raise
    if not parsed.flag("quiet"):
        sink.err(f"Unable to find image '{familiar_tagged(image)}' locally\n")
    _pull(image, parsed, context, sink)
    return completed(make, unmake)


def _pull(image: str, parsed: Parsed, context: Context, sink: Sink) -> None:
    from pydockmagic.commands.credentials import CredentialsFile  # noqa: PLC0415 - most images are here already

    reference = normalized(image).with_default_tag()
    repo, tag = reference.name, reference.tag
    if reference.digest:
        tag = reference.digest
    auth = CredentialsFile(context.environ).header_for(reference)
    platform = parsed.text("platform") or None
    with context.client.image_pull(repo, tag=tag, platform=platform, auth=auth) as messages:
        show_pull(messages, context, sink, "stderr", quiet=parsed.flag("quiet"))
