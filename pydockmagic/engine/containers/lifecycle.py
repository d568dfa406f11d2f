"""The life of a container as one table: (state, action) -> next state, event, or Docker's refusal.

The engine asks it before every action, ``GET /pydock/lifecycle`` shows it, the state diagram is drawn from it and the
tests walk it. Sentences and statuses are dockerd 28.2's, as measured.

A container's state is the first that holds of: restarting, paused, running, removing, dead, created (never started),
exited. A paused container still counts as running, and so does one that waits for its restart.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pydockmagic.engine.errors import Conflict, EngineError, NotFound, NotModified

__all__ = ["ACTIONS", "TABLE", "Action", "Lifecycle", "Rule", "check", "rows"]


class Lifecycle(StrEnum):
    """The states, in Docker's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"
    GONE = "gone"


class Action(StrEnum):
    """What is done to a container, or happens to it (``die``)."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    KILL = "kill"
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    DIE = "die"
    DIE_RESTARTING = "die, to be restarted"
    ATTACH = "attach"
    EXEC = "exec"
    RESIZE = "resize"
    TOP = "top"
    REMOVE = "rm"
    REMOVE_FORCED = "rm --force"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What an action comes to in one state: the next state and event, or the error that refuses it.

    In ``sentence``, ``{id}`` is the full id, ``{name}`` the container's name and ``{asked}`` what the client wrote.
    """

    to: Lifecycle | None = None
    event: str = ""
    refusal: type[EngineError] | None = None
    sentence: str = ""


def _to(state: Lifecycle, event: str = "") -> Rule:
    return Rule(to=state, event=event)


def _conflict(sentence: str) -> Rule:
    return Rule(refusal=Conflict, sentence=sentence)


_ALREADY = Rule(refusal=NotModified)
_NOT_RUNNING = _conflict("container {id} is not running")
_RESTARTING = _conflict("Container {id} is restarting, wait until the container is running")
_NOT_PAUSED = Rule(refusal=EngineError, sentence="Container {id} is not paused")
_MARKED = _conflict("container is marked for removal and cannot be started")
_REMOVAL = _conflict("removal of container {asked} is already in progress")

_S, _A = Lifecycle, Action

_STOPPED_RULES = {
    _A.START: _to(_S.RUNNING, "start"),
    _A.STOP: _ALREADY,
    _A.KILL: _NOT_RUNNING,
    _A.RESTART: _to(_S.RUNNING, "restart"),
    _A.PAUSE: _NOT_RUNNING,
    _A.UNPAUSE: _NOT_PAUSED,
    _A.EXEC: _NOT_RUNNING,
    _A.RESIZE: _NOT_RUNNING,
    _A.TOP: _NOT_RUNNING,
    _A.REMOVE: _to(_S.GONE, "destroy"),
    _A.REMOVE_FORCED: _to(_S.GONE, "destroy"),
}

_DOOMED_RULES = {
    **dict.fromkeys((_A.KILL, _A.PAUSE, _A.EXEC, _A.RESIZE, _A.TOP), _NOT_RUNNING),
    _A.START: _MARKED,
    _A.STOP: _ALREADY,
    _A.RESTART: _MARKED,
    _A.UNPAUSE: _NOT_PAUSED,
    _A.ATTACH: _conflict("container {id} is marked for removal"),
}

