"""Completion in docker lines: subcommands, options and names, where IPython asks its custom matchers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydockmagic.commands import Completion

    from .magics import DockMagic

__all__ = ["Matcher"]

_LINE = re.compile(
    r"^\s*(?:[A-Za-z_]\w*\s*=\s*)?%%?(docker|container|image|network|volume|system|builder|context|engine|dockerfile|layers|states|inside)(\s.*)$"
)
_WORDS = {
    "docker": "",
    "dockerfile": "build ",
    "layers": "image inspect ",
    "states": "container inspect ",
    "inside": "container inspect ",
}
_DOCKERFILE = re.compile(r"\s*%%dockerfile\b[^\n]*\n")


class Matcher:
    """A matcher for ``IPCompleter.custom_matchers`` (version 2 of IPython's matcher API)."""

    matcher_api_version = 2
    matcher_identifier = "pydockmagic"
    matcher_priority = 100

    def __init__(self, magics: DockMagic) -> None:
        self.__qualname__ = self.matcher_identifier  # IPython asks for it as if every matcher were a function
        self._magics = magics

    def __call__(self, context: Any) -> dict[str, Any]:
        """Complete the word at the cursor, where it stands in a docker line."""
        from IPython.core.completer import SimpleCompletion  # noqa: PLC0415 - the caller has loaded it

        nothing: dict[str, Any] = {"completions": [], "suppress": False}
        line, places = self._places(context.full_text, context.text_until_cursor)
        if not places:
            return nothing
        fragment = line[min(place.start for place in places) :]
        return {
            "completions": [SimpleCompletion(text=place.text, type=place.kind) for place in places],
            "matched_fragment": fragment,
            "suppress": True,
        }

    def _places(self, full: str, until: str) -> tuple[str, list[Completion]]:
        """Give the text that is completed, up to the cursor, and what fits there."""
        from pydockmagic.commands import Context, complete, complete_dockerfile  # noqa: PLC0415

        asked = Context(connection=self._magics.session.connection)
        if _DOCKERFILE.match(until):
            return until, complete_dockerfile(until, None, asked)
        line = _docker_line(full, until)
        return (line, complete(line, len(line), asked)) if line is not None else ("", [])


def _docker_line(full: str, until: str) -> str | None:
    """Give the words that follow ``docker`` on the line at the cursor; ``None`` elsewhere."""
    typed = until.rpartition("\n")[2]
    if match := _LINE.match(typed):
        noun = match[1]
        return _WORDS.get(noun, f"{noun} ") + match[2].lstrip()
    if re.match(r"\s*%%docker\s*\n", full) and typed.strip() and not typed.startswith("%%"):
        return typed.lstrip().removeprefix("docker ")
    return None
