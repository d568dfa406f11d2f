import queue
import threading

import pytest

from pydockmagic.client import ApiError, ConnectionFailed, ConnectionLost
from pydockmagic.notebook.feed import EventFeed
from pydockmagic.notebook.followers import SheetFollower, action_of, container_of
from pydockmagic.notebook.widgets.sheet import Sheet
from pydockmagic.notebook.widgets.sheet_live import SheetWidget

pytestmark = pytest.mark.timeout(30)


class Stream:
    """Events that a test hands out; an exception among them is raised to the reader."""

    def __init__(self):
        self.waiting = queue.Queue()

    def __iter__(self):
        while (event := self.waiting.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self):
        self.waiting.put(None)


class Daemon:
    def __init__(self):
        self.streams = []
        self.refused = 0

    def events(self):
        if self.refused:
            self.refused -= 1
            raise ConnectionFailed("unix:///nowhere")
        self.streams.append(Stream())
        return self.streams[-1]


class Watcher:
    def __init__(self, kind="container"):
        self.kind, self.closed, self.told = kind, False, queue.Queue()

    def concerns(self, event):
        return event["Type"] == self.kind

    def refresh(self, event):
        if event["Action"] == "refused":
            raise ApiError(500, "no")
        self.told.put(event["Action"])

    def catch_up(self):
        self.told.put("caught up")

    def fail(self, reason):
        self.told.put(reason)


def event(action, kind="container"):
    return {"Type": kind, "Action": action, "Actor": {"ID": "c"}}


def test_each_hears_the_events_that_concern_it_and_refusals_are_shown():
    daemon, watcher = Daemon(), Watcher("network")
    feed = EventFeed(daemon)
    feed.follow(watcher)
    for each in (event("start"), event("connect", "network"), event("refused", "network")):
        daemon.streams[0].waiting.put(each)
    assert watcher.told.get(timeout=10) == "connect"
    assert "no" in watcher.told.get(timeout=10)
    feed.stop()


def test_who_cannot_be_seen_any_more_is_forgotten():
    feed = EventFeed(Daemon())
    gone, there = Watcher(), Watcher()
    feed.follow(gone)
    gone.closed = True
    feed.follow(there)
    assert feed.left() == [there]
    feed.stop()


def test_a_lost_connection_is_told_and_heard_again_as_soon_as_a_command_has_found_the_daemon():
    daemon, watcher = Daemon(), Watcher()
    feed = EventFeed(daemon)
    feed.follow(watcher)
    daemon.streams[0].waiting.put(ConnectionLost())
    assert watcher.told.get(timeout=10) == "No longer live: the connection to the Docker daemon was lost"
    feed.nudge()
    assert watcher.told.get(timeout=10) == "caught up"
    assert feed.is_heard
    daemon.streams[1].waiting.put(event("start"))
    assert watcher.told.get(timeout=10) == "start"
    feed.stop("No longer live: another engine is in use.")
    assert watcher.told.get(timeout=10) == "No longer live: another engine is in use."
    assert not feed.alive


def test_a_daemon_that_is_away_is_tried_again_without_anybodys_doing():
    daemon, watcher = Daemon(), Watcher()
    feed = EventFeed(daemon)
    feed.follow(watcher)
    daemon.refused = 2
    daemon.streams[0].waiting.put(None)
    # Said before each attempt: a look that was under way may have been shown meanwhile.
    for _ in range(3):
        assert watcher.told.get(timeout=20) == "No longer live: the engine ended the event stream"
    assert watcher.told.get(timeout=20) == "caught up"
    assert daemon.refused == 0
    feed.stop()


def test_nobody_is_waited_for_whom_nobody_sees():
    daemon, watcher = Daemon(), Watcher()
    feed = EventFeed(daemon)
    feed.follow(watcher)
    watcher.closed = True
    daemon.streams[0].waiting.put(None)
    feed.nudge()
    feed._thread.join(10)
    assert not feed.alive
    assert len(daemon.streams) == 1


def test_an_engine_that_is_about_to_end_is_not_listened_to():
    daemon, watcher = Daemon(), Watcher()
    feed = EventFeed(daemon)
    feed.follow(watcher)
    with feed.held("the engine was stopped"):
        assert watcher.told.get(timeout=10) == "No longer live: the engine was stopped"
        feed.nudge()
        assert watcher.told.get(timeout=10) == "No longer live: the engine was stopped"
        assert len(daemon.streams) == 1
    feed.nudge()
    while (told := watcher.told.get(timeout=20)) == "No longer live: the engine was stopped":
        pass
    assert told == "caught up"
    feed.stop()


def sheet(sentence):
    return Sheet("test-followed", "Thing", sentence)


def test_a_sheet_is_read_again_and_says_what_went_wrong():
    widget = SheetWidget(sheet("before"))
    answers, shown = queue.Queue(), threading.Event()

    def read():
        answer = answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    widget.observe(lambda _: shown.set(), ["problem", "sentence"])
    follower = SheetFollower(widget, read, lambda _: True)
    assert widget.asks
    for answer, expected in (
        (ApiError(500, "busy"), ("Error response from daemon: busy", "before")),
        (KeyError("x"), ("KeyError: 'x'", "before")),
        (sheet("after"), ("", "after")),
    ):
        shown.clear()
        answers.put(answer)
        follower.refresh(event("start"))
        assert shown.wait(10)
        for _ in range(200):
            if (widget.problem, widget.sentence) == expected:
                break
            threading.Event().wait(0.01)
        assert (widget.problem, widget.sentence) == expected
    widget.close()
    assert follower.closed


def test_what_an_event_is_about():
    assert action_of({"Action": "exec_create: sh -c x"}) == "exec_create"
    assert container_of(event("start")) == "c"
    assert container_of(event("create", "network")) == ""
