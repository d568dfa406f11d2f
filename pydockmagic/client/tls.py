"""Certificates for a daemon that is talked to over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BadAddress

if TYPE_CHECKING:
    import ssl

__all__ = ["TlsFiles"]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates for a TLS connection; a missing path means that this piece is not used."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    @classmethod
    def inside(cls, folder: Path, *, verify: bool = True) -> TlsFiles:
        """Take the certificates of a folder, under the names that docker gives them."""
        ca, cert, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        return cls(ca if ca.exists() else None, cert if cert.exists() else None, key if key.exists() else None, verify)

    def ssl_context(self) -> ssl.SSLContext:
        """Return the context for connecting to a daemon. Raises ``BadAddress`` where a file cannot be read."""
        import ssl  # noqa: PLC0415 - most daemons are at a socket

        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.cert:
                context.load_cert_chain(str(self.cert), str(self.key) if self.key else None)
        except (OSError, ssl.SSLError) as error:
            raise BadAddress(f"could not read the TLS certificates: {error}") from error
        return context
