"""``GET /images/search``: version 1 of the registry protocol, which lives on for this alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter, Unavailable
from pydockmagic.oci.reference import DEFAULT_DOMAIN

from .credentials import Credentials
from .endpoints import Endpoints
from .errors import Unreachable, read_limited
from .tokens import basic_header
from .transport import Endpoint, Transport

__all__ = ["search"]

_MAX_ANSWER = 4 << 20
_DEFAULT_LIMIT = 25
_FILTERS = ("is-automated", "is-official", "stars")


class _Result(msgspec.Struct):
    name: str = ""
    description: str | None = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class _Answer(msgspec.Struct):
    results: list[_Result] | None = None


async def search(
    endpoints: Endpoints, term: str, limit: int | None, filters: Mapping[str, Sequence[str]], credentials: Credentials
) -> list[dict[str, Any]]:
    """Give the rows of a search. Raises ``EngineError`` in dockerd's words."""
    wanted = _Wanted(filters)
    count = _DEFAULT_LIMIT if limit is None else limit
    if not 1 <= count <= 100:
        raise InvalidParameter(f"Limit {count} is outside the range of [1, 100]")
    if "://" in term:
        raise InvalidParameter(f"invalid repository name: repository name ({term}) should not have a scheme")
    domain, words = _split(term)
    if not words:
        raise InvalidParameter("the search term is empty")
    failure: EngineError = Unavailable("no registry to search")
    for endpoint in await endpoints.index(domain):
        try:
            results = await _ask(endpoint, words, count, credentials)
        except Unreachable as error:
            failure = error
            continue
        return [msgspec.to_builtins(result) for result in results if wanted.takes(result)]
    raise failure


def _split(term: str) -> tuple[str, str]:
    """Split the registry off: ``host:port/words``."""
    first, slash, rest = term.partition("/")
    if (
        slash
        and first not in ("docker.io", "index.docker.io")
        and ("." in first or ":" in first or first == "localhost")
    ):
        return first, rest
    if slash and first in ("docker.io", "index.docker.io"):
        return DEFAULT_DOMAIN, rest
    return DEFAULT_DOMAIN, term


async def _ask(endpoint: Endpoint, words: str, limit: int, credentials: Credentials) -> list[_Result]:
    async with Transport(endpoint) as transport:
        url = transport.url("/v1/search?" + urlencode({"q": words, "n": limit}))
        headers = {"X-Docker-Token": "true"}
        if credentials.basic:
            headers["Authorization"] = basic_header(credentials)
        response = await transport.send("GET", url, headers=headers, patience=endpoint.patience)
        try:
            if response.status_code != 200:
                raise EngineError(f"Unexpected status code {response.status_code}")
            body = await read_limited(response, _MAX_ANSWER)
        finally:
            await response.aclose()
    try:
        found = msgspec.json.decode(body, type=_Answer).results or []
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise EngineError(f"error decoding registry search results: {error}") from None
    return [msgspec.structs.replace(result, description=result.description or "") for result in found]


class _Wanted:
    """The filters of a search."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
        for name in filters:
            if name not in _FILTERS:
                raise InvalidParameter(f"invalid filter '{name}'")
        self._official = _boolean(filters, "is-official")
        self._automated = _boolean(filters, "is-automated")
        self._stars = 0
        for text in filters.get("stars", ()):
            if not text.isdigit():
                raise InvalidParameter(f"invalid filter 'stars=[{text}]'")
            self._stars = max(self._stars, int(text))

    def takes(self, result: _Result) -> bool:
        """Tell whether a result is wanted."""
        if self._official is not None and result.is_official is not self._official:
            return False
        if self._automated is not None and result.is_automated is not self._automated:
            return False
        return result.star_count >= self._stars


def _boolean(filters: Mapping[str, Sequence[str]], name: str) -> bool | None:
    values = filters.get(name)
    if not values:
        return None
    known = {"true": True, "1": True, "false": False, "0": False}
    if len(values) != 1 or values[0] not in known:
        raise InvalidParameter(f"invalid filter '{name}=[{' '.join(values)}]'")
    return known[values[0]]
