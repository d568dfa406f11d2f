"""Containers: Engine API v1.50, tags ``Container`` and ``Exec``."""

# ruff: noqa: A002 - Docker's own parameter names
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .core import Core, Filters, Parameters, container_path, encode_filters
from .streams import ByteStream, FrameStream, Hijacked, JsonStream, PendingAnswer

__all__ = ["ContainerCalls"]

Json = dict[str, Any]


def _path_stat(headers: Mapping[str, str]) -> Json:
    import base64  # noqa: PLC0415 - only copies need it
    import json  # noqa: PLC0415

    stat: Json = json.loads(base64.b64decode(headers.get("x-docker-container-path-stat", "e30=")))
    return stat


class ContainerCalls(Core):
    """One method per operation; ``container`` is a name or any unambiguous start of an id."""

    def containers(
        self, *, all: bool = False, size: bool = False, limit: int | None = None, filters: Filters | None = None
    ) -> list[Json]:
        """List containers (the running ones, or ``all``), newest first."""
        params = {"all": all, "size": size, "limit": limit, "filters": encode_filters(filters)}
        answer: list[Json] = self.request("GET", "/containers/json", params=params)
        return answer

    def container_create(self, config: Json, *, name: str | None = None, platform: str | None = None) -> Json:
        """Create a container; returns ``{"Id", "Warnings"}``."""
        params = {"name": name, "platform": platform}
        answer: Json = self.request("POST", "/containers/create", params=params, json_body=config)
        return answer

    def container_inspect(self, container: str, *, size: bool = False) -> Json:
        """Return everything known about a container."""
        answer: Json = self.request("GET", container_path(container, "json"), params={"size": size})
        return answer

    def container_start(self, container: str, *, detach_keys: str | None = None) -> None:
        """Start a container; starting a running one is no error."""
        self.request("POST", container_path(container, "start"), params={"detachKeys": detach_keys})

    def container_stop(self, container: str, *, timeout: int | None = None, signal: str | None = None) -> None:
        """Stop a container: its stop signal, then SIGKILL after ``timeout`` seconds."""
        params = {"t": timeout, "signal": signal}
        self.request("POST", container_path(container, "stop"), params=params)

    def container_restart(self, container: str, *, timeout: int | None = None, signal: str | None = None) -> None:
        """Stop and start a container."""
        params = {"t": timeout, "signal": signal}
        self.request("POST", container_path(container, "restart"), params=params)

    def container_kill(self, container: str, *, signal: str | None = None) -> None:
        """Send a signal (SIGKILL where none is named)."""
        self.request("POST", container_path(container, "kill"), params={"signal": signal})

    def container_pause(self, container: str) -> None:
        """Freeze all processes of a container."""
        self.request("POST", container_path(container, "pause"))

    def container_unpause(self, container: str) -> None:
        """Let the processes of a paused container go on."""
        self.request("POST", container_path(container, "unpause"))

    def container_rename(self, container: str, name: str) -> None:
        """Give a container another name."""
        self.request("POST", container_path(container, "rename"), params={"name": name})

    def container_update(self, container: str, changes: Json) -> Json:
        """Change limits or the restart policy; returns ``{"Warnings"}``."""
        answer: Json = self.request("POST", container_path(container, "update"), json_body=changes)
        return answer

    def container_remove(
        self, container: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        """Remove a container."""
        params = {"force": force, "v": volumes, "link": link}
        self.request("DELETE", container_path(container), params=params)

    def containers_prune(self, *, filters: Filters | None = None) -> Json:
        """Remove all stopped containers; returns ``{"ContainersDeleted", "SpaceReclaimed"}``."""
        answer: Json = self.request("POST", "/containers/prune", params={"filters": encode_filters(filters)})
        return answer

    def container_wait(self, container: str, *, condition: str | None = None) -> Json:
        """Block until a container stops; returns ``{"StatusCode", "Error"}``."""
        with self.container_wait_begin(container, condition=condition) as pending:
            answer: Json = pending.result()
        return answer

    def container_wait_begin(self, container: str, *, condition: str | None = None) -> PendingAnswer:
        """Begin a wait that is surely registered when this returns: for those who start the container next."""
        path = container_path(container, "wait")
        return self.pending("POST", path, params={"condition": condition})

    def container_top(self, container: str, *, ps_args: str | None = None) -> Json:
        """List a container's processes; returns ``{"Titles", "Processes"}``."""
        answer: Json = self.request("GET", container_path(container, "top"), params={"ps_args": ps_args})
        return answer

    def container_changes(self, container: str) -> list[Json]:
        """List what a container changed in its file system: ``{"Path", "Kind"}``, 0 changed, 1 added, 2 deleted."""
        answer: list[Json] | None = self.request("GET", container_path(container, "changes"))
        return answer or []

    def container_stats(self, container: str, *, one_shot: bool = False) -> Json:
        """Return one reading of a container's resource use; ``one_shot`` at once, without a second one to compare."""
        path = container_path(container, "stats")
        answer: Json = self.request("GET", path, params={"stream": "0", "one-shot": one_shot})
        return answer

    def container_stats_stream(self, container: str) -> JsonStream:
        """Return readings of a container's resource use, about one a second."""
        return self.stream_json("GET", container_path(container, "stats"), params={"stream": True})

    def container_logs(  # noqa: PLR0913 - the operation's own parameters
        self,
        container: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        timestamps: bool = False,
        tail: str | None = None,
        since: str | None = None,
        until: str | None = None,
        details: bool = False,
        tty: bool = False,
    ) -> FrameStream:
        """Return a container's log as frames; ``tty`` must say whether the container has a terminal."""
        params = {
            "stdout": stdout,
            "stderr": stderr,
            "follow": follow,
            "timestamps": timestamps,
            "tail": tail,
            "since": since,
            "until": until,
            "details": details,
        }
        return self.stream_frames("GET", container_path(container, "logs"), params=params, tty=tty)

    def container_attach(
        self,
        container: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        detach_keys: str | None = None,
        tty: bool = False,
    ) -> Hijacked:
        """Attach to a container's streams."""
        params = {
            "stream": True,
            "stdin": stdin,
            "stdout": stdout,
            "stderr": stderr,
            "logs": logs,
            "detachKeys": detach_keys,
        }
        return self.hijack("POST", container_path(container, "attach"), params=params, tty=tty)

    def container_resize(self, container: str, *, height: int, width: int) -> None:
        """Tell a container's terminal its size in characters."""
        self.request("POST", container_path(container, "resize"), params={"h": height, "w": width})

    def container_export(self, container: str) -> ByteStream:
        """Return a container's file system as a tar."""
        return self.stream_bytes("GET", container_path(container, "export"))

    def container_archive_stat(self, container: str, path: str) -> Json:
        """Return name, size, mode, mtime and link target of a path inside a container."""
        response = self.exchange("HEAD", container_path(container, "archive"), params={"path": path})
        return _path_stat(response.headers)

    def container_archive_get(self, container: str, path: str) -> tuple[Json, ByteStream]:
        """Return what a path inside a container is (as ``container_archive_stat``), and the path as a tar."""
        stream = self.stream_bytes("GET", container_path(container, "archive"), params={"path": path})
        return _path_stat(stream.headers), stream

    def container_archive_put(
        self, container: str, path: str, tar: bytes | Iterable[bytes], *, copy_uid_gid: bool = False
    ) -> None:
        """Unpack a tar into a folder inside a container."""
        params: Parameters = {"path": path, "noOverwriteDirNonDir": "true", "copyUIDGID": copy_uid_gid}
        headers = {"Content-Type": "application/x-tar"}
        self.request(
            "PUT",
            container_path(container, "archive"),
            params=params,
            content=tar,
            headers=headers,
        )

    def container_commit(
        self,
        container: str,
        *,
        repo: str | None = None,
        tag: str | None = None,
        comment: str | None = None,
        author: str | None = None,
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> Json:
        """Make an image of a container; returns ``{"Id"}``."""
        params: Parameters = {
            "container": container,
            "repo": repo,
            "tag": tag,
            "comment": comment,
            "author": author,
            "changes": changes,
            "pause": None if pause else "0",
        }
        answer: Json = self.request("POST", "/commit", params=params, json_body={})
        return answer

    def exec_create(self, container: str, config: Json) -> Json:
        """Prepare a command in a running container; returns ``{"Id"}``."""
        answer: Json = self.request("POST", container_path(container, "exec"), json_body=config)
        return answer

    def exec_start(self, exec_id: str, *, tty: bool = False, console_size: tuple[int, int] | None = None) -> Hijacked:
        """Start a prepared command and take its streams."""
        body: Json = {"Detach": False, "Tty": tty}
        if console_size is not None:
            body["ConsoleSize"] = list(console_size)
        return self.hijack("POST", f"/exec/{exec_id}/start", json_body=body, tty=tty)

    def exec_start_detached(self, exec_id: str, *, tty: bool = False) -> None:
        """Start a prepared command and do not wait for it."""
        self.request("POST", f"/exec/{exec_id}/start", json_body={"Detach": True, "Tty": tty})

    def exec_inspect(self, exec_id: str) -> Json:
        """Return ``{"Running", "ExitCode", "Pid", ...}`` of a prepared command."""
        answer: Json = self.request("GET", f"/exec/{exec_id}/json")
        return answer

    def exec_resize(self, exec_id: str, *, height: int, width: int) -> None:
        """Tell a command's terminal its size in characters."""
        self.request("POST", f"/exec/{exec_id}/resize", params={"h": height, "w": width})
