"""Certificates for tests of TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def make_certificates(folder: Path) -> Path:
    """Make one certificate that signs itself, for authority, server and client alike, as docker names the files."""
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-keyout", folder / "key.pem", "-out", folder / "ca.pem",
        "-subj", "/CN=test daemon", "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    shutil.copy(folder / "ca.pem", folder / "cert.pem")
    return folder
