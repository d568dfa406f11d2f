"""Completion in docker lines: subcommands, options and names, where IPython asks its custom matchers."""

from __future__ import annotations

import re
from pathlib import Path
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
    "layers": "inspect ",
    "states": "container inspect ",
    "inside": "container inspect ",
}
_OPTIONS = {"layers": ("--files", "--type"), "states": (), "inside": ()}
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

        from pydockmagic.commands import Completion  # noqa: PLC0415 - %load_ext is to be quick

        nothing: dict[str, Any] = {"completions": [], "suppress": False}
        # IPython's own text_until_cursor is only the line's.
        above = context.full_text.split("\n")[: context.cursor_line]
        until = "\n".join([*above, context.line_with_cursor[: context.cursor_position]])
        line, places = self._places(until)
        typed = re.search(r"\S*$", line)
        if not places and typed and typed[0]:
            # Of what IPython knows nothing fits into a docker line; it suggests that where nothing is suggested here.
            places = [Completion(typed[0], len(line) - len(typed[0]), len(line), "text")]
        if not places:
            return nothing
        fragment = line[min(place.start for place in places) :]
        return {
            "completions": [SimpleCompletion(text=place.text, type=place.kind) for place in places],
            "matched_fragment": fragment,
            "suppress": True,
        }

    def _places(self, until: str) -> tuple[str, list[Completion]]:
        """Give the text that is completed, of a cell up to the cursor, and what fits there."""
        from pydockmagic.commands import Context, complete, complete_dockerfile  # noqa: PLC0415

        asked = Context(connection=self._magics.session.connection)
        if _DOCKERFILE.match(until):
            return until, complete_dockerfile(until, None, asked)
        if (own := _own_words(until)) is not None:
            return own
        line = _docker_line(until)
        return (line, complete(line, len(line), asked)) if line is not None else ("", [])


def _own_words(until: str) -> tuple[str, list[Completion]] | None:
    """Complete what a magic takes that is no option of docker's; ``None`` where docker's words stand."""
    from pydockmagic.commands import Completion  # noqa: PLC0415
    from pydockmagic.commands.values import entries  # noqa: PLC0415

    match = _LINE.match(_joined(until))
    if match is None:
        return None
    noun, line = match[1], match[2]
    words = line.split(" ")
    word, before = words[-1], words[-2] if len(words) > 1 else ""
    start = len(line) - len(word)
    if noun == "dockerfile" and (before == "--context" or word.startswith("--context=")):
        begun = word.removeprefix("--context=")
        start = len(line) - len(begun)
        found = entries(Path.cwd(), begun, folders=True)
        return line, [Completion(text, start, len(line), kind) for text, kind, _ in found]
    if noun == "dockerfile" and word and "--context".startswith(word):
        from pydockmagic.commands import complete  # noqa: PLC0415

        options = [each.text for each in complete(f"build {word}")]
        return line, [Completion(each, start, len(line), "option") for each in sorted(["--context", *options])]
    if noun in _OPTIONS and word.startswith("-"):
        return line, [Completion(each, start, len(line), "option") for each in _OPTIONS[noun] if each.startswith(word)]
    if noun == "layers" and before == "--type":
        kinds = [each for each in ("container", "image") if each.startswith(word)]
        return line, [Completion(each, start, len(line), "value") for each in kinds]
    return None


def _docker_line(until: str) -> str | None:
    """Give the words that follow ``docker`` on the line at the cursor; ``None`` elsewhere."""
    typed = _joined(until)
    if match := _LINE.match(typed):
        noun = match[1]
        return _WORDS.get(noun, f"{noun} ") + match[2].lstrip()
    if re.match(r"\s*%%docker\s*\n", until) and typed.strip() and not typed.startswith("%%"):
        return typed.lstrip().removeprefix("docker ")
    return None


def _joined(until: str) -> str:
    """Give the line at the cursor, with those before it that a backslash joins to it."""
    return until.replace("\\\n", " ").rpartition("\n")[2]
