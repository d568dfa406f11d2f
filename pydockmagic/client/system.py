"""The daemon itself, its networks and volumes: Engine API v1.50, tags ``System``, ``Network``, ``Volume``."""

from __future__ import annotations

from typing import Any

from .core import Core, Filters, encode_filters, path_part
from .streams import JsonStream

__all__ = ["SystemCalls"]

Json = dict[str, Any]


class SystemCalls(Core):
    """One method per operation."""

    def ping(self) -> None:
        """Ask whether anybody answers; raises ``ConnectionFailed`` otherwise."""
        self._negotiate()

    def version(self) -> Json:
        """Return the server's versions."""
        answer: Json = self.request("GET", "/version")
        return answer

    def info(self) -> Json:
        """Return what the server says about itself and its host."""
        answer: Json = self.request("GET", "/info")
        return answer

    def disk_usage(self, *kinds: str) -> Json:
        """Return the space that images, containers, volumes and the build cache take, or some kinds (from API 1.42)."""
        answer: Json = self.request("GET", "/system/df", params={"type": list(kinds)} if kinds else None)
        return answer

    def events(
        self, *, since: str | None = None, until: str | None = None, filters: Filters | None = None
    ) -> JsonStream:
        """Return events as they happen (and past ones from ``since``); ``close()`` ends it from any thread."""
        params = {"since": since, "until": until, "filters": encode_filters(filters)}
        return self.stream_json("GET", "/events", params=params)

    def networks(self, *, filters: Filters | None = None) -> list[Json]:
        """List networks."""
        answer: list[Json] = self.request("GET", "/networks", params={"filters": encode_filters(filters)})
        return answer

    def network_inspect(self, network: str, *, verbose: bool = False, scope: str | None = None) -> Json:
        """Return everything known about a network."""
        params = {"verbose": verbose, "scope": scope}
        answer: Json = self.request("GET", f"/networks/{path_part(network, 'network')}", params=params)
        return answer

    def network_create(self, config: Json) -> Json:
        """Create a network; returns ``{"Id", "Warning"}``."""
        answer: Json = self.request("POST", "/networks/create", json_body=config)
        return answer

    def network_remove(self, network: str) -> None:
        """Remove a network that nothing uses."""
        self.request("DELETE", f"/networks/{path_part(network, 'network')}")

    def network_connect(self, network: str, container: str, endpoint: Json | None = None) -> None:
        """Connect a container to a network."""
        body = {"Container": container, "EndpointConfig": endpoint or {}}
        self.request("POST", f"/networks/{path_part(network, 'network')}/connect", json_body=body)

    def network_disconnect(self, network: str, container: str, *, force: bool = False) -> None:
        """Disconnect a container from a network."""
        body = {"Container": container, "Force": force}
        self.request("POST", f"/networks/{path_part(network, 'network')}/disconnect", json_body=body)

    def networks_prune(self, *, filters: Filters | None = None) -> Json:
        """Remove unused networks; returns ``{"NetworksDeleted"}``."""
        answer: Json = self.request("POST", "/networks/prune", params={"filters": encode_filters(filters)})
        return answer

    def volumes(self, *, filters: Filters | None = None) -> Json:
        """List volumes: ``{"Volumes", "Warnings"}``."""
        answer: Json = self.request("GET", "/volumes", params={"filters": encode_filters(filters)})
        return answer

    def volume_inspect(self, volume: str) -> Json:
        """Return everything known about a volume."""
        answer: Json = self.request("GET", f"/volumes/{path_part(volume, 'volume')}")
        return answer

    def volume_create(self, config: Json) -> Json:
        """Create a volume, or return the one of that name."""
        answer: Json = self.request("POST", "/volumes/create", json_body=config)
        return answer

    def volume_remove(self, volume: str, *, force: bool = False) -> None:
        """Remove a volume that nothing uses."""
        self.request("DELETE", f"/volumes/{path_part(volume, 'volume')}", params={"force": force})

    def volumes_prune(self, *, filters: Filters | None = None) -> Json:
        """Remove unused volumes; returns ``{"VolumesDeleted", "SpaceReclaimed"}``."""
        answer: Json = self.request("POST", "/volumes/prune", params={"filters": encode_filters(filters)})
        return answer
