"""A registry of a few lines, for what a real one never does: it keeps images in memory, and misbehaves as told."""

from __future__ import annotations

import gzip
import json
import select
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from pydockmagic.oci.platform import host_platform
from support.images import tar_of

__all__ = ["FakeRegistry", "Seen", "fake_registry"]

USER, PASSWORD = "student", "s3cret"


class Seen:
    """One request that came in."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


class Stalled:
    """A download that stands still: when it ``begun``, whether the client has ``gone``, when it is ``over``."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gone = threading.Event()
        self.over = threading.Event()


class FakeRegistry:
    """State and behaviour; ``fault`` puts something in the way of the next requests that match."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.repositories: dict[str, set[str]] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.abandoned: list[str] = []
        self.seen: list[Seen] = []
        self.auth = ""  # "basic" or "token"
        self.tokens: dict[str, str] = {}
        self.expires_in = 300
        self.granted: Callable[[str], bool] = lambda _scope: True
        self.results: list[dict[str, object]] = []
        self.is_hub = False  # as Docker Hub: an unknown repository may be a private one, and searches are by name
        self.host = ""
        self._faults: list[list] = []
        self._lock = threading.Lock()

    def fault(self, method: str, part: str, act: Callable[[_Handler], bool], times: int = 1) -> None:
        """Let ``act`` answer the next requests with ``part`` in their path; it gives False to let one pass."""
        self._faults.append([method, part, act, times])

    def stall(self, name: str) -> Stalled:
        """Send half of an image's last layer and then nothing, until the client goes or ``over`` is set."""
        repository, _, tag = name.partition(":")
        digest = self.layer_digests(repository, tag)[-1]
        stalled = Stalled()

        def act(handler: _Handler) -> bool:
            if stalled.over.is_set():
                return False
            data = self.blobs[digest]
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[: len(data) // 2])
            handler.wfile.flush()
            stalled.begun.set()
            while not stalled.over.is_set():
                if select.select([handler.connection], [], [], 0.05)[0]:
                    stalled.gone.set()
                    break
            handler.close_connection = True
            return True

        self.fault("GET", digest, act, times=1000)
        return stalled

    def faulted(self, handler: _Handler) -> bool:
        """Act out a fault, if one waits for this request."""
        with self._lock:
            for fault in self._faults:
                method, part, act, times = fault
                if handler.command == method and part in handler.path and times > 0:
                    fault[3] -= 1
                    break
            else:
                return False
        return act(handler)

    def asked(self, method: str, part: str = "") -> list[Seen]:
        """List the requests with a method and a part of a path."""
        return [seen for seen in self.seen if seen.method == method and part in seen.path]

    # -- images -------------------------------------------------------------------------------------------------

    def blob(self, repository: str, data: bytes) -> str:
        """Put a blob into a repository."""
        digest = sha256_digest(data)
        self.blobs[digest] = data
        self.repositories.setdefault(repository, set()).add(digest)
        return digest

    def image(
        self,
        name: str,
        *layers: dict[str, str | bytes],
        oci: bool = False,
        architecture: str = "",
        diff_ids: list[str] | None = None,
        tag: bool = True,
    ) -> str:
        """Put an image of some layers in; gives its manifest's digest."""
        repository, _, label = name.partition(":")
        tars = [tar_of(layer) for layer in layers]
        host = host_platform()
        config = {
            "architecture": architecture or host.architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [sha256_digest(tar) for tar in tars]},
            "history": [{"created_by": f"layer {at}"} for at in range(len(tars))],
        }
        encoded = json.dumps(config).encode()
        packed = [gzip.compress(tar, mtime=0) for tar in tars]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST if oci else DOCKER_MANIFEST,
            "config": {
                "mediaType": OCI_CONFIG if oci else DOCKER_CONFIG,
                "digest": self.blob(repository, encoded),
                "size": len(encoded),
            },
            "layers": [
                {
                    "mediaType": OCI_LAYER_GZIP if oci else DOCKER_LAYER_GZIP,
                    "digest": self.blob(repository, data),
                    "size": len(data),
                }
                for data in packed
            ],
        }
        return self.manifest(repository, label if tag else "", document)

    def manifest(self, repository: str, tag: str, document: dict) -> str:
        """Put a manifest or index in."""
        data = json.dumps(document).encode()
        digest = sha256_digest(data)
        kind = document.get("mediaType", "application/json")
        self.manifests[repository, digest] = (kind, data)
        if tag:
            self.manifests[repository, tag] = (kind, data)
        return digest

    def index(self, name: str, manifests: dict[str, str], *, oci: bool = False) -> str:
        """Put an index of manifests (architecture to digest) in."""
        repository, _, tag = name.partition(":")
        entries = []
        for architecture, digest in manifests.items():
            kind, data = self.manifests[repository, digest]
            platform = {"architecture": architecture, "os": "linux"}
            entries.append({"mediaType": kind, "digest": digest, "size": len(data), "platform": platform})
        kind = OCI_INDEX if oci else DOCKER_MANIFEST_LIST
        return self.manifest(repository, tag, {"schemaVersion": 2, "mediaType": kind, "manifests": entries})

    def layer_digests(self, repository: str, tag: str) -> list[str]:
        """List the blobs of an image's layers, bottom first."""
        return [layer["digest"] for layer in json.loads(self.manifests[repository, tag][1])["layers"]]


