"""Build arguments: which are declared, which the client gave, which were used.

Dockerfile reference, "ARG": an ARG before the first FROM is seen in FROM lines, and in a stage once the stage declares
it; ``--build-arg`` wins over a default; ENV of the same name wins over both; the proxy arguments need no ARG and leave
no trace in the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["PREDEFINED", "BuildArgs", "env_map"]

PREDEFINED = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
_CLOCK = "SOURCE_DATE_EPOCH"


def env_map(env: Sequence[str]) -> dict[str, str]:
    """Turn ``KEY=value`` strings into a mapping, in their order."""
    return {key: value for key, _, value in (entry.partition("=") for entry in env)}


class BuildArgs:
    """The arguments of one build; `stage` makes those of one stage, which shares what was used with the whole."""

    def __init__(self, given: Mapping[str, str | None]) -> None:
        self._given = given
        self._meta: dict[str, str | None] = {}
        self._allowed: dict[str, str | None] = {}
        self._used: set[str] = set()

    def stage(self) -> BuildArgs:
        """Begin a stage: nothing is declared in it yet."""
        fresh = BuildArgs(self._given)
        fresh._meta = self._meta
        fresh._used = self._used
        return fresh

    def declare_meta(self, name: str, default: str | None) -> None:
        """Take an ARG that stands before the first FROM."""
        self._meta[name] = default
        self._used.add(name)

    def declare(self, name: str, default: str | None) -> None:
        """Take an ARG of a stage; without a default it has that of the ARG before the first FROM."""
        self._allowed[name] = self._meta_value(name) if default is None else default
        self._used.add(name)

    def _meta_value(self, name: str) -> str | None:
        return self._meta.get(name)

    def meta(self) -> dict[str, str]:
        """Give the values that FROM lines see."""
        return self._values(self._meta)

    def allowed(self, env: Mapping[str, str]) -> dict[str, str]:
        """Give the values that the stage sees now, but for those that ENV has set."""
        return {name: value for name, value in self._values(self._allowed).items() if name not in env}

    def _values(self, defaults: Mapping[str, str | None]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in [*defaults, *(name for name in sorted(PREDEFINED) if name not in defaults)]:
            value = self._given.get(name)
            value = defaults.get(name) if value is None else value
            if value is not None:
                found[name] = value
        return found

    def command_prefix(self, values: Mapping[str, str]) -> list[str]:
        """Give what stands before the command of a RUN in the history: ``|1 VERSION=2``."""
        if not values:
            return []
        shown = sorted(
            f"{name}={value}" for name, value in values.items() if name in self._used or name not in PREDEFINED
        )
        return [f"|{len(shown)}", *shown]

    @property
    def clock(self) -> str | None:
        """The time that the client asks the result to bear (``SOURCE_DATE_EPOCH``), in Unix seconds."""
        return self._given.get(_CLOCK)

    def unused(self) -> list[str]:
        """Name what the client gave and no ARG declared."""
        return sorted(set(self._given) - self._used - PREDEFINED - {_CLOCK})
