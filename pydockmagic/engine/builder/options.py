"""What a client asks for with ``POST /build`` (Engine API v1.50, "Build an image")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.reference import DEFAULT_DOMAIN, parse_normalized

__all__ = ["BuildOptions"]

_FALSE = frozenset(("", "0", "no", "false", "none"))
_HUB_KEYS = ("https://index.docker.io/v1/", DEFAULT_DOMAIN, "index.docker.io")
T = TypeVar("T")

Query = Mapping[str, str | Sequence[str]]


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One build's options. ``build_args``: None as a value means "as in the client's environment", which has none.

    ``progress`` asks for the ``pydock.step`` messages between Docker's own.
    """

    tags: tuple[str, ...] = ()
    dockerfile: str = "Dockerfile"
    remote: str = ""
    quiet: bool = False
    no_cache: bool = False
    pull: bool = False
    remove: bool = True
    force_remove: bool = False
    build_args: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    target: str = ""
    platform: str = ""
    network_mode: str = ""
    extra_hosts: tuple[str, ...] = ()
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cgroup_parent: str = ""
    shm_size: int = 0
    ulimits: tuple[Mapping[str, Any], ...] = ()
    security_options: tuple[str, ...] = ()
    squash: bool = False
    version: str = "1"
    progress: bool = False
    credentials: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """``X-Registry-Config``: the client's credentials by registry."""

    def auth_for(self, name: str) -> Mapping[str, Any] | None:
        """Give the credentials for the registry of an image's name."""
        try:
            domain = parse_normalized(name).domain
        except OciError:
            return None
        keys = _HUB_KEYS if domain == DEFAULT_DOMAIN else (domain, f"https://{domain}", f"http://{domain}")
        return next((self.credentials[key] for key in keys if isinstance(self.credentials.get(key), dict)), None)

    @classmethod
    def from_query(cls, query: Query, *, progress: bool = False) -> BuildOptions:
        """Read the query of the request; a name may come with one value or with several. Raises InvalidParameter."""
        read = _Query(query)
        return cls(
            tags=tuple(read.all("t")),
            dockerfile=read.text("dockerfile") or "Dockerfile",
            remote=read.text("remote"),
            quiet=read.flag("q"),
            no_cache=read.flag("nocache"),
            pull=read.flag("pull"),
            remove=read.flag("rm", default=True),
            force_remove=read.flag("forcerm"),
            build_args=read.json("buildargs", dict[str, str | None], "error reading build args", {}),
            labels=read.json("labels", dict[str, str], "error reading labels", {}),
            cache_from=tuple(read.json("cachefrom", list[str], "error reading cache-from", [])),
            target=read.text("target"),
            platform=read.text("platform"),
            network_mode=read.text("networkmode"),
            extra_hosts=_hosts(read.all("extrahosts")),
            memory=read.number("memory"),
            memory_swap=read.number("memswap"),
            cpu_shares=read.number("cpushares"),
            cpu_period=read.number("cpuperiod"),
            cpu_quota=read.number("cpuquota"),
            cpuset_cpus=read.text("cpusetcpus"),
            cpuset_mems=read.text("cpusetmems"),
            cgroup_parent=read.text("cgroupparent"),
            shm_size=read.number("shmsize"),
            ulimits=tuple(read.json("ulimits", list[dict[str, Any]], "error reading ulimit settings", [])),
            security_options=tuple(read.json("securityopt", list[str], "error reading security options", [])),
            squash=read.flag("squash"),
            version=read.text("version") or "1",
            progress=progress,
        )

    def check(self) -> None:
        """Refuse what cannot be done here, each in a sentence of its own. Raises InvalidParameter."""
        if self.version != "1":
            raise InvalidParameter(
                "BuildKit builds (version=2) need a BuildKit session, which this engine does not offer: "
                "use the classic builder (DOCKER_BUILDKIT=0)",
            )
        if self.squash:
            raise InvalidParameter("squash is only supported with experimental mode")
        if self.remote:
            raise InvalidParameter(
                f"remote build contexts are not fetched by this engine: get {self.remote} yourself "
                "and build from its folder",
            )

    def references(self) -> list[str]:
        """Give the names for the result, whole (with a tag) and each once. Raises InvalidParameter."""
        names: dict[str, None] = {}
        for tag in self.tags:
            if not tag:
                continue
            try:
                reference = parse_normalized(tag)
            except OciError as error:
                raise InvalidParameter(str(error)) from None
            if reference.digest:
                raise InvalidParameter("build tag cannot contain a digest")
            names[reference.with_default_tag().familiar] = None
        return list(names)


def _hosts(values: Sequence[str]) -> tuple[str, ...]:
    """Hosts come one by one or, from older clients, as a JSON list."""
    if len(values) == 1 and values[0].startswith("["):
        try:
            return tuple(msgspec.json.decode(values[0].encode(), type=list[str]))
        except msgspec.MsgspecError:
            return tuple(values)
    return tuple(value for value in values if value)


class _Query:
    def __init__(self, query: Query) -> None:
        self._query = query

    def all(self, name: str) -> list[str]:
        value = self._query.get(name)
        if value is None:
            return []
        return [value] if isinstance(value, str) else list(value)

    def text(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def flag(self, name: str, *, default: bool = False) -> bool:
        values = self.all(name)
        return values[0].strip().lower() not in _FALSE if values and values[0] else default

    def number(self, name: str) -> int:
        text = self.text(name)
        try:
            return int(text) if text else 0
        except ValueError:
            return 0  # as dockerd: what is no number is taken for not given

    def json(self, name: str, kind: type[T], what: str, default: T) -> T:
        text = self.text(name)
        if not text:
            return default
        try:
            return msgspec.json.decode(text.encode(), type=kind)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InvalidParameter(f"{what}: {error}") from None
