"""The map of networks: who stands in which, under which address, and who can reach whom. ``%network map``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydockmagic.notebook.widgets.graph import Line, Node, Row
from pydockmagic.notebook.widgets.sheet import Cell, Code, Section, Sheet, Soft, picture, plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["Attached", "Network", "Published", "network_sheet"]

_HOST = "host machine"
_MOST_NAMED = 12


@dataclass(frozen=True)
class Network:
    """A network. ``names`` says whether containers find each other by name there, ``joined`` whether they may talk."""

    name: str
    driver: str
    subnets: tuple[str, ...] = ()
    internal: bool = False
    names: bool = True
    joined: bool = True


@dataclass(frozen=True)
class Published:
    """A port of the machine that leads into a container; ``address`` is empty where every address does."""

    outer: int
    inner: str
    address: str = ""

    def __str__(self) -> str:
        return f"{self.address}:{self.outer}" if self.address else f"port {self.outer}"


@dataclass(frozen=True)
class Attached:
    """A container with its addresses by network. ``shares`` names the container whose network it uses."""

    name: str
    state: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Published, ...] = ()
    mode: str = ""
    shares: str = ""

    @property
    def place(self) -> str:
        """Name the container whose network it is in: its own, or the one that it shares."""
        return self.shares or self.name

    @property
    def running(self) -> bool:
        """Whether it can be reached at all."""
        return self.state in ("running", "paused", "restarting")


def network_sheet(
    networks: Sequence[Network], containers: Sequence[Attached], names: Sequence[str] = (), engine: str = ""
) -> Sheet:
    """Make the display of networks and of the containers in them."""
    known = {network.name: network for network in networks}
    containers = _settled(containers)
    running = [each for each in containers if each.running]
    nodes, lines = _drawn(networks, containers, known)
    stopped = len(containers) - len(running)
    rest = f"; {plural(stopped, 'container')} not running" if stopped else ""
    drawn, notes = picture(nodes, lines)
    return Sheet(
        token=token_of("networks", engine, *names),
        subject="Networks" if not names else f"Network {', '.join(names)}",
        sentence=f"{plural(len(networks), 'network')}, {plural(len(running), 'running container')}{rest}.",
        sections=[_reach(running, known), _listed(networks, containers)],
        graph=drawn,
        notes=notes,
        engine=engine,
    )


def _settled(containers: Sequence[Attached]) -> list[Attached]:
    """Give those that share a network the addresses of the container that it belongs to."""
    owners = {each.name: each for each in containers if not each.shares}
    return [
        replace(each, addresses=owners[each.shares].addresses, mode=owners[each.shares].mode)
        if each.shares in owners
        else each
        for each in containers
    ]


def _drawn(
    networks: Sequence[Network], containers: Sequence[Attached], known: Mapping[str, Network]
) -> tuple[list[Node], list[Line]]:
    nodes: list[Node] = []
    lines: list[Line] = []
    published = [(each, port) for each in containers if each.running for port in each.ports]
    if published:
        rows = [Row(str(port)) for _, port in published]
        told = "; ".join(f"{port} leads to {each.name}, {port.inner}" for each, port in published)
        nodes.append(Node(_HOST, 0, "ports of this machine", rows, "from outside", f"From outside: {told}."))
    for each in containers:
        places = [name for name in each.addresses if name in known and not each.shares]
        rows = [Row(each.addresses[name] or "no address", f"on {name}") for name in places]
        for port in each.ports if each.running else ():
            at = published.index((each, port))
            lines.append(Line(_HOST, f"container {each.name}", at, len(rows), arrow=True))
            rows.append(Row(f"listens: {port.inner}"))
        lines += [Line(f"container {each.name}", f"network {name}", at) for at, name in enumerate(places)]
        if each.shares:
            rows.append(Row(f"in the network of {each.shares}"))
            lines.append(Line(f"container {each.name}", f"container {each.shares}", len(rows) - 1))
        about = "container" if each.running else f"container, {each.state}"
        words = _words(each, containers, known)
        nodes.append(Node(f"container {each.name}", 1, each.name, rows, about, words, faint=not each.running))
    for network in networks:
        rows = [Row(subnet) for subnet in network.subnets] + [Row(said) for said in _remarks(network)]
        inside = [each.name for each in containers if network.name in each.addresses and not each.shares]
        told = f"Network {network.name}: {', '.join(inside) or 'no container'}; {', '.join(_remarks(network))}."
        nodes.append(
            Node(f"network {network.name}", 2, network.name, rows, f"network, {network.driver}", told, faint=not inside)
        )
    return nodes, lines


def _remarks(network: Network) -> list[str]:
    if network.driver == "host":
        return ["the machine's own network"]
    if network.driver == "null":
        return ["no network at all"]
    said = ["found by name" if network.names else "found by address only"]
    if not network.joined:
        said = ["containers may not talk to each other"]
    return [*said, "no way out"] if network.internal else said


def _ways(one: Attached, other: Attached, known: Mapping[str, Network]) -> str:
    """Say how one container reaches another: by which name or address; empty where it cannot."""
    if one.place == other.place or (one.mode == "host" and other.mode == "host"):
        return f"{other.name} as localhost"
    ways: list[str] = []
    for name in one.addresses:
        network, address = known.get(name), other.addresses.get(name)
        if network is None or not address or not network.joined:
            continue
        ways = [*ways, *([other.place] if network.names and other.place not in ways else []), address]
    return f"{other.name} ({' or '.join(ways)})" if ways else ""


def _words(each: Attached, containers: Sequence[Attached], known: Mapping[str, Network]) -> str:
    if not each.running:
        return f"{each.name} is {each.state}: nobody can reach it."
    others = [other for other in containers if other is not each and other.running]
    ways = [way for other in others if (way := _ways(each, other, known))]
    cannot = [other.name for other in others if not _ways(each, other, known)]
    told = f"{each.name} can reach {', '.join(ways) or 'no other container'}"
    told += f"; not {', '.join(cannot)}" if cannot else ""
    return f"{told}. From outside: {_outside(each)}. To the outside: {_outward(each, known)}."


def _outside(each: Attached) -> str:
    if each.mode == "host":
        return "on every port it listens on, for it uses the machine's own network"
    return (
        ", ".join(f"by {port} of this machine ({port.inner})" for port in each.ports)
        or "by nobody, no port is published"
    )


def _outward(each: Attached, known: Mapping[str, Network]) -> str:
    if each.mode == "host":
        return "as the machine itself"
    if each.shares:
        return f"as {each.shares}"
    places = [known[name] for name in each.addresses if name in known and known[name].driver != "null"]
    if not places:
        return "no, it has no network"
    return "yes" if any(not network.internal for network in places) else "no, its network is internal"


def _some(names: Sequence[str]) -> list[str]:
    """Keep a list to what a table can hold."""
    more = len(names) - _MOST_NAMED
    return [*names[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]


def _reach(running: Sequence[Attached], known: Mapping[str, Network]) -> Section:
    rows: list[list[Cell]] = []
    for each in running:
        others = [other for other in running if other is not each]
        ways = [way for other in others if (way := _ways(each, other, known))]
        cannot = [other.name for other in others if not _ways(each, other, known)]
        rows.append(
            [
                each.name,
                Code("\n".join(_some(ways))) if ways else Soft("nobody"),
                Soft(", ".join(_some(cannot))),
                _outside(each),
                _outward(each, known),
            ]
        )
    head = ("container", "can reach (by)", "cannot reach", "reached from outside", "reaches the outside")
    notes = [
        "Containers reach each other only where they share a network; by name only on networks that somebody made."
    ]
    return Section("Who can reach whom", head, rows, opened=True, notes=notes)


def _listed(networks: Sequence[Network], containers: Sequence[Attached]) -> Section:
    rows: list[list[Cell]] = []
    for network in networks:
        inside = [
            f"{each.name} {each.addresses[network.name]}".rstrip()
            for each in containers
            if network.name in each.addresses
        ]
        told = ", ".join(_remarks(network))
        rows.append(
            [network.name, network.driver, Code("\n".join(network.subnets)), Code("\n".join(inside)), Soft(told)]
        )
    return Section("Networks", ("name", "driver", "addresses", "containers", ""), rows, summary=str(len(networks)))
