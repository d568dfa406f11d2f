"""The engine's error tree: every class carries its HTTP status, every instance Docker's own sentence.

    EngineError                     500
    ├── InvalidParameter            400
    ├── Unauthorized                401
    ├── Forbidden                   403
    ├── NotFound                    404
    │   ├── NoSuchContainer
    │   ├── NoSuchExec
    │   ├── NoSuchImage
    │   ├── NoSuchNetwork
    │   └── NoSuchVolume
    ├── Conflict                    409
    ├── NotModified                 304   (an answer, not a fault: already started, already stopped)
    ├── NotImplementedHere          501
    ├── Unavailable                 503
    └── StartError                  400 or 500, with the exit code a shell would give

Statuses follow moby's ``errdefs`` as the Engine API v1.50 documents them.
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "EngineError",
    "Forbidden",
    "InvalidParameter",
    "NoSuchContainer",
    "NoSuchExec",
    "NoSuchImage",
    "NoSuchNetwork",
    "NoSuchVolume",
    "NotFound",
    "NotImplementedHere",
    "NotModified",
    "StartError",
    "Unauthorized",
    "Unavailable",
]


class EngineError(Exception):
    """A failure that a client is told about; ``str()`` of it is the ``message`` of the JSON answer."""

    status = 500


class InvalidParameter(EngineError):
    """The request itself is wrong."""

    status = 400


class Unauthorized(EngineError):
    """A registry refused the credentials."""

    status = 401


class Forbidden(EngineError):
    """The object exists but may not be touched this way (a predefined network, say)."""

    status = 403


class NotFound(EngineError):
    """The named object does not exist."""

    status = 404


class NoSuchContainer(NotFound):
    """No container answers to this name or id prefix."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such container: {name}")


class NoSuchExec(NotFound):
    """No exec instance has this id."""

    def __init__(self, exec_id: str) -> None:
        super().__init__(f"No such exec instance: {exec_id}")


class NoSuchImage(NotFound):
    """No local image answers to this reference or id prefix."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such image: {name}")


class NoSuchNetwork(NotFound):
    """No network answers to this name or id prefix."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")


class NoSuchVolume(NotFound):
    """No volume has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume")


class Conflict(EngineError):
    """The object's state, or another object, stands against it."""

    status = 409


class NotModified(EngineError):
    """The object already is as asked; the API answers 304 with no body."""

    status = 304


class NotImplementedHere(EngineError):
    """Docker has it, this engine (or this rung of the isolation ladder) does not; the sentence says so."""

    status = 501


class Unavailable(EngineError):
    """Something the request needs is out of reach (a registry, a swarm)."""

    status = 503


class StartError(EngineError):
    """A container's or exec's process could not be started.

    ``exit_code`` is what ``docker run`` ends with: 126 cannot be executed, 127 not found, 128 anything else.
    The status is 400 for the first two and 500 for the third, as dockerd answers.
    """

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.status = 400 if exit_code in (126, 127) else 500
