import threading

import pytest
from support.markup_check import check_static
from support.samples import LIFECYCLE

from pydockmagic.client import ClientError
from pydockmagic.engine.containers.lifecycle import rows as lifecycle_rows
from pydockmagic.notebook.board import BoardKeeper
from pydockmagic.notebook.widgets.board import PLAIN, BoardView, Reading, legal_actions, row_of
from pydockmagic.notebook.widgets.board_live import BoardWidget
from pydockmagic.notebook.widgets.records import Transition

SUMMARY = {
    "Id": "a" * 64,
    "Names": ["/web"],
    "Image": "web:latest",
    "Command": "\"sh -c '<b>'\"",
    "State": "running",
    "Status": "Up 3 seconds",
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
    ],
}
ROW = row_of(SUMMARY, PLAIN)
OLD = row_of({"Id": "b" * 64, "State": "exited", "Status": "Exited (0) 2 hours ago"}, PLAIN)
VIEW = BoardView([ROW, OLD], (), {ROW.id: Reading(3.0, 5_000_000, 10_000_000)}, "engine")


def test_without_a_table_the_daemon_is_taken_to_allow_what_our_engine_allows():
    table = [Transition(state=row["State"], action=row["Action"], to=row["To"]) for row in lifecycle_rows()]
    ours = legal_actions(table)
    assert {state: actions for state, actions in ours.items() if actions} == dict(PLAIN)
    assert legal_actions([]) is PLAIN


def test_the_engines_table_says_which_buttons_there_are():
    assert legal_actions(LIFECYCLE)["created"] == {"start", "rm"}


def test_a_row_tells_name_state_image_and_published_ports_once():
    assert (ROW.name, ROW.state, ROW.ports) == ("web", "running", ("8080 → 80/tcp",))
    assert ROW.allowed == {"stop", "restart", "pause", "kill"}
    assert OLD.name == "b" * 12


def test_text_and_html_tell_states_by_words():
    assert str(VIEW).splitlines()[0] == "2 containers: 1 running, 1 exited"
    assert "▶ web" in str(VIEW)
    text = check_static(VIEW.html())
    assert "running, up 3 seconds" in text
    assert "exited (0) 2 hours ago" in text
    assert "5MB of 10MB" in text
    assert "'<b>'" in text


def test_a_board_of_nothing_says_so():
    assert str(BoardView([])) == "no containers"


@pytest.fixture
def widget():
    made = BoardWidget(VIEW)
    yield made
    made.close()


def test_an_action_that_fails_is_told_at_its_container_and_forgotten_with_the_next(widget):
    done = []

    def do(action, container):
        done.append(action)
        if action == "rm":
            raise ClientError("cannot remove container")
        if action == "kill":
            raise KeyError("Pid")

    widget.do = do
    widget.perform("rm", ROW.id)
    assert widget.refused == {ROW.id: "cannot remove container"}
    widget.perform("kill", ROW.id)
    assert widget.refused == {ROW.id: "KeyError: 'Pid'"}
    widget.perform("stop", ROW.id)
    assert (widget.refused, widget.busy, done) == ({}, {}, ["rm", "kill", "stop"])


@pytest.mark.timeout(20)
def test_a_click_is_carried_out_in_the_background_and_only_known_actions_are(widget):
    heard, done = [], threading.Event()
    widget.do = lambda action, container: (heard.append((action, container)), done.set())
    widget._handle_custom_msg({"kind": "do", "action": "exec", "id": ROW.id}, [])
    widget._handle_custom_msg({"kind": "do", "action": "stop", "id": ROW.id}, [])
    assert done.wait(10)
    assert heard == [("stop", ROW.id)]


def test_a_minute_of_readings_is_kept_and_only_the_newest_travels(widget):
    sent = []
    widget.send = sent.append
    for at in range(70):
        widget.add(ROW.id, Reading(float(at), 1000 * at, None))
    assert len(widget.usage[ROW.id]) == 60
    assert sent[-1] == {"kind": "reading", "id": ROW.id,
                        "reading": {"cpu": 69.0, "memory": 69000, "limit": None, "text": "69kB"}}  # fmt: skip
    widget.show(BoardView([OLD]))
    assert widget.usage == {}
    assert [row["name"] for row in widget.rows] == ["b" * 12]


class Daemon:
    """A daemon whose list lags behind, as dockerd's does when a container is paused."""

    def __init__(self):
        self.asked = []

    def features(self):
        return frozenset()

    def containers(self, **_options):
        return [SUMMARY, {"Id": OLD.id, "State": "exited", "Status": "Exited (0) 2 hours ago"}]

    def container_inspect(self, name):
        self.asked.append(name)
        status = "paused" if name == ROW.id else "exited"
        return {"State": {"Status": status, "StartedAt": "2024-01-01T10:00:00Z", "FinishedAt": "2024-01-01T11:00:00Z"}}

    def container_stats_stream(self, name):
        raise OSError


def test_what_the_list_says_late_inspect_says_in_time_and_only_of_what_moved(widget):
    daemon = Daemon()
    keeper = BoardKeeper(widget, daemon)
    keeper._look()
    assert [(row["state"], row["since"]) for row in widget.rows] == [("exited", 1704106800.0), ("paused", 1704103200.0)]
    assert widget.rows[1]["allowed"] == ["stop", "restart", "unpause", "kill"]
    daemon.asked.clear()
    keeper._look()
    assert daemon.asked == [ROW.id]  # the list still says "running"
