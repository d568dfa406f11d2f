"""From the engine's answers to what a display shows: layers and states, with what a plain Docker daemon can tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from pydockmagic.client import NotFound
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.widgets.layers import LayersView
from pydockmagic.notebook.widgets.records import FileTable, Layer, LayerStack, StateHistory, StepTaken, Transition
from pydockmagic.notebook.widgets.states import StatesView

if TYPE_CHECKING:
    from pydockmagic.client import Client

__all__ = ["FIRST_FILES", "layers_of", "nanoseconds", "read_files", "read_stack", "read_state", "states_of"]

FIRST_FILES = 12
"""Files of each layer that the saved display lists."""
Kind = Literal["container", "image", ""]
_T = TypeVar("_T")


def layers_of(
    client: Client, name: str, kind: Kind = "", engine: str = "", *, read: bool = False
) -> tuple[LayersView, str]:
    """Read the layers of an image or a container, whichever has the name, and give the view and the container's name.

    A container is looked for first, as ``docker inspect`` does. ``read`` asks for the files of a large image even where
    the daemon has to send all of it for that. Raises ``DockerError`` where there is neither.
    """
    for container in {"container": (True,), "image": (False,), "": (True, False)}[kind]:
        try:
            stack = _record(client.layers(name, container=container, read=read), LayerStack)
        except NotFound:
            continue
        whose = name if container else ""
        files = {
            layer.chain_id: read_files(client, layer, whose, FIRST_FILES)
            for layer in stack.layers
            if layer.files and not layer.empty
        }
        return LayersView(_subject(stack, name, container=container), stack, files, engine, _note(stack)), whose
    what = {"container": "No such container", "image": "No such image", "": "No such object"}[kind]
    raise DockerError(f"Error: {what}: {name}", hint="%image ls and %container ls -a list what there is")


def read_stack(client: Client, image: str, *, read: bool = False) -> LayerStack:
    """Read the layers of an image. Raises ``NotFound``."""
    return _record(client.layers(image, read=read), LayerStack)


def _note(stack: LayerStack) -> str:
    if stack.files_read:
        return ""
    return (
        "This daemon does not list files, only whole images: %layers --files NAME reads them from there. "
        "Sizes and instructions are those of docker history."
    )


def read_files(client: Client, layer: Layer, container: str, limit: int) -> FileTable:
    """Read the largest files of a layer, at most ``limit``."""
    name = container if layer.writable else layer.chain_id
    return _record(client.files(name, container=layer.writable, sort="size", limit=limit), FileTable)


def states_of(client: Client, names: Sequence[str], engine: str = "") -> StatesView:
    """Read where containers stand; no names stand for all containers. Raises ``ApiError`` for an unknown one."""
    names = names or [str(each["Id"]) for each in reversed(client.containers(all=True))]
    table = msgspec.convert(client.lifecycle(), list[Transition]) if client.features() else []
    note = "" if table else "This daemon does not describe its life cycle, so there is no diagram."
    return StatesView(table, [read_state(client, name) for name in names], engine, note)


def read_state(client: Client, name: str) -> StateHistory:
    """Read the state and the history of one container."""
    if client.features():
        return _record(client.states(name), StateHistory)
    return _docker_state(client.container_inspect(name))


def _record(answer: Any, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise DockerError(f"The engine's answer cannot be read: {error}") from error


def _subject(stack: LayerStack, name: str, *, container: bool) -> str:
    if container:
        return f"container {(stack.name or name).lstrip('/')}"
    full = name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"
    return full if full in (stack.names or ()) else name


def _docker_state(facts: dict[str, Any]) -> StateHistory:
    """Put a history together from what every daemon tells: when it was made, started, ended."""
    state = facts["State"]
    now = str(state["Status"])
    steps = [StepTaken(action="create", from_="", to="created", time_nano=nanoseconds(facts["Created"]))]
    if started := nanoseconds(state.get("StartedAt", "")):
        steps.append(StepTaken(action="start", from_="created", to="running", time_nano=started))
    ended = nanoseconds(state.get("FinishedAt", ""))
    if ended and now not in ("running", "paused"):
        code, memory = state.get("ExitCode"), bool(state.get("OOMKilled"))
        step = StepTaken(action="die", from_="running", to=now, time_nano=ended, exit_code=code, oom_killed=memory)
        steps.append(step)
    return StateHistory(id=facts["Id"], name=facts["Name"], state=now, history=sorted(steps, key=_time_of))


def _time_of(step: StepTaken) -> int:
    return step.time_nano


def nanoseconds(text: str) -> int:
    """Read a time as Docker writes it; its zero, the year 1, is 0 here."""
    match = re.fullmatch(r"([^.Z]+)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if match is None or text.startswith("0001-"):
        return 0
    seconds = int(datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp())
    return seconds * 1_000_000_000 + int((match[2] or "0").ljust(9, "0")[:9])
