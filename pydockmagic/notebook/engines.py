"""``%engine``: which engine is in use, and taking another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from pydockmagic.client import EMBEDDED, ClientError, choose, embedded
from pydockmagic.notebook import markup
from pydockmagic.notebook.errors import DockerError

if TYPE_CHECKING:
    from pydockmagic.notebook.magics import DockMagic

__all__ = ["EngineReport", "command"]

_USAGE = "%engine [status | start | stop | doctor | use embedded|CONTEXT|URL]"


@dataclass(frozen=True)
class EngineReport:
    """Facts about an engine, in order; ``facts["Engine"]`` is its name."""

    title: str
    facts: dict[str, Any]

    def __repr__(self) -> str:
        width = max((len(name) for name in self.facts), default=0) + 1
        return "\n".join([self.title, *(f"  {name + ':':<{width}} {value}" for name, value in self.facts.items())])

    def _repr_html_(self) -> str:
        rows = [[f"<b>{escape(name)}</b>", escape(str(value))] for name, value in self.facts.items()]
        inside = markup.caption(escape(self.title)) + (markup.table((), rows) if rows else "")
        return markup.tag("div", inside, class_="pydock")


def command(magics: DockMagic, words: Sequence[str]) -> EngineReport:
    """Carry out one ``%engine`` line."""
    verb, *rest = words or ["status"]
    if verb == "use" and len(rest) == 1:
        return use(magics, rest[0])
    if rest or verb not in ("status", "start", "stop", "doctor"):
        raise DockerError(f"%engine: unknown command: {' '.join(words)}", hint=_USAGE)
    if verb == "start":
        embedded.ensure()
        return status(magics)
    if verb == "stop":
        magics.session.close()
        stopped = embedded.stop()
        return EngineReport(
            "The embedded engine has stopped." if stopped else "The embedded engine was not running.", {}
        )
    return doctor(magics) if verb == "doctor" else status(magics)


def use(magics: DockMagic, target: str) -> EngineReport:
    """Take another engine; one that cannot be reached is not taken."""
    before = magics.session.connection.target
    magics.session.use(target)
    try:
        magics.session.client.ping()
    except ClientError:
        magics.session.use(before)
        raise
    return status(magics)


def status(magics: DockMagic) -> EngineReport:
    """Say which engine is in use; an embedded one that does not run is not started by asking."""
    session = magics.session
    if not session.connection.is_open:
        address = choose(session.connection.target)
        if address is None and not embedded.status().running:
            return EngineReport("The embedded engine is in use; it starts with the first command.", {})
    version = session.client.version()
    info = session.client.info()
    address = session.client.address
    facts: dict[str, Any] = {"Engine": session.engine()}
    if address.source != EMBEDDED:
        facts["Chosen by"] = address.source or "its address"
    facts |= {
        "Version": f"{version.get('Version', '')} (API {session.client.api_version})",
        "Containers": f"{info.get('Containers', 0)} ({info.get('ContainersRunning', 0)} running)",
        "Images": info.get("Images", 0),
        "Storage": info.get("Driver", ""),
    }
    if security := [_security(option) for option in info.get("SecurityOptions") or []]:
        facts["Isolation"] = ", ".join(security)
    if session.client.features():
        facts["Extensions"] = ", ".join(sorted(session.client.features()))
    return EngineReport(f"In use: {session.engine()}", facts)


def doctor(magics: DockMagic) -> EngineReport:
    """Say what the engine can do on this machine, and why not where it cannot."""
    if not magics.session.client.features():
        raise DockerError("only the embedded engine has a doctor", hint="%engine use embedded")
    findings = magics.session.client.doctor()
    return EngineReport(
        "What this machine allows the engine", {name: _plain(value) for name, value in findings.items()}
    )


def _security(option: str) -> str:
    name = option.partition("name=")[2].partition(",")[0]
    return name or option


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_plain(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
