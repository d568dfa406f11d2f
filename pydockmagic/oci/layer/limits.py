"""How much an archive may hold."""

from __future__ import annotations

import msgspec

__all__ = ["DEFAULT_LIMITS", "ExtractLimits"]


class ExtractLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds for an archive from outside; None is no bound.

    ``entries`` counts members, ``stream`` the bytes of the uncompressed archive, ``content`` the bytes of its files
    once unpacked (a sparse file with its holes).
    """

    entries: int | None = 5_000_000
    stream: int | None = None
    content: int | None = None


DEFAULT_LIMITS = ExtractLimits()
