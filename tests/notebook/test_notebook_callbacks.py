"""What goes wrong when a view is clicked, or draws itself anew, is told in the view and nowhere else."""

import threading

import pytest
from support.samples import DB, LIFECYCLE

from pydockmagic.client import ClientError
from pydockmagic.notebook.board import BoardKeeper
from pydockmagic.notebook.followers import SheetFollower, StatesFollower, VolumesFollower
from pydockmagic.notebook.later import shown_in
from pydockmagic.notebook.widgets.base import LiveView
from pydockmagic.notebook.widgets.board import BoardView
from pydockmagic.notebook.widgets.board_live import BoardWidget
from pydockmagic.notebook.widgets.sheet import Sheet
from pydockmagic.notebook.widgets.sheet_live import SheetWidget
from pydockmagic.notebook.widgets.states import StatesView
from pydockmagic.notebook.widgets.states_live import StatesWidget

SHEET = Sheet("sheet-1", "Thing", "It is.")
EVENT = {"Type": "container", "Action": "start", "Actor": {"ID": DB.id}}


class Broken:
    """A client of which nothing works, each time in another way than anybody thought of."""

    def features(self):
        return {"states"}

    def at_least(self, version):
        return True

    def lifecycle(self):
        return []

    def __getattr__(self, name):
        def fail(*_arguments, **_options):
            raise KeyError(name)

        return fail


def told(widget, begin):
    """Wait for the problem that ``begin`` leads to."""
    there = threading.Event()
    widget.observe(lambda _change: there.set(), "problem")
    begin()
    assert there.wait(20)
    return widget.problem


@pytest.fixture
def unheard(monkeypatch):
    """Errors of threads that nobody has caught."""
    lost = []
    monkeypatch.setattr(threading, "excepthook", lost.append)
    yield lost
    assert not lost


def test_an_error_of_a_handler_is_the_views_problem():
    view = LiveView()

    def refuse(_content):
        raise ClientError("No such container: web")

    view.hear(refuse)
    view._handle_custom_msg({"kind": "any"}, [])
    assert view.problem == "No such container: web"
    view.hear(lambda content: content["missing"])
    view._handle_custom_msg({"kind": "any"}, [])
    assert view.problem == "KeyError: 'missing'"
    view.close()


def test_an_interrupt_is_no_problem_of_a_view():
    view = LiveView()

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shown_in(view, interrupted)()
    assert view.problem == ""
    view.close()


def test_a_sheet_that_cannot_be_read_anew_says_why(unheard):
    widget = SheetWidget(SHEET)

    def read():
        raise ZeroDivisionError("division by zero")

    SheetFollower(widget, read, lambda _event: True)
    click = {"kind": "again"}
    assert told(widget, lambda: widget._handle_custom_msg(click, [])) == "ZeroDivisionError: division by zero"
    widget.show(SHEET)
    assert widget.problem == ""
    widget.close()


def test_a_board_that_cannot_be_read_anew_says_why(unheard):
    widget = BoardWidget(BoardView([]))
    keeper = BoardKeeper(widget, Broken())
    assert told(widget, keeper.catch_up) == "KeyError: 'containers'"
    widget.close()


def test_a_diagram_that_cannot_be_read_anew_says_why(unheard):
    widget = StatesWidget(StatesView(LIFECYCLE, [DB]))
    follower = StatesFollower(widget, Broken())
    assert told(widget, lambda: follower.refresh(EVENT)) == "KeyError: 'states'"
    widget.problem = ""
    assert told(widget, follower.catch_up) == "KeyError: 'states'"
    widget.close()


def test_sizes_that_cannot_be_counted_are_told_of_in_the_map(unheard):
    widget = SheetWidget(SHEET)
    follower = VolumesFollower(widget, Broken(), (), "", {})
    assert told(widget, follower.catch_up) in ("KeyError: 'volumes'", "KeyError: 'disk_usage'")
    widget.close()
