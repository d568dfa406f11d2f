"""Image names as a person types them: checked here, with docker's complaints, before the daemon is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .grammar.kinds import ValueProblem

if TYPE_CHECKING:
    from pydockmagic.oci.reference import Reference

__all__ = ["check_name", "familiar_tagged", "normalized", "split_repository"]

# Names that need no thought: most of those that are typed. The whole grammar takes a while to load.
_PLAIN = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?")


def check_name(text: str) -> None:
    """Check an image name; raises ``ValueProblem`` with docker's words."""
    if not _PLAIN.fullmatch(text) or len(text) == 64:
        normalized(text)


def normalized(text: str) -> Reference:
    """Read an image name.

    Raises ``ValueProblem`` with docker's words.
    """
    from pydockmagic.oci.errors import InvalidReference  # noqa: PLC0415 - few commands check names
    from pydockmagic.oci.reference import parse_normalized  # noqa: PLC0415

    try:
        return parse_normalized(text)
    except InvalidReference as error:
        raise ValueProblem(str(error)) from None


def familiar_tagged(text: str) -> str:
    """Return a name as docker shows it, with ``latest`` where nothing is said; what is no name stays as it is."""
    try:
        return normalized(text).with_default_tag().familiar
    except ValueProblem:
        return text


def split_repository(text: str) -> tuple[str, str]:
    """Split a familiar name into repository and tag, ``latest`` where nothing is said; raises ``ValueProblem``."""
    reference = normalized(text).with_default_tag()
    return reference.familiar_name, reference.tag
