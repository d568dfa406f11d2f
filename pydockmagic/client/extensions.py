"""What our own engine offers beside the Docker API: the routes under ``/pydock`` (ARCHITECTURE.md, "Extensions")."""

from __future__ import annotations

from typing import Any, Literal

from .core import Core, container_path, path_part
from .errors import ApiError, NotFound

__all__ = ["ExtensionCalls"]

Json = dict[str, Any]


class ExtensionCalls(Core):
    """One method per extension route; ``features()`` says which of them there are."""

    def features(self) -> frozenset[str]:
        """Return the names of the extensions on offer; empty on a real Docker daemon. Asked once."""
        if self._features is None:
            try:
                answer = self.unversioned("GET", "/pydock")
            except (NotFound, ApiError):
                answer = None
            names = answer.get("Features", ()) if isinstance(answer, dict) else ()
            self._features = frozenset(str(name) for name in names)
        return self._features

    def image_layers(self, name: str) -> Json:
        """Return an image's layers, bottom first: ``{"Id", "Names", "Size", "Layers": [...]}``."""
        answer: Json = self.unversioned("GET", f"/pydock/images/{path_part(name)}/layers")
        return answer

    def container_layers(self, container: str) -> Json:
        """Return the layers of a container's image and, last, its writable layer."""
        answer: Json = self.unversioned("GET", f"/pydock{container_path(container, 'layers')}")
        return answer

    def layer_files(
        self,
        chain_id: str,
        *,
        offset: int | None = None,
        limit: int | None = None,
        sort: Literal["size", "path"] | None = None,
    ) -> Json:
        """Return a page of a layer's index: ``{"Total", "Columns": {"Path": [...], ...}}``."""
        params = {"offset": offset, "limit": limit, "sort": sort}
        answer: Json = self.unversioned("GET", f"/pydock/layers/{path_part(chain_id)}/files", params=params)
        return answer

    def container_files(
        self,
        container: str,
        *,
        offset: int | None = None,
        limit: int | None = None,
        sort: Literal["size", "path"] | None = None,
    ) -> Json:
        """Return a page of the index of a container's writable layer."""
        params = {"offset": offset, "limit": limit, "sort": sort}
        answer: Json = self.unversioned("GET", f"/pydock{container_path(container, 'files')}", params=params)
        return answer

    def states(self, container: str) -> Json:
        """Return a container's life so far: ``{"Id", "Name", "State", "History": [...]}``."""
        answer: Json = self.unversioned("GET", f"/pydock{container_path(container, 'states')}")
        return answer

    def inside(self, container: str) -> Json:
        """Return a container as the kernel sees it: processes, namespaces, mounts, ids, cgroup, capabilities."""
        answer: Json = self.unversioned("GET", f"/pydock{container_path(container, 'inside')}")
        return answer

    def exec_kill(self, exec_id: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the process of an exec; docker's own API has no request for that."""
        self.unversioned("POST", f"/pydock/exec/{path_part(exec_id)}/kill", params={"signal": signal})

    def lifecycle(self) -> list[Json]:
        """Return the life-cycle table: ``[{"State", "Action", "To", "Event"}]``."""
        answer: list[Json] = self.unversioned("GET", "/pydock/lifecycle")
        return answer

    def doctor(self) -> Json:
        """Return the capabilities that the engine found on this machine, and what follows from them."""
        answer: Json = self.unversioned("GET", "/pydock/doctor")
        return answer
