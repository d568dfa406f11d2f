"""Image references: ``[DOMAIN/]PATH[:TAG][@DIGEST]``, read and written as Docker does.

Follows the grammar of distribution/reference. Docker shows and accepts *familiar* forms (``busybox``) and stores
*normalized* ones (``docker.io/library/busybox``); `Reference` holds the normalized parts and gives both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from pydockmagic.oci.digest import is_digest, parse_digest
from pydockmagic.oci.errors import InvalidReference

__all__ = [
    "DEFAULT_DOMAIN",
    "DEFAULT_TAG",
    "Reference",
    "familiar_match",
    "parse",
    "parse_any",
    "parse_docker",
    "parse_named",
    "parse_normalized",
    "path_match",
    "sort_references",
    "split_domain",
    "with_name",
]

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_MAX_NAME = 255

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_NAME_PATTERN = re.compile(rf"(?:({_DOMAIN})/)?({_PATH})")
_REFERENCE_PATTERN = re.compile(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?")
_TAG_PATTERN = re.compile(_TAG)
_DIGEST_PATTERN = re.compile(_DIGEST)
_IDENTIFIER_PATTERN = re.compile(r"[a-f0-9]{64}")


class Reference(msgspec.Struct, frozen=True):
    """A parsed reference. Without a path it is a bare digest (an image id)."""

    domain: str = ""
    path: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository: domain and path."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def familiar_name(self) -> str:
        """The repository as Docker shows it: ``busybox`` for ``docker.io/library/busybox``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The whole reference as Docker shows it."""
        return self._with_suffix(self.familiar_name)

    def __str__(self) -> str:
        return self._with_suffix(self.name)

    def _with_suffix(self, name: str) -> str:
        if not name:
            return self.digest
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def is_name_only(self) -> bool:
        """Whether it has neither tag nor digest."""
        return bool(self.path) and not self.tag and not self.digest

    def with_tag(self, tag: str) -> Reference:
        """Give the same with another tag (a digest stays); raises `InvalidReference`."""
        if not _TAG_PATTERN.fullmatch(tag):
            raise InvalidReference("invalid tag format")
        return msgspec.structs.replace(self, tag=tag)

    def with_digest(self, digest: str) -> Reference:
        """Give the same with another digest (a tag stays); raises `InvalidReference`."""
        if not _DIGEST_PATTERN.fullmatch(digest):
            raise InvalidReference("invalid digest format")
        return msgspec.structs.replace(self, digest=digest)

    def with_default_tag(self) -> Reference:
        """Give the same with the tag ``latest`` if it has neither tag nor digest."""
        return msgspec.structs.replace(self, tag=DEFAULT_TAG) if self.is_name_only else self

    def without_suffix(self) -> Reference:
        """Give the repository alone."""
        return Reference(self.domain, self.path)


def parse(text: str) -> Reference:
    """Read a reference as it stands, without Docker's defaults; raises `InvalidReference`."""
    match = _REFERENCE_PATTERN.fullmatch(text)
    if match is None:
        if not text:
            raise InvalidReference("repository name must have at least one component")
        if _REFERENCE_PATTERN.fullmatch(text.lower()):
            raise InvalidReference("repository name must be lowercase")
        raise InvalidReference("invalid reference format")
    reference = with_name(match[1])
    if match[3]:
        try:
            parse_digest(match[3])
        except ValueError as exc:
            raise InvalidReference(str(exc)) from None
    return msgspec.structs.replace(reference, tag=match[2] or "", digest=match[3] or "")


def with_name(name: str) -> Reference:
    """Read a repository name as it stands; raises `InvalidReference`."""
    match = _NAME_PATTERN.fullmatch(name)
    if match is None:
        raise InvalidReference("invalid reference format")
    if len(match[2]) > _MAX_NAME:
        raise InvalidReference(f"repository name must not be more than {_MAX_NAME} characters")
    return Reference(match[1] or "", match[2])


