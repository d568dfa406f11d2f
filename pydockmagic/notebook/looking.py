"""``%layers`` and ``%states``: what they take, what they show and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydockmagic.client import NotFound
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.later import Later
from pydockmagic.notebook.views import Kind, layers_of, states_of

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.notebook.magics import DockMagic
    from pydockmagic.notebook.widgets.base import LiveView
    from pydockmagic.notebook.widgets.layers import LayersView
    from pydockmagic.notebook.widgets.states import StatesView

__all__ = ["Shown", "layers", "states"]


class Shown:
    """What a look at something returns: the data, and on request the live view as a widget of its own.

    Displayed, it is static HTML that every viewer can show; where a person is at the notebook the live view lies over
    it. ``widget`` is for front ends that show widgets only where they are displayed: ``x = %states web``, then
    ``x.widget``.
    """

    def __init__(self, view: LayersView | StatesView, live: Later[LiveView] | None = None) -> None:
        self.view = view
        self._live = live

    @property
    def widget(self) -> LiveView | None:
        """The live view; ``None`` where nobody was there to look at it."""
        return self._live.result() if self._live is not None else None

    def __repr__(self) -> str:
        return str(self.view)

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/plain": str(self.view), "text/html": self.view.html()}


def layers(magics: DockMagic, words: Sequence[str]) -> Shown:
    """Show the layers of an image or a container."""
    kind: Kind = ""
    names = list(words)
    if names and names[0].startswith("--type"):
        option, _, value = names.pop(0).partition("=")
        value = value or (names.pop(0) if names else "")
        if option != "--type" or value not in ("image", "container"):
            raise DockerError(f'"{value}" is not a valid value for --type', exit_code=125, hint=_LAYERS)
        kind = "image" if value == "image" else "container"
    if len(names) != 1 or names[0].startswith("-"):
        raise DockerError("%layers requires exactly 1 argument.", hint=_LAYERS)
    client = magics.session.client
    view, container = layers_of(client, names[0], kind, magics.session.engine())
    if not magics.shows_live():
        return Shown(view)
    # The widget libraries take a quarter of a second to load: the static form is on the screen meanwhile.
    return Shown(view, Later(lambda: magics.views.layers(view, client, container), "pydock-live"))


def states(magics: DockMagic, words: Sequence[str]) -> Shown:
    """Show where containers stand, and go on showing it."""
    if any(word.startswith("-") for word in words):
        raise DockerError("%states takes names of containers only.", hint="%states [CONTAINER...]")
    client = magics.session.client
    try:
        view = states_of(client, words, magics.session.engine())
    except NotFound as error:
        raise DockerError(str(error), hint="%container ls -a lists what there is") from None
    if not magics.shows_live():
        return Shown(view)
    return Shown(view, Later(lambda: _follow(magics, client, view), "pydock-live"))


def _follow(magics: DockMagic, client: Client, view: StatesView) -> LiveView:
    from pydockmagic.notebook.live import StatesFollower  # noqa: PLC0415 - loads the widget libraries

    widget = magics.views.states(view)
    follower = StatesFollower(widget, client)
    magics.session.follow().follow(follower, instead=lambda other: getattr(other, "widget", None) is widget)
    # Asked once more now that the feed listens: nothing that happened in between is missed.
    follower.catch_up()
    return widget


_LAYERS = "%layers [--type image|container] NAME"
