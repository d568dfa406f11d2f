"""The keys that let go of a container without ending it: ``ctrl-p,ctrl-q`` unless told otherwise (moby/term)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydockmagic.commands.grammar.kinds import ValueProblem

from .create import failed

if TYPE_CHECKING:
    from pydockmagic.commands.grammar import Parsed

    from .sink import Sink

__all__ = ["DEFAULT_KEYS", "DetachKeys", "keys_of", "parse_keys"]

DEFAULT_KEYS = b"\x10\x11"
_CONTROL = {**{chr(97 + index): index + 1 for index in range(26)}, "@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """Read a sequence such as ``ctrl-p,ctrl-q`` or ``a,ctrl-c``; raises ``ValueProblem``."""
    codes = []
    for key in text.split(","):
        if len(key) == 1:
            codes.append(ord(key))
        elif key.startswith("ctrl-") and key[5:] in _CONTROL:
            codes.append(_CONTROL[key[5:]])
        else:
            raise ValueProblem(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return bytes(codes)


def keys_of(parsed: Parsed, sink: Sink, command: str) -> DetachKeys:
    """Read ``--detach-keys``; raises ``CommandError``."""
    text = parsed.text("detach-keys")
    if not text:
        return DetachKeys(DEFAULT_KEYS)
    try:
        return DetachKeys(parse_keys(text))
    except ValueProblem as problem:
        raise failed(str(problem), sink, command, 125) from None


class DetachKeys:
    """Looks for the sequence in what is typed; keys that may begin it are held back until that is clear."""

    def __init__(self, sequence: bytes = DEFAULT_KEYS) -> None:
        self._sequence = sequence
        self._held = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what to pass on, and whether the sequence was completed."""
        if not self._sequence:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == self._sequence[self._held]:
                self._held += 1
                if self._held == len(self._sequence):
                    self._held = 0
                    return bytes(passed), True
                continue
            passed += self._sequence[: self._held]
            self._held = 0
            if byte == self._sequence[0]:
                self._held = 1
            else:
                passed.append(byte)
        return bytes(passed), False
