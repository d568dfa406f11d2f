"""``%layers``, ``%states``, ``%inside`` and their like: what they take, what they show and what they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pydockmagic.client import NotFound
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.later import Later, shown_in
from pydockmagic.notebook.views import Kind, layers_of, states_of

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.notebook.board import BoardKeeper
    from pydockmagic.notebook.followers import SheetFollower, StatesFollower
    from pydockmagic.notebook.magics import DockMagic
    from pydockmagic.notebook.widgets.base import LiveView
    from pydockmagic.notebook.widgets.sheet import Sheet

__all__ = ["USAGE", "Shown", "View", "inside", "layers", "states"]


Display = Callable[["DockMagic", Sequence[str]], "Shown"]
ReadSheet = Callable[["Client", Sequence[str], str], "Sheet"]


class View(Protocol):
    """Something that can be looked at without a kernel: its text is ``str()`` of it."""

    def html(self) -> str:
        """Give it as static HTML."""
        ...


class Shown:
    """What a look at something returns: the data, and on request the live view as a widget of its own.

    Displayed, it is static HTML that every viewer can show; where a person is at the notebook the live view lies over
    it. ``widget`` is for front ends that show widgets only where they are displayed: ``x = %states web``, then
    ``x.widget``.
    """

    def __init__(self, view: View, live: Later[LiveView] | None = None) -> None:
        self.view = view
        self._live = live

    @property
    def widget(self) -> LiveView | None:
        """The live view; ``None`` where nobody was there to look at it."""
        if self._live is None:
            return None
        widget = self._live.result()
        widget.still = self.view.html
        return widget

    exit_code = 0
    """As of a command that went well."""

    def __repr__(self) -> str:
        return str(self.view)

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/plain": str(self.view), "text/html": self.view.html()}


def layers(magics: DockMagic, words: Sequence[str]) -> Shown:
    """Show the layers of an image or a container."""
    kind: Kind = ""
    names = [word for word in words if word != "--files"]
    if names and names[0].startswith("--type"):
        option, _, value = names.pop(0).partition("=")
        value = value or (names.pop(0) if names else "")
        if option != "--type" or value not in ("image", "container"):
            raise DockerError(f'"{value}" is not a valid value for --type', exit_code=125, hint=USAGE["layers"])
        kind = "image" if value == "image" else "container"
    if len(names) not in (1, 2) or any(name.startswith("-") for name in names):
        raise DockerError("%layers requires 1 or 2 arguments.", hint=USAGE["layers"])
    client, engine, read = magics.session.client, magics.session.engine(), "--files" in words
    if len(names) == 2:
        from pydockmagic.notebook.comparing import compare_images  # noqa: PLC0415 - only for this look

        sheet = compare_images(client, names[0], names[1], engine, read=read)
        return _shown(magics, sheet, lambda: magics.views.sheet(sheet))
    view, container = layers_of(client, names[0], kind, engine, read=read)
    return _shown(magics, view, lambda: magics.views.layers(view, client, container))


def states(magics: DockMagic, words: Sequence[str]) -> Shown:
    """Show where containers stand, and go on showing it."""
    if any(word.startswith("-") for word in words):
        raise DockerError("%states takes names of containers only.", hint=USAGE["states"])
    client = magics.session.client
    try:
        view = states_of(client, words, magics.session.engine())
    except NotFound as error:
        raise DockerError(str(error), hint="%container ls -a lists what there is") from None

    def follow() -> LiveView:
        from pydockmagic.notebook.followers import StatesFollower  # noqa: PLC0415 - loads the widget libraries

        return _followed(magics, StatesFollower(magics.views.states(view), client))

    return _shown(magics, view, follow)


def inside(magics: DockMagic, words: Sequence[str]) -> Shown:
    """Show a container as the kernel sees it, and go on showing it."""
    if len(words) != 1 or words[0].startswith("-"):
        raise DockerError("%inside requires exactly 1 argument.", hint=USAGE["inside"])
    from pydockmagic.notebook.insides import read_inside  # noqa: PLC0415 - only for this look
    from pydockmagic.notebook.widgets.inside import inside_sheet  # noqa: PLC0415

    client, engine = magics.session.client, magics.session.engine()
    try:
        seen = read_inside(client, words[0])
    except NotFound as error:
        raise DockerError(str(error), hint="%container ls -a lists what there is") from None
    sheet = inside_sheet(seen, engine)

    def follow() -> LiveView:
        from pydockmagic.notebook.followers import InsideFollower  # noqa: PLC0415

        widget = magics.views.sheet(sheet)
        return _followed(magics, InsideFollower(widget, client, seen, engine))

    return _shown(magics, sheet, follow)


def board(magics: DockMagic, names: Sequence[str]) -> Shown:
    """Show containers with their buttons, and go on showing them."""
    from pydockmagic.notebook.board import read_board  # noqa: PLC0415 - only for this look

    client = magics.session.client
    view = read_board(client, names, magics.session.engine())

    def follow() -> LiveView:
        from pydockmagic.notebook.board import BoardKeeper  # noqa: PLC0415

        return _followed(magics, BoardKeeper(magics.views.board(view), client))

    return _shown(magics, view, follow)


def build_graph(magics: DockMagic, _names: Sequence[str]) -> Shown:
    """Show the latest build as a graph of its stages."""
    from pydockmagic.notebook.widgets.build_graph import build_sheet  # noqa: PLC0415 - only for this look

    if magics.session.build is None:
        raise DockerError("nothing was built in this notebook yet", hint="%%dockerfile -t NAME builds its cell")
    sheet = build_sheet(magics.session.build)
    return _shown(magics, sheet, lambda: magics.views.sheet(sheet))


def volumes(magics: DockMagic, names: Sequence[str]) -> Shown:
    """Show the map of the volumes, and go on showing it."""
    from pydockmagic.notebook.maps import volume_map, volume_sizes  # noqa: PLC0415 - only for this look

    client, engine = magics.session.client, magics.session.engine()
    asked = Later(lambda: volume_sizes(client), "pydock-sizes")
    sheet = volume_map(client, names, engine)
    if sizes := asked.within(_PATIENCE) or {}:
        sheet = volume_map(client, names, engine, sizes)

    def follow() -> LiveView:
        from pydockmagic.notebook.followers import VolumesFollower  # noqa: PLC0415

        return _followed(magics, VolumesFollower(magics.views.sheet(sheet), client, names, engine, sizes))

    return _shown(magics, sheet, follow)


def _mapped(read: ReadSheet, kinds: frozenset[str]) -> Display:
    """Make the display of a sheet that is read again after each event about things of these kinds."""

    def show(magics: DockMagic, names: Sequence[str]) -> Shown:
        client, engine = magics.session.client, magics.session.engine()
        sheet = read(client, names, engine)

        def follow() -> LiveView:
            from pydockmagic.notebook.followers import SILENT, SheetFollower, action_of  # noqa: PLC0415

            widget = magics.views.sheet(sheet)
            follower = SheetFollower(
                widget,
                lambda: read(client, names, engine),
                lambda event: event.get("Type") in kinds and action_of(event) not in SILENT,
            )
            return _followed(magics, follower)

        return _shown(magics, sheet, follow)

    return show


def _from_maps(name: str) -> ReadSheet:
    """Give who reads a map, loaded for the first look."""

    def read(client: Client, names: Sequence[str], engine: str) -> Sheet:
        from pydockmagic.notebook import maps  # noqa: PLC0415

        function: ReadSheet = getattr(maps, name)
        return function(client, names, engine)

    return read


def _shown(magics: DockMagic, view: View, make: Callable[[], LiveView]) -> Shown:
    """Show a view, and where somebody looks make the live one in the background.

    The widget libraries take a quarter of a second to load: the static form is on the screen meanwhile.
    """
    return Shown(view, Later(make, "pydock-live") if magics.shows_live() else None)


def _followed(magics: DockMagic, follower: SheetFollower | StatesFollower | BoardKeeper) -> LiveView:
    """Have a live view kept up to date, by this follower alone."""
    from pydockmagic.notebook.followers import SheetFollower  # noqa: PLC0415 - with the libraries, loaded by now

    widget = follower.widget
    if isinstance(follower, SheetFollower):
        follower.widget.ask = lambda: _ask_again(magics, follower)

    def begin() -> None:
        magics.session.follow().follow(follower, instead=lambda other: getattr(other, "widget", None) is widget)
        # Asked once more now that the feed listens: nothing that happened in between is missed.
        follower.catch_up()

    shown_in(widget, begin)()
    return widget


def _ask_again(magics: DockMagic, follower: SheetFollower) -> None:
    """Look again because the person asks; where the engine had gone, it is followed again."""
    magics.session.follow()
    follower.catch_up()


_PATIENCE = 0.5
"""Seconds that a display waits for what it can do without."""
USAGE = {
    "inside": "%inside CONTAINER",
    "layers": "%layers [--type image|container] [--files] NAME, or %layers IMAGE IMAGE to compare two",
    "states": "%states [CONTAINER...]",
}
"""What the magics take that are no commands of docker's."""

DISPLAYS: dict[str, Display] = {
    "container board": board,
    "builder graph": build_graph,
    "network map": _mapped(_from_maps("network_map"), frozenset({"network", "container"})),
    "volume map": volumes,
    "image tree": _mapped(_from_maps("image_tree"), frozenset({"image"})),
}
"""Who draws the displays of the grammar."""
