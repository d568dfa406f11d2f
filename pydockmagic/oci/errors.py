"""What can be wrong with OCI material, as a tree.

    OciError                 (a ValueError: the data, not the program, is wrong)
    ├── InvalidReference     a text that is no image reference; the sentence is Docker's
    ├── InvalidDigest        a text that is no digest
    ├── InvalidDocument      a manifest, index, layout or config that must be refused
    └── LayerError
        ├── TarError         a damaged or unreadable archive
        ├── UnsafePath       an archive that reaches outside its root, or holds what the caller refuses
        ├── LimitExceeded    an archive larger than the caller allows
        └── CompressionError a damaged stream, or a compression that this machine cannot read

Errors of the machine (a full disk, a missing permission) stay ``OSError``.
"""

from __future__ import annotations

__all__ = [
    "CompressionError",
    "InvalidDigest",
    "InvalidDocument",
    "InvalidReference",
    "LayerError",
    "LimitExceeded",
    "OciError",
    "TarError",
    "UnsafePath",
]


class OciError(ValueError):
    """Anything wrong with OCI data from outside."""


class InvalidReference(OciError):
    """The text is not an image reference."""


class InvalidDigest(OciError):
    """The text is not a digest that we can check."""


class InvalidDocument(OciError):
    """A JSON document breaks the image-spec."""


class LayerError(OciError):
    """A layer archive or layer directory cannot be used."""


class TarError(LayerError):
    """The archive is damaged, cut short, or of a kind that is not read here."""


class UnsafePath(LayerError):
    """A name leads out of the root, or an entry is of a kind that the caller refuses."""


class LimitExceeded(LayerError):
    """The archive has more entries, more bytes or longer names than allowed."""


class CompressionError(LayerError):
    """The compressed stream is damaged, or nothing here can decompress it."""