def split_domain(name: str) -> tuple[str, str]:
    """Split a familiar name into domain and rest, with Docker's defaults; nothing is checked.

    The first part is a domain if it could not be a user of Docker Hub: it holds a dot, a colon or a capital, or is
    ``localhost``.
    """
    first, slash, rest = name.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, _OFFICIAL + name
    if first == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    elif first == "localhost" or "." in first or ":" in first or first.lower() != first:
        domain = first
    else:
        domain, rest = DEFAULT_DOMAIN, name
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest


@lru_cache(maxsize=4096)
def parse_normalized(text: str) -> Reference:
    """Read what a person types, giving the normalized form; raises `InvalidReference` in Docker's words."""
    if _IDENTIFIER_PATTERN.fullmatch(text):
        raise InvalidReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = split_domain(text)
    remote = rest.partition(":")[0]
    if remote.lower() != remote:
        raise InvalidReference(f"invalid reference format: repository name ({remote}) must be lowercase")
    return parse(f"{domain}/{rest}")


def parse_named(text: str) -> Reference:
    """Read a reference that must be in normalized form already; raises `InvalidReference`."""
    reference = parse_normalized(text)
    if str(reference) != text:
        raise InvalidReference("repository name must be canonical")
    return reference


def parse_docker(text: str) -> Reference:
    """Read what a person types for one image: ``latest`` where nothing is said, the tag dropped beside a digest."""
    reference = parse_normalized(text)
    if reference.tag and reference.digest:
        return msgspec.structs.replace(reference, tag="")
    return reference.with_default_tag()


def parse_any(text: str) -> Reference:
    """Read a name, a digest or 64 hex digits; the latter two give a `Reference` of a digest alone."""
    if _IDENTIFIER_PATTERN.fullmatch(text):
        return Reference(digest="sha256:" + text)
    if is_digest(text):
        return Reference(digest=text)
    return parse_normalized(text)


def _rank(reference: Reference) -> int:
    if not reference.path:
        return 4
    if reference.tag:
        return 0 if reference.digest else 1
    return 2 if reference.digest else 3


def sort_references(texts: Iterable[str]) -> list[str]:
    """Sort references, the most exact first; what is no reference comes last, in its order."""
    good: list[tuple[int, str]] = []
    bad: list[str] = []
    for text in texts:
        try:
            reference = parse_any(text)
        except InvalidReference:
            bad.append(text)
        else:
            good.append((_rank(reference), str(reference)))
    return [text for _, text in sorted(good)] + bad


def familiar_match(pattern: str, reference: Reference) -> bool:
    """Tell whether a pattern fits the familiar form or the familiar name (``docker images --filter reference=``)."""
    return path_match(pattern, reference.familiar) or (
        bool(reference.path) and path_match(pattern, reference.familiar_name)
    )


def path_match(pattern: str, name: str) -> bool:
    """Match like Go's ``path.Match``: ``*`` and ``?`` stop at slashes; raises `InvalidReference` for a bad pattern."""
    return _compile_pattern(pattern).fullmatch(name) is not None


@lru_cache(maxsize=256)
def _compile_pattern(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[":
            text, position = _character_class(pattern, position)
            out.append(text)
        else:
            if character == "\\":
                character, position = _take(pattern, position)
            out.append(re.escape(character))
    return re.compile("".join(out), re.DOTALL)


def _character_class(pattern: str, position: int) -> tuple[str, int]:
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[str] = []
    while not (ranges and pattern[position : position + 1] == "]"):
        low, position = _class_character(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            high, position = _class_character(pattern, position + 1)
        # A range that ends before it begins matches nothing, but is no error.
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    inside = "".join(ranges)
    if not inside:
        return (r"[\s\S]" if negated else r"(?!)"), position + 1
    return f"[{'^' if negated else ''}{inside}]", position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character, position = _take(pattern, position)
    if character in "-]":
        raise InvalidReference("syntax error in pattern")
    return _take(pattern, position) if character == "\\" else (character, position)


def _take(pattern: str, position: int) -> tuple[str, int]:
    if position >= len(pattern):
        raise InvalidReference("syntax error in pattern")
    return pattern[position], position + 1
