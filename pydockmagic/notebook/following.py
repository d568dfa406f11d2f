"""What those who keep a live view up to date share: the view, whether it is closed, and how they look again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydockmagic.notebook.later import Again, shown_in

if TYPE_CHECKING:
    from pydockmagic.notebook.widgets.base import LiveView

__all__ = ["LookingFollower", "ViewFollower"]

V = TypeVar("V", bound="LiveView")


class ViewFollower(Generic[V]):
    """Follows what one live view shows."""

    def __init__(self, widget: V) -> None:
        self.widget = widget

    @property
    def closed(self) -> bool:
        """Whether the view is static by now."""
        return self.widget.comm is None

    def fail(self, reason: str) -> None:
        """Show that nothing more will come."""
        self.widget.problem = reason


class LookingFollower(ViewFollower[V]):
    """Follows by looking anew soon after it was asked to; a burst of events costs two looks."""

    def __init__(self, widget: V, name: str) -> None:
        super().__init__(widget)
        self._again = Again(shown_in(widget, self._look_if_open), name)

    def refresh(self, _event: dict[str, Any]) -> None:
        """Look again soon."""
        self._again.ask()

    def catch_up(self) -> None:
        """Look again soon: something may have happened before anybody listened."""
        self._again.ask()

    def _look_if_open(self) -> None:
        if not self.closed:
            self._look()

    def _look(self) -> None:
        """Read, and show what was read."""
        raise NotImplementedError
