"""A token server (Docker Registry v2 token authentication) as a program: ``tokens.py PORT KEY CERTIFICATE``.

Anybody may pull; who knows the password may push.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_KNOWN = b64encode(b"student:s3cret").decode()


def _part(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def token(access: list[dict[str, object]], subject: str, key: str, certificate: str) -> str:
    """Sign a token for some access (RFC 7519, with the certificate in its head)."""
    lines = Path(certificate).read_text().split("-----")[2].split()
    head = {"typ": "JWT", "alg": "RS256", "x5c": [b64encode(b64decode("".join(lines))).decode()]}
    now = int(time.time())
    claims = {
        "iss": "the-issuer", "sub": subject, "aud": "the-registry", "exp": now + 300, "nbf": now - 10, "iat": now,
        "jti": str(time.monotonic_ns()), "access": access,
    }  # fmt: skip
    signed = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
    command = ["openssl", "dgst", "-sha256", "-sign", key]
    return f"{signed}.{_part(subprocess.run(command, input=signed.encode(), capture_output=True, check=True).stdout)}"


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        sent = self.headers.get("Authorization", "")
        if sent and sent != f"Basic {_KNOWN}":
            self._answer(401, {"details": "incorrect username or password"})
            return
        access = []
        for scope in parse_qs(urlsplit(self.path).query).get("scope", []):
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            granted = [action for action in actions.split(",") if sent or action == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        self._answer(200, {"token": token(access, "student" if sent else "", *sys.argv[2:4]), "expires_in": 300})

    def _answer(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
