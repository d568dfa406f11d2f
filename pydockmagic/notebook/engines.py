"""``%engine``: which engine is in use, said without a path of this machine; the rest is the command language's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from pydockmagic.client import choose, embedded
from pydockmagic.notebook import markup
from pydockmagic.notebook.session import ANOTHER

if TYPE_CHECKING:
    from pydockmagic.notebook.magics import DockMagic

__all__ = ["EngineReport", "command"]


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


def command(magics: DockMagic, words: Sequence[str]) -> Any:
    """Carry out one ``%engine`` line: alone it reports, everything else is the command language's ``engine``."""
    if not words:
        return status(magics)
    session = magics.session
    if words[0] == "use":
        session.stop_feed(ANOTHER)
    ending = session.feed if words[0] == "stop" else None
    with nullcontext() if ending is None else ending.held("the engine was stopped"):
        result = magics.run(["engine", *words])
    return status(magics) if words[0] == "use" and "--help" not in words else result


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
    if not address.is_embedded:
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


def _security(option: str) -> str:
    name = option.partition("name=")[2].partition(",")[0]
    return name or option
