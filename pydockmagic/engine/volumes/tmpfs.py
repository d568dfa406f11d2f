"""Options of a tmpfs mount: ``--tmpfs DESTINATION:OPTIONS`` and ``--mount type=tmpfs``.

As moby's ``pkg/mount`` and ``volume/mounts`` read them, with its sentences.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from pydockmagic.engine.errors import InvalidParameter

from .records import TmpfsOptions

__all__ = ["long_form", "short_form"]

_DEFAULTS = ("nosuid", "nodev", "noexec")
_FLAG_WORDS = """
ro rw noexec exec nosuid suid nodev dev noatime atime nodiratime diratime relatime norelatime strictatime
nostrictatime sync async dirsync remount bind rbind private rprivate shared rshared slave rslave unbindable
runbindable acl noacl iversion noiversion mand nomand
"""
_FLAGS = frozenset(_FLAG_WORDS.split())
_VALUES = frozenset({"mode", "uid", "gid", "nr_inodes", "nr_blocks", "size", "mpol"})
_OPPOSITES = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}


def short_form(text: str) -> tuple[str, ...]:
    """Read the options of ``--tmpfs``; Docker's defaults hold where they are not taken back."""
    options = list(_DEFAULTS)
    for option in filter(None, text.split(",")):
        name, equals, value = option.partition("=")
        known = name in _VALUES and value if equals else name in _FLAGS
        if not known:
            raise InvalidParameter(f'invalid tmpfs option ["{option}"]')
        if (opposite := _OPPOSITES.get(option)) in options:
            options.remove(opposite)
        elif option not in options and option != "rw":
            options.append(option)
    return tuple(options)


def long_form(asked: TmpfsOptions | UnsetType, *, writable: bool) -> tuple[str, ...]:
    """Give the options of a ``--mount type=tmpfs``."""
    options = list(_DEFAULTS)
    if not writable:
        options.append("ro")
    if asked is UNSET:
        return tuple(options)
    if asked.size_bytes is not UNSET and asked.size_bytes:
        options.append(f"size={asked.size_bytes}")
    if asked.mode is not UNSET and asked.mode:
        options.append(f"mode={asked.mode:o}")
    for pair in asked.options or ():
        options += _extra(pair)
    return tuple(options)


def _extra(pair: list[str]) -> list[str]:
    """Read one of ``tmpfs-options``: a word that takes a default back, or a name and its value."""
    if len(pair) == 1 and pair[0] in _OPPOSITES:
        return [pair[0]]
    if len(pair) == 1 and pair[0] in _DEFAULTS:
        return []
    if len(pair) == 2 and pair[0] in _VALUES:
        return ["=".join(pair)]
    raise InvalidParameter(f"invalid option {pair[0] if pair else ''!r} in Options")
