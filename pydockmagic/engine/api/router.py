"""From method and path to a route, and what the version prefix means.

Engine API v1.50, "Versioning": ``/v1.43/info`` asks for version 1.43, a bare path for the newest.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from pydockmagic.engine.errors import InvalidParameter, NotFound

from .messages import Answer, Request

__all__ = ["API_VERSION", "MIN_API_VERSION", "Handler", "Route", "Router", "split_version", "version_text"]

API_VERSION = (1, 50)
MIN_API_VERSION = (1, 24)

Handler = Callable[[Request], Awaitable[Answer]]

_PREFIX = re.compile(r"/v(\d+)\.(\d+)(?=/|$)")
_PARAMETER = re.compile(r"\{(\w+)(\.\.\.)?\}")


class Route(msgspec.Struct, frozen=True):
    """One method and path; ``{name}`` is one path segment, ``{name...}`` any number of them.

    ``waits`` marks work that has no purpose once its client is gone and may be broken off at any point.
    """

    method: str
    path: str
    handler: Handler
    waits: bool = False


def version_text(version: tuple[int, int]) -> str:
    """Write a version the way the API does: ``1.50``."""
    return f"{version[0]}.{version[1]}"


def split_version(path: str) -> tuple[tuple[int, int], str]:
    """Split the version prefix off a path; raise ``InvalidParameter`` for one that we do not speak."""
    match = _PREFIX.match(path)
    if not match:
        return API_VERSION, path
    version = (int(match[1]), int(match[2]))
    if version < MIN_API_VERSION:
        raise InvalidParameter(
            f"client version {version_text(version)} is too old. Minimum supported API version is "
            f"{version_text(MIN_API_VERSION)}, please upgrade your client to a newer version"
        )
    if version > API_VERSION:
        raise InvalidParameter(
            f"client version {version_text(version)} is too new. "
            f"Maximum supported API version is {version_text(API_VERSION)}"
        )
    return version, path[match.end() :]


class Router:
    """All routes; the first that matches wins, so families list the particular before the general."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            if "{" in route.path:
                key = (route.method, _first_segment(route.path))
                self._patterns.setdefault(key, []).append((_pattern(route.path), route))
            else:
                self._fixed[route.method, route.path] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """Find the route of a decoded path. dockerd answers 404 also where only the method is wrong."""
        if fixed := self._fixed.get((method, path)):
            return fixed, {}
        for pattern, route in self._patterns.get((method, _first_segment(path)), ()):
            if match := pattern.fullmatch(path):
                return route, match.groupdict()
        raise NotFound("page not found")


def _first_segment(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else path


def _pattern(path: str) -> re.Pattern[str]:
    text = ""
    end = 0
    for match in _PARAMETER.finditer(path):
        text += re.escape(path[end : match.start()]) + f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"
        end = match.end()
    return re.compile(text + re.escape(path[end:]))
