"""Images and builds: Engine API v1.50, tag ``Image``."""

# ruff: noqa: A002 - Docker's own parameter names
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .core import Core, Filters, Parameters, encode_filters, path_part
from .streams import ByteStream, JsonStream

__all__ = ["ImageCalls"]

Json = dict[str, Any]
Chunks = bytes | Iterable[bytes]

_NO_CREDENTIALS = "e30="  # {} in base64: what the docker command sends when nobody is logged in


class ImageCalls(Core):
    """One method per operation; ``name`` is a reference or any unambiguous start of an id."""

    def images(
        self, *, all: bool = False, filters: Filters | None = None, shared_size: bool = False, manifests: bool = False
    ) -> list[Json]:
        """List images, newest first."""
        params = {
            "all": all,
            "filters": encode_filters(filters),
            "shared-size": shared_size,
            "manifests": manifests,
        }
        answer: list[Json] = self.request("GET", "/images/json", params=params)
        return answer

    def image_inspect(self, name: str, *, platform: str | None = None) -> Json:
        """Return everything known about an image."""
        answer: Json = self.request("GET", f"/images/{path_part(name)}/json", params={"platform": platform})
        return answer

    def image_history(self, name: str, *, platform: str | None = None) -> list[Json]:
        """List the steps that made an image, newest first."""
        answer: list[Json] = self.request("GET", f"/images/{path_part(name)}/history", params={"platform": platform})
        return answer

    def image_tag(self, name: str, repo: str, tag: str | None) -> None:
        """Give an image another name."""
        self.request("POST", f"/images/{path_part(name)}/tag", params={"repo": repo, "tag": tag})

    def image_remove(self, name: str, *, force: bool = False, no_prune: bool = False) -> list[Json]:
        """Remove a name or an image; returns ``[{"Untagged"}, {"Deleted"}, ...]``."""
        params = {"force": force, "noprune": no_prune}
        answer: list[Json] = self.request("DELETE", f"/images/{path_part(name)}", params=params)
        return answer

    def images_prune(self, *, filters: Filters | None = None) -> Json:
        """Remove unused images; returns ``{"ImagesDeleted", "SpaceReclaimed"}``."""
        answer: Json = self.request("POST", "/images/prune", params={"filters": encode_filters(filters)})
        return answer

    def image_pull(
        self, repo: str, *, tag: str | None = None, platform: str | None = None, auth: str = _NO_CREDENTIALS
    ) -> JsonStream:
        """Fetch an image; yields progress messages, of which one may hold ``error``."""
        params = {"fromImage": repo, "tag": tag, "platform": platform}
        return self.stream_json("POST", "/images/create", params=params, headers={"X-Registry-Auth": auth})

    def image_push(self, repo: str, *, tag: str | None = None, auth: str = _NO_CREDENTIALS) -> JsonStream:
        """Send an image to its registry; yields progress messages."""
        path = f"/images/{path_part(repo)}/push"
        return self.stream_json("POST", path, params={"tag": tag}, headers={"X-Registry-Auth": auth})

    def image_import(
        self,
        tar: Chunks | None,
        *,
        source: str = "-",
        repo: str | None = None,
        message: str | None = None,
        changes: Sequence[str] = (),
        platform: str | None = None,
    ) -> JsonStream:
        """Make an image of one layer from a tar (or from a URL that the server fetches)."""
        params = {"fromSrc": source, "repo": repo, "message": message, "changes": changes, "platform": platform}
        headers = {"Content-Type": "text/plain"}
        return self.stream_json("POST", "/images/create", params=params, content=tar, headers=headers)

    def image_load(self, tar: Chunks, *, quiet: bool = True) -> JsonStream:
        """Load images from an archive that ``image_save`` made."""
        headers = {"Content-Type": "application/x-tar"}
        return self.stream_json("POST", "/images/load", params={"quiet": quiet}, content=tar, headers=headers)

    def image_save(self, names: Sequence[str]) -> ByteStream:
        """Return images, with their names and layers, as an archive."""
        return self.stream_bytes("GET", "/images/get", params={"names": names})

    def image_search(
        self, term: str, *, limit: int | None = None, filters: Filters | None = None, auth: str = _NO_CREDENTIALS
    ) -> list[Json]:
        """Search a registry: the default one, or the one that the term begins with."""
        params = {"term": term, "limit": limit, "filters": encode_filters(filters)}
        headers = {"X-Registry-Auth": auth}
        answer: list[Json] = self.request("GET", "/images/search", params=params, headers=headers)
        return answer

    def registry_login(self, credentials: Mapping[str, str]) -> Json:
        """Check credentials at their registry; returns ``{"Status", "IdentityToken"}``. Raises ``Unauthorized``."""
        answer: Json = self.request("POST", "/auth", json_body=dict(credentials))
        return answer

    def distribution_inspect(self, name: str, *, auth: str = _NO_CREDENTIALS) -> Json:
        """Return what a registry has under a name: ``{"Descriptor", "Platforms"}``."""
        headers = {"X-Registry-Auth": auth}
        answer: Json = self.request("GET", f"/distribution/{path_part(name)}/json", headers=headers)
        return answer

    def build(
        self,
        context: Chunks | None,
        *,
        params: Parameters,
        headers: Mapping[str, str] | None = None,
        progress: bool = True,
    ) -> JsonStream:
        """Build an image from a context tar; yields Docker's messages and, if asked and offered, ``pydock.step``s."""
        sent = {"Content-Type": "application/x-tar", "X-Registry-Config": _NO_CREDENTIALS, **(headers or {})}
        if progress:
            sent["X-Pydock-Progress"] = "1"
        return self.stream_json("POST", "/build", params=params, content=context, headers=sent)

    def build_prune(self, *, all: bool = False, filters: Filters | None = None) -> Json:
        """Forget the build cache; returns ``{"CachesDeleted", "SpaceReclaimed"}``."""
        params = {"all": all, "filters": encode_filters(filters)}
        answer: Json = self.request("POST", "/build/prune", params=params)
        return answer
