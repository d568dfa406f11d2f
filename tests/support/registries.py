"""Debian's docker-registry, as a test wants it: open, behind a password, behind a token server, behind TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PASSWORD", "USER", "Authority", "docker_registry", "listening", "token_server"]

USER, PASSWORD = "student", "s3cret"

_WAIT = "until (echo > /dev/tcp/127.0.0.1/$0) 2>/dev/null; do sleep 0.02; done"


class Authority:
    """A certificate authority of a test's own; keys and certificates lie in its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._key = folder / "ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a test's own authority",
            "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def sign(self, name: str, address: str) -> tuple[Path, Path]:
        """Make a key and a certificate for an address."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extension = self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName=IP:{address}\n")
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-days", "2", "-extfile", extension, "-out", certificate,
        )  # fmt: skip
        return key, certificate

    @staticmethod
    def _openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def listening(inside: Sequence[str], port: int) -> None:
    """Wait until somebody listens on a port."""
    subprocess.run([*inside, "bash", "-c", _WAIT, str(port)], check=True, timeout=60)


@contextmanager
def docker_registry(
    folder: Path,
    port: int,
    inside: Sequence[str] = (),
    *,
    password: bool = False,
    token: str = "",
    bundle: Path | None = None,
    tls: tuple[Path, Path] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a registry on a port, with its storage below ``folder``; ``token`` is where a token server answers."""
    folder.mkdir()
    lines = [
        "version: 0.1",
        "log: {level: error}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/storage}}, delete: {{enabled: true}}}}",
        "http:",
        f"  addr: ':{port}'",
    ]
    if tls:
        lines.append(f"  tls: {{key: {tls[0]}, certificate: {tls[1]}}}")
    if password:
        made = subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], check=True, capture_output=True).stdout
        (folder / "htpasswd").write_bytes(made)
        lines.append(f"auth: {{htpasswd: {{realm: basic-realm, path: {folder}/htpasswd}}}}")
    if token:
        assert bundle is not None
        lines += ["auth:", f"  token: {{realm: '{token}', service: the-registry, issuer: the-issuer,"]
        lines.append(f"    rootcertbundle: {bundle}}}")
    settings = folder / "registry.yml"
    settings.write_text("\n".join(lines) + "\n")
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen(
            [*inside, "docker-registry", "serve", str(settings)], stdout=log, stderr=log, cwd="/"
        )
    try:
        listening(inside, port)
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def token_server(port: int, key: Path, certificate: Path, inside: Sequence[str] = ()) -> Iterator[str]:
    """Serve tokens on a port, signed with a key; gives the address."""
    program = Path(__file__).with_name("tokens.py")
    process = subprocess.Popen([*inside, sys.executable, str(program), str(port), str(key), str(certificate)])
    try:
        listening(inside, port)
        yield f"http://127.0.0.1:{port}/token"
    finally:
        process.terminate()
        process.wait(30)
