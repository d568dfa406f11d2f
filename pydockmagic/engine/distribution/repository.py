"""One repository of a registry: its manifests, blobs, tags and uploads (distribution specification v1.1)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.oci.digest import is_digest, sha256_digest
from pydockmagic.oci.media_types import INDEX_TYPES, MANIFEST_TYPES

from .credentials import Credentials
from .endpoints import Session
from .errors import RegistryRefusal, read_limited, refusal_of
from .tokens import Authorizer

if TYPE_CHECKING:
    import httpx

__all__ = ["MAX_MANIFEST", "Document", "Head", "Repository"]

MAX_MANIFEST = 4 << 20
_MAX_TAGS = 4 << 20
SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
)
# what we can read comes first: a registry may turn one kind into the other
_ACCEPTED = ", ".join([*sorted(MANIFEST_TYPES), *sorted(INDEX_TYPES), *(f"{name};q=0.1" for name in SCHEMA1)])
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


class Head(msgspec.Struct, frozen=True):
    """What a registry says of a manifest without giving it."""

    digest: str
    media_type: str
    size: int


class Document(msgspec.Struct, frozen=True):
    """A manifest or index as it came, with its digest, which was checked."""

    digest: str
    media_type: str
    data: bytes


class Repository:
    """Requests about one repository, with the authorization of one client."""

    def __init__(self, session: Session, path: str, credentials: Credentials, actions: str = "pull") -> None:
        self.session = session
        self.path = path
        self._base = f"/v2/{path}"
        self._authorizer = Authorizer(session, credentials, [f"repository:{path}:{actions}"])

    async def request(
        self,
        method: str,
        path: str,
        *,
        ok: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """Make a request with authorization; a token that is refused is renewed once. The caller closes the answer.

        Raises ``RegistryRefusal`` for any status but those that are ``ok``.
        """
        url = self.session.transport.url(path)
        again = content is None or isinstance(content, bytes)
        while True:
            authorization = await self._authorizer.headers(method, url)
            sent = {**(headers or {}), **authorization}
            response = await self.session.transport.send(method, url, headers=sent, content=content)
            if response.status_code in ok:
                return response
            if (
                response.status_code == 401
                and again
                and self._authorizer.forget(authorization.get("Authorization", ""))
            ):
                again = False
                await response.aclose()
                continue
            raise await refusal_of(response)

    # -- manifests ----------------------------------------------------------------------------------------------

    async def head(self, name: str) -> Head | None:
        """Ask what a tag or digest names now; None where the registry does not say it in a head."""
        try:
            response = await self.request(
                "HEAD", f"{self._base}/manifests/{name}", ok=range(200, 400), headers={"Accept": _ACCEPTED}
            )
        except RegistryRefusal:
            return None  # a head has no body: the same request again will say why
        await response.aclose()
        digest = response.headers.get("docker-content-digest", "")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        length = response.headers.get("content-length", "0")
        return Head(digest, media_type, int(length) if length.isdigit() else 0) if is_digest(digest) else None

    async def manifest(self, name: str) -> Document:
        """Give the manifest or index that a tag or digest names."""
        response = await self.request("GET", f"{self._base}/manifests/{name}", headers={"Accept": _ACCEPTED})
        try:
            data = await read_limited(response, MAX_MANIFEST)
        finally:
            await response.aclose()
        digest = sha256_digest(data)
        if is_digest(name) and name != digest:
            raise EngineError(f"manifest verification failed for digest {name}")
        return Document(digest, response.headers.get("content-type", "").partition(";")[0].strip(), data)

    async def put_manifest(self, name: str, media_type: str, data: bytes) -> None:
        """Give the registry a manifest under a tag or digest."""
        response = await self.request(
            "PUT",
            f"{self._base}/manifests/{name}",
            ok=range(200, 300),
            headers={"Content-Type": media_type},
            content=data,
        )
        await response.aclose()

    async def tags(self) -> list[str]:
        """List all tags, page by page."""
        found: list[str] = []
        path = f"{self._base}/tags/list"
        while path:
            response = await self.request("GET", path)
            try:
                data = await read_limited(response, _MAX_TAGS)
            finally:
                await response.aclose()
            try:
                found += msgspec.json.decode(data, type=_Tags).tags or ()
            except (msgspec.MsgspecError, UnicodeError) as error:
                raise EngineError(f"the registry's list of tags cannot be read: {error}") from None
            following = _NEXT.search(response.headers.get("link", ""))
            path = urljoin(str(response.request.url), following[1]) if following and len(found) < 100_000 else ""
        return found

    # -- blobs --------------------------------------------------------------------------------------------------

    async def blob(self, digest: str, offset: int = 0) -> httpx.Response:
        """Begin to read a blob, from ``offset`` on where the registry can (status 206)."""
        headers = {"Range": f"bytes={offset}-"} if offset else None
        return await self.request("GET", f"{self._base}/blobs/{digest}", ok=(200, 206), headers=headers)

    async def small_blob(self, digest: str, limit: int) -> bytes:
        """Read a whole blob that must be small, and check its digest."""
        response = await self.blob(digest)
        try:
            data = await read_limited(response, limit)
        finally:
            await response.aclose()
        if sha256_digest(data) != digest:
            raise EngineError(f"image config verification failed for digest {digest}")
        return data

    async def blob_size(self, digest: str) -> int | None:
        """Give the size of a blob that the repository has; None where it has none."""
        try:
            response = await self.request("HEAD", f"{self._base}/blobs/{digest}")
        except RegistryRefusal as error:
            if error.http_status == 404:
                return None
            raise
        await response.aclose()
        length = response.headers.get("content-length", "")
        return int(length) if length.isdigit() else 0

    async def mount(self, digest: str, source: str) -> str:
        """Take a blob over from another repository of this registry: empty when done, else where to upload it."""
        self._authorizer.widen(f"repository:{source}:pull")
        query = f"mount={quote(digest, safe='')}&from={quote(source, safe='')}"
        response = await self.request("POST", f"{self._base}/blobs/uploads/?{query}", ok=(201, 202), content=b"")
        await response.aclose()
        return "" if response.status_code == 201 else self._location(response)

    async def begin_upload(self) -> str:
        """Begin to upload a blob; gives the address for the next request."""
        response = await self.request("POST", f"{self._base}/blobs/uploads/", ok=(202,), content=b"")
        await response.aclose()
        return self._location(response)

    async def send_upload(self, location: str, content: AsyncIterator[bytes]) -> str:
        """Send the content of an upload; gives the address for the last request."""
        headers = {"Content-Type": "application/octet-stream"}
        response = await self.request("PATCH", location, ok=(202, 204), headers=headers, content=content)
        await response.aclose()
        return self._location(response)

    async def end_upload(self, location: str, digest: str, content: bytes = b"") -> None:
        """End an upload: the registry checks the digest."""
        url = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"
        headers = {"Content-Type": "application/octet-stream"}
        response = await self.request("PUT", url, ok=(201, 204), headers=headers, content=content)
        await response.aclose()

    async def abandon_upload(self, location: str) -> None:
        """Give an upload up, so that the registry can forget what it has of it."""
        response = await self.request("DELETE", location, ok=range(200, 500))
        await response.aclose()

    def _location(self, response: httpx.Response) -> str:
        location = response.headers.get("location", "")
        if not location:
            raise EngineError("the registry did not say where to upload to")
        return str(urljoin(str(response.request.url), location))


class _Tags(msgspec.Struct):
    tags: list[str] | None = None
    name: Any = None
