"""What can go wrong on this side of the API.

```
ClientError                 anything below
 +- ConnectionFailed        nobody answers at the address
 |   +- PermissionRefused   somebody does, but not to this user
 |   +- SshFailed           the ssh program did not get through
 |   +- EngineStartFailed   the embedded engine did not come up
 +- BadAddress              the address itself cannot be used
 +- StreamInterrupted       the server ended a stream in the middle
 |   +- ConnectionLost      the connection broke under a request, or nobody is at its other end any more
 +- ApiError                the server answered with an error: status and Docker's own message
     +- InvalidParameter      400
     +- Unauthorized          401
     +- Forbidden             403
     +- NotFound              404
     +- Conflict              409
     +- ServerError           500 and the rest of 5xx
     +- NotImplementedByServer 501
     +- Unavailable           503
```
"""

from __future__ import annotations

__all__ = [
    "ApiError",
    "BadAddress",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "ConnectionLost",
    "EngineStartFailed",
    "Forbidden",
    "InvalidParameter",
    "NotFound",
    "NotImplementedByServer",
    "PermissionRefused",
    "ServerError",
    "SshFailed",
    "StreamInterrupted",
    "Unauthorized",
    "Unavailable",
    "api_error",
]


class ClientError(Exception):
    """Anything that can go wrong between this client and a Docker daemon; ``str()`` is a whole sentence."""


class ConnectionFailed(ClientError):
    """Nobody answers at the address."""

    def __init__(self, address: str, reason: str = "") -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"Cannot connect to the Docker daemon at {address}. Is the docker daemon running?")


class PermissionRefused(ConnectionFailed):
    """The socket is there and this user may not use it."""

    def __init__(self, address: str, reason: str = "") -> None:
        super().__init__(address, reason)
        self.args = (f"permission denied while trying to connect to the Docker daemon socket at {address}",)


class EngineStartFailed(ConnectionFailed):
    """The embedded engine was started and did not come up; ``log`` holds the last lines that it wrote."""

    def __init__(self, address: str, reason: str, log: str = "") -> None:
        super().__init__(address, reason)
        self.log = log
        self.args = (f"the embedded engine did not start: {reason}",)


class SshFailed(ConnectionFailed):
    """The ssh program did not get through; ``reason`` is what it said."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.args = (f"cannot connect to the Docker daemon at {address}: {reason}",)


class BadAddress(ClientError):
    """An address or context name that cannot be used."""


class StreamInterrupted(ClientError):
    """The server ended a stream before it was complete."""


class ConnectionLost(StreamInterrupted):
    """The connection broke while a request was under way; ``embedded`` says that it was to our own engine."""

    def __init__(self, daemon: str = "the Docker daemon", reason: str = "", *, embedded: bool = False) -> None:
        self.daemon = daemon
        self.reason = reason
        self.embedded = embedded
        super().__init__(f"the connection to {daemon} was lost" + (f": {reason}" if reason else ""))


class ApiError(ClientError):
    """The server refused: ``status`` is the HTTP status, ``message`` Docker's own sentence."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"Error response from daemon: {message}")


class InvalidParameter(ApiError):
    """400: the request makes no sense to the server."""


class Unauthorized(ApiError):
    """401: credentials are missing or wrong."""


class Forbidden(ApiError):
    """403: the server will not do this."""


class NotFound(ApiError):
    """404: there is no such object."""


class Conflict(ApiError):
    """409: the object is in a state, or a name is in a use, that forbids this."""


class ServerError(ApiError):
    """500: the server tried and failed."""


class NotImplementedByServer(ServerError):
    """501: this server does not offer the operation."""


class Unavailable(ServerError):
    """503: the server cannot do this in its present mode."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidParameter,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    500: ServerError,
    501: NotImplementedByServer,
    503: Unavailable,
}


def api_error(status: int, message: str) -> ApiError:
    """Return the error of this HTTP status, with the class of the tree that fits it."""
    fallback = ServerError if status >= 500 else ApiError
    return _BY_STATUS.get(status, fallback)(status, message)
