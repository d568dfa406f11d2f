"""Live views ask nothing while nothing happens: they hear events and readings, and never poll."""

import time
from threading import Event

import pytest
from support.engine import engine

from pydockmagic.client import Client

pytestmark = pytest.mark.root

VIEWS = ("states box", "inside box", "container board", "network map", "volume map", "image tree", "layers box")
QUIET = 2.2
"""Seconds: more than two readings of what a container uses."""


@pytest.fixture
def asked(monkeypatch):
    """Give the requests that all clients send, as they are sent."""
    sent = []
    original = Client._open

    def noted(self, method, path, **options):
        sent.append((method, path))
        return original(self, method, path, **options)

    monkeypatch.setattr(Client, "_open", noted)
    return sent


def rests(asked, limit=30):
    """Whether no question is sent for some seconds, sooner or later."""
    deadline, known = time.monotonic() + limit, -1
    while time.monotonic() < deadline:
        if len(asked) == known:
            return True
        known = len(asked)
        Event().wait(QUIET)
    return False


@pytest.fixture
def address(tmp_path):
    with engine(tmp_path) as address:
        yield address


def test_all_live_views_come_to_rest_and_an_event_wakes_them(address, shell, asked):
    magics = shell.magics_manager.registry["DockMagic"]
    magics.engine, magics.live = address, "always"
    shell.run_line_magic("container", "run -d --name box busybox sleep 100")
    widgets = [shell.run_line_magic(*view.split(" ", 1)).widget for view in VIEWS]
    assert rests(asked), asked[-20:]
    assert not any(widget.problem for widget in widgets)
    before, told = len(asked), Event()
    widgets[0].observe(lambda _change: told.set(), "title")
    magics.session.client.container_kill("box")
    assert told.wait(10)
    magics.session.client.container_remove("box")
    assert rests(asked), asked[-20:]
    assert len(asked) > before
    magics.live = "auto"