class _Server(ThreadingHTTPServer):
    registry: FakeRegistry
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Say nothing: clients that leave are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    @property
    def registry(self) -> FakeRegistry:
        return self.server.registry

    def answer(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> bool:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def refuse(self, status: int, code: str, message: str, **headers: str) -> bool:
        """Send a registry's error."""
        return self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _serve(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.registry.seen.append(Seen(self.command, self.path, headers, body))
        if self.registry.faulted(self):
            return
        path = urlsplit(self.path).path
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if path == "/token":
            self._token(query, body)
        elif path == "/v1/search":
            self.answer(200, json.dumps({"results": self._found(query)}).encode())
        elif not self._allowed():
            return
        elif path == "/v2/":
            self.answer(200, b"{}")
        elif "/blobs/uploads/" in path:
            self._upload(path, query, body)
        elif "/blobs/" in path:
            self._blob(path)
        elif path.endswith("/tags/list"):
            repository = path.removeprefix("/v2/").removesuffix("/tags/list")
            tags = sorted(tag for name, tag in self.registry.manifests if name == repository and ":" not in tag)
            self.answer(200, json.dumps({"name": repository, "tags": tags}).encode())
        else:
            self._manifest(path, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _found(self, query: dict[str, str]) -> list[dict[str, object]]:
        if not self.registry.is_hub:
            return self.registry.results
        return [row for row in self.registry.results if query["q"] in str(row["name"])][: int(query["n"])]

    def _allowed(self) -> bool:
        registry, sent = self.registry, self.headers.get("Authorization", "")
        if registry.auth == "basic":
            if sent == "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode():
                return True
            self.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="here"')
            return False
        if registry.auth == "token":
            if sent.removeprefix("Bearer ") in registry.tokens:
                return True
            challenge = f'Bearer realm="http://{registry.host}/token",service="fake",scope="x"'
            self.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
            return False
        return True

    def _token(self, query: dict[str, str], body: bytes) -> None:
        registry = self.registry
        sent = self.headers.get("Authorization", "")
        if sent and sent != "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            self.answer(401, b'{"details": "incorrect username or password"}')
            return
        if self.command == "POST":
            query = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if not registry.granted(query.get("scope", "")):
            self.answer(401, b'{"details": "access denied"}')
            return
        token = f"token-{len(registry.tokens)}"
        registry.tokens[token] = query.get("scope", "")
        document = {"token": token, "expires_in": registry.expires_in}
        if query.get("offline_token"):
            document["refresh_token"] = "identity"
        self.answer(200, json.dumps(document).encode())

    def _manifest(self, path: str, body: bytes) -> None:
        repository, _, name = path.removeprefix("/v2/").partition("/manifests/")
        if self.command == "PUT":
            kind = self.headers.get("Content-Type", "")
            digest = sha256_digest(body)
            self.registry.manifests[repository, digest] = self.registry.manifests[repository, name] = (kind, body)
            self.answer(201, Docker_Content_Digest=digest)
            return
        found = self.registry.manifests.get((repository, name))
        if found is None and self.registry.is_hub and repository not in self.registry.repositories:
            self.refuse(403, "DENIED", "requested access to the resource is denied")
            return
        if found is None:
            self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        kind, data = found
        self.answer(200, data, kind, Docker_Content_Digest=sha256_digest(data))

    def _blob(self, path: str) -> None:
        repository, _, digest = path.removeprefix("/v2/").partition("/blobs/")
        if digest not in self.registry.repositories.get(repository, ()):
            self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        data = self.registry.blobs[digest]
        start = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if start:
            content_range = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206, data[int(start) :], "application/octet-stream", Content_Range=content_range)
        else:
            self.answer(200, data, "application/octet-stream")

    def _upload(self, path: str, query: dict[str, str], body: bytes) -> None:
        registry = self.registry
        repository, _, identity = path.removeprefix("/v2/").partition("/blobs/uploads/")
        if self.command == "POST":
            if query.get("mount") in registry.repositories.get(query.get("from", ""), ()):
                registry.repositories.setdefault(repository, set()).add(query["mount"])
                self.answer(201)
                return
            identity = f"upload-{len(registry.seen)}"
            registry.uploads[identity] = b""
            self.answer(202, Location=f"/v2/{repository}/blobs/uploads/{identity}?state=1")
        elif self.command == "PATCH":
            registry.uploads[identity] += body
            self.answer(202, Location=f"/v2/{repository}/blobs/uploads/{identity}?state=2")
        elif self.command == "DELETE":
            registry.abandoned.append(identity)
            del registry.uploads[identity]
            self.answer(204)
        else:
            data = registry.uploads.pop(identity) + body
            if sha256_digest(data) != query["digest"]:
                self.refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
                return
            registry.blob(repository, data)
            self.answer(201)


@contextmanager
def fake_registry(port: int = 0) -> Iterator[FakeRegistry]:
    """Run a registry on the loopback; ``host`` is where it listens."""
    registry = FakeRegistry()
    server = _Server(("127.0.0.1", port), _Handler)
    server.registry = registry
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
