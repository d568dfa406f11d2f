"""Expanding the variables of a record: which fields of which instruction take them.

Dockerfile reference, "Environment replacement": ADD, COPY, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR and
ARG; a command of RUN, CMD or ENTRYPOINT is left to the shell that runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from .errors import SubstitutionError
from .records import (
    Add,
    Arg,
    Copy,
    Env,
    Expose,
    InlineFile,
    Instruction,
    Label,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from .shell import LexOptions, expand_word, split_words

__all__ = ["expand"]

T = TypeVar("T", bound=Instruction)


def expand(record: T, env: Mapping[str, str], escape: str = "\\") -> T:
    """Give the record with its variables replaced by their values. Raises SubstitutionError with the lines."""

    def word(text: str) -> str:
        return expand_word(text, env, LexOptions(escape)).text

    try:
        return _expanded(record, word, env, escape)
    except SubstitutionError as error:
        raise error.at(record.first_line, record.last_line) from None


def _expanded(record: T, word: Callable[[str], str], env: Mapping[str, str], escape: str) -> T:
    match record:
        case Env() | Label():
            pairs = tuple(replace(pair, key=word(pair.key), value=word(pair.value)) for pair in record.pairs)
            return replace(record, pairs=pairs)
        case Add():
            checksum = word(record.checksum)
            return replace(record, checksum=checksum, **_transfer(record, word, env, escape))
        case Copy():
            return replace(record, **_transfer(record, word, env, escape))
        case Expose():
            ports = tuple(port for text in record.ports for port in split_words(text, env, LexOptions(escape)))
            return replace(record, ports=ports)
        case Workdir():
            return replace(record, path=word(record.path))
        case User():
            return replace(record, user=word(record.user))
        case Volume():
            return replace(record, volumes=tuple(map(word, record.volumes)))
        case StopSignal():
            return replace(record, signal=word(record.signal))
        case Arg():
            args = tuple(
                replace(arg, key=word(arg.key), value=None if arg.value is None else word(arg.value))
                for arg in record.args
            )
            return replace(record, args=args)
        case _:
            return record


def _transfer(record: Add | Copy, word: Callable[[str], str], env: Mapping[str, str], escape: str) -> dict[str, Any]:
    return {
        "sources": tuple(map(word, record.sources)),
        "contents": tuple(_file(inline, env, escape) for inline in record.contents),
        "destination": word(record.destination),
        "chown": word(record.chown),
        "chmod": word(record.chmod),
        "exclude": tuple(map(word, record.exclude)),
    }


def _file(inline: InlineFile, env: Mapping[str, str], escape: str) -> InlineFile:
    if not inline.expand:
        return inline
    # In a heredoc quotes are text; only variables and escapes mean something.
    text = expand_word(inline.content, env, LexOptions(escape, skip_quotes=True)).text
    return replace(inline, content=text)
