"""Who carries out which command: each handler turns parsed words into client calls and a result.

A handler is a function ``(Parsed, Context) -> Result`` in a module beside this one, imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pydockmagic.commands.errors import CommandError, Interrupted, Lost
from pydockmagic.commands.results import Result

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["HANDLERS", "run_handler"]

HANDLERS: dict[str, str] = {
    "builder build": "build:build",
    "builder prune": "system:builder_prune",
    "container attach": "run:attach",
    "container commit": "copy:commit",
    "container cp": "copy:copy",
    "container create": "lifecycle:create",
    "container diff": "listing:diff",
    "container exec": "exec:execute",
    "container export": "copy:export",
    "container inspect": "inspect:container",
    "container kill": "lifecycle:kill",
    "container logs": "listing:logs",
    "container ls": "listing:ls",
    "container pause": "lifecycle:pause",
    "container port": "listing:port",
    "container prune": "lifecycle:prune",
    "container rename": "lifecycle:rename",
    "container restart": "lifecycle:restart",
    "container rm": "lifecycle:remove",
    "container run": "run:run",
    "container start": "run:start",
    "container stats": "listing:stats",
    "container stop": "lifecycle:stop",
    "container top": "listing:top",
    "container unpause": "lifecycle:unpause",
    "container update": "lifecycle:update",
    "container wait": "lifecycle:wait",
    "context create": "contexts:create",
    "context export": "contexts:export",
    "context import": "contexts:import_",
    "context inspect": "contexts:inspect",
    "context ls": "contexts:ls",
    "context rm": "contexts:remove",
    "context show": "contexts:show",
    "context update": "contexts:update",
    "context use": "contexts:use",
    "engine doctor": "engine:doctor",
    "engine serve": "engine:serve",
    "engine start": "engine:start",
    "engine status": "engine:status",
    "engine stop": "engine:stop",
    "engine use": "engine:use",
    "image build": "build:build",
    "image history": "image:history",
    "image import": "image:import_",
    "image inspect": "inspect:image",
    "image load": "image:load",
    "image ls": "image:ls",
    "image prune": "image:prune",
    "image pull": "image:pull",
    "image push": "image:push",
    "image rm": "image:remove",
    "image save": "image:save",
    "image tag": "image:tag",
    "inspect": "inspect:any_object",
    "login": "registry:login",
    "logout": "registry:logout",
    "network connect": "network:connect",
    "network create": "network:create",
    "network disconnect": "network:disconnect",
    "network inspect": "inspect:network",
    "network ls": "network:ls",
    "network prune": "network:prune",
    "network rm": "network:remove",
    "search": "image:search",
    "system dial-stdio": "dial:stdio",
    "system df": "system:df",
    "system events": "events:events",
    "system info": "info:info",
    "system prune": "system:prune",
    "version": "system:version",
    "volume create": "network:volume_create",
    "volume inspect": "inspect:volume",
    "volume ls": "network:volume_ls",
    "volume prune": "network:volume_prune",
    "volume rm": "network:volume_remove",
}


def run_handler(parsed: Parsed, context: Context) -> Result:
    """Carry out a parsed command."""
    place = HANDLERS.get(parsed.command.path)
    if place is None:
        raise CommandError(f"docker: 'docker {parsed.name}' is not available here yet", 1)
    module, _, function = place.partition(":")
    handler = getattr(import_module(f".{module}", __name__), function)
    _tell_notes(parsed, context)
    from pydockmagic.client import ClientError, ConnectionLost  # noqa: PLC0415 - what cannot be carried out needs no client

    try:
        result: Result = handler(parsed, context)
    except ConnectionLost as error:
        raise Lost(str(error), embedded=error.embedded) from error
    except ClientError as error:
        raise CommandError(str(error), 1) from error
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: docker {parsed.name}", 130) from None
    return result


def _tell_notes(parsed: Parsed, context: Context) -> None:
    """Say which options are out of date."""
    for note in parsed.notes:
        context.output.write("stdout", f"{note}\n")
