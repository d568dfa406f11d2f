"""Image names as a person types them: checked here, with docker's complaints, before the daemon is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .grammar.kinds import ValueProblem

if TYPE_CHECKING:
    from pydockmagic.oci.reference import Reference

__all__ = ["familiar_tagged", "normalized", "split_repository"]


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
