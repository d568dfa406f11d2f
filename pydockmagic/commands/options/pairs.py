"""Environment variables and labels: ``KEY=VALUE`` from options and from files (docker/cli, package opts)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydockmagic.commands.grammar.kinds import ValueProblem

__all__ = ["check_env", "check_label", "environment", "labels", "read_files", "to_map"]

_BLANKS = " \t\n\v\f\r\x85\xa0"


def check_env(text: str) -> str:
    """Check an ``--env`` value; only a missing name is an error."""
    if not text or text.startswith("="):
        raise ValueProblem(f"invalid environment variable: {text}")
    return text


def check_label(text: str) -> str:
    """Check a ``--label`` value."""
    key = text.partition("=")[0].lstrip(_BLANKS)
    if not key:
        raise ValueProblem(f"invalid label '{text}': empty name")
    if any(char in key for char in _BLANKS):
        raise ValueProblem(f"label '{key}' contains whitespaces")
    return text


def _read_file(name: str, directory: Path, lookup: Callable[[str], str | None] | None, kind: str) -> list[str]:
    """Read a file of pairs: comments and blank lines dropped, a bare name looked up in the environment."""
    try:
        data = (directory / name).read_bytes()
    except FileNotFoundError:
        raise ValueProblem(f"open {name}: no such file or directory") from None
    except IsADirectoryError:
        raise ValueProblem(f"read {name}: is a directory") from None
    except PermissionError:
        raise ValueProblem(f"open {name}: permission denied") from None
    pairs = []
    data = data.removeprefix(b"\xef\xbb\xbf")
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            octets = " ".join(str(byte) for byte in raw.removesuffix(b"\r"))
            raise ValueProblem(f"invalid {kind} ({name}): invalid utf8 bytes at line {number}: [{octets}]") from None
        line = line.lstrip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        key, equals, _ = line.partition("=")
        if any(char in key for char in _BLANKS):
            raise ValueProblem(f"invalid {kind} ({name}): variable '{key}' contains whitespaces")
        if not key:
            raise ValueProblem(f"invalid {kind} ({name}): no variable name on line '{line}'")
        if equals:
            pairs.append(line)
            continue
        value = lookup(line) if lookup is not None else ""
        if lookup is None:
            pairs.append(line)
        elif value is not None:
            pairs.append(f"{line}={value}")
    return pairs


def read_files(
    files: Iterable[str],
    given: Iterable[str],
    directory: Path,
    lookup: Callable[[str], str | None] | None = None,
    kind: str = "env file",
) -> list[str]:
    """Return the pairs of files, then those given; ``lookup`` fills names without a value."""
    pairs: list[str] = []
    for name in files:
        pairs.extend(_read_file(name, directory, lookup, kind))
    pairs.extend(given)
    return pairs


def environment(files: Iterable[str], given: Sequence[str], directory: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the environment of ``--env-file`` and ``--env``.

    A bare name in a file takes its value from our environment or is dropped; one given by option that our environment
    does not have stays bare, which unsets the image's variable.
    """
    resolved = []
    for text in given:
        if "=" not in text and text in environ:
            resolved.append(f"{text}={environ[text]}")
        else:
            resolved.append(text)
    return read_files(files, resolved, directory, environ.get)


def labels(files: Iterable[str], given: Iterable[str], directory: Path) -> dict[str, str]:
    """Return the labels of ``--label-file`` and ``--label``."""
    return to_map(read_files(files, given, directory, kind="label file"))


def to_map(pairs: Iterable[str]) -> dict[str, str]:
    """Turn pairs into a mapping; a bare name has an empty value, the last one of a name counts."""
    found = {}
    for text in pairs:
        key, _, value = text.partition("=")
        found[key] = value
    return found