TABLE: dict[Lifecycle, dict[Action, Rule]] = {
    _S.CREATED: {
        **_STOPPED_RULES,
        _A.ATTACH: _to(_S.CREATED, "attach"),
    },
    _S.EXITED: {
        **_STOPPED_RULES,
        _A.ATTACH: _to(_S.EXITED, "attach"),
    },
    _S.RUNNING: {
        _A.START: _ALREADY,
        _A.STOP: _to(_S.EXITED, "stop"),
        _A.KILL: _to(_S.EXITED, "kill"),
        _A.RESTART: _to(_S.RUNNING, "restart"),
        _A.PAUSE: _to(_S.PAUSED, "pause"),
        _A.UNPAUSE: _NOT_PAUSED,
        _A.DIE: _to(_S.EXITED, "die"),
        _A.DIE_RESTARTING: _to(_S.RESTARTING, "die"),
        _A.ATTACH: _to(_S.RUNNING, "attach"),
        _A.EXEC: _to(_S.RUNNING, "exec_create"),
        _A.RESIZE: _to(_S.RUNNING, "resize"),
        _A.TOP: _to(_S.RUNNING, "top"),
        _A.REMOVE: _conflict(
            'cannot remove container "/{name}": container is running: '
            "stop the container before removing or force remove"
        ),
        _A.REMOVE_FORCED: _to(_S.GONE, "destroy"),
    },
    _S.PAUSED: {
        _A.START: _conflict("cannot start a paused container, try unpause instead"),
        _A.STOP: _to(_S.EXITED, "stop"),
        _A.KILL: _to(_S.EXITED, "kill"),
        _A.RESTART: _to(_S.RUNNING, "restart"),
        _A.PAUSE: _conflict("Container {id} is already paused"),
        _A.UNPAUSE: _to(_S.RUNNING, "unpause"),
        _A.DIE: _to(_S.EXITED, "die"),
        _A.DIE_RESTARTING: _to(_S.RESTARTING, "die"),
        _A.ATTACH: _conflict("container {asked} is paused, unpause the container before attach"),
        _A.EXEC: _conflict("Container {asked} is paused, unpause the container before exec"),
        _A.RESIZE: _to(_S.PAUSED, "resize"),
        _A.TOP: _to(_S.PAUSED, "top"),
        _A.REMOVE: _conflict('cannot remove container "/{name}": container is paused and must be unpaused first'),
        _A.REMOVE_FORCED: _to(_S.GONE, "destroy"),
    },
    _S.RESTARTING: {
        _A.START: _ALREADY,
        _A.STOP: _to(_S.EXITED, "stop"),
        _A.KILL: _to(_S.EXITED),
        _A.RESTART: _to(_S.RUNNING, "restart"),
        _A.PAUSE: _RESTARTING,
        _A.UNPAUSE: _NOT_PAUSED,
        _A.ATTACH: _conflict("container {asked} is restarting, wait until the container is running"),
        _A.EXEC: _RESTARTING,
        _A.RESIZE: Rule(refusal=NotFound, sentence="container {id} has no process: it waits for its restart"),
        _A.TOP: _RESTARTING,
        _A.REMOVE: _conflict(
            'cannot remove container "/{name}": container is restarting: '
            "stop the container before removing or force remove"
        ),
        _A.REMOVE_FORCED: _to(_S.GONE, "destroy"),
    },
    _S.REMOVING: {
        **_DOOMED_RULES,
        _A.REMOVE: _REMOVAL,
        _A.REMOVE_FORCED: _REMOVAL,
    },
    _S.DEAD: {
        **_DOOMED_RULES,
        _A.REMOVE: _to(_S.GONE, "destroy"),
        _A.REMOVE_FORCED: _to(_S.GONE, "destroy"),
    },
}

ACTIONS = tuple(Action)


def check(state: Lifecycle, action: Action, *, id_: str, name: str, asked: str = "") -> Rule:
    """Give the rule for an action, or raise the error that refuses it."""
    rule = TABLE[state][action]
    if rule.refusal is not None:
        raise rule.refusal(rule.sentence.format(id=id_, name=name, asked=asked or name))
    return rule


def rows() -> list[dict[str, str]]:
    """Give the legal moves, as ``GET /pydock/lifecycle`` lists them."""
    born = [{"State": "", "Action": Action.CREATE.value, "To": Lifecycle.CREATED.value, "Event": "create"}]
    return born + [
        {"State": state.value, "Action": action.value, "To": rule.to.value, "Event": rule.event}
        for state, rules in TABLE.items()
        for action, rule in rules.items()
        if rule.to is not None
    ]
