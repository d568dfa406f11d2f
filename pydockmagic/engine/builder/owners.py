"""``--chown=user:group`` and ``--chmod=755``: looked up in the image that the files go into."""

from __future__ import annotations

from pydockmagic.engine.errors import EngineError

from .view import View

__all__ = ["parse_chmod", "parse_chown"]

_BEGIN = "unable to convert uid/gid chown string to host mapping: "


def parse_chown(text: str, view: View) -> tuple[int, int]:
    """Turn a chown text into numbers by the image's /etc/passwd and /etc/group. Raises EngineError."""
    user, colon, group = text.partition(":")
    if ":" in group or not user:
        raise EngineError(f"{_BEGIN}invalid chown string format: {text}")
    group = group if colon and group else user
    return _lookup(view, "/etc/passwd", user, "uid", "user"), _lookup(view, "/etc/group", group, "gid", "group")


def _lookup(view: View, path: str, name: str, number: str, kind: str) -> int:
    if name.isdigit():
        return int(name)
    for line in (view.read(path, 8 << 20) or b"").decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[0] == name and fields[2].isdigit():
            return int(fields[2])
    raise EngineError(f"{_BEGIN}can't find {number} for {kind} {name}: no such {kind}: {name}")


def parse_chmod(text: str) -> int | None:
    """Read an octal mode; None for an empty text. Raises EngineError."""
    if not text:
        return None
    if not text or len(text) > 4 or any(digit not in "01234567" for digit in text):
        raise EngineError(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    return int(text, 8)
