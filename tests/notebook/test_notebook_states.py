import base64
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from support.markup_check import check_static
from support.samples import DB, LIFECYCLE, WEB, step

from pydockmagic.notebook.followers import told
from pydockmagic.notebook.widgets.diagram import GONE, draw, lay_out
from pydockmagic.notebook.widgets.records import StateHistory, Transition
from pydockmagic.notebook.widgets.states import StatesView, move, outcome
from pydockmagic.notebook.widgets.states_live import StatesWidget


def drawing(view):
    data = re.search(r"base64,([A-Za-z0-9+/=]+)", view.html())[1]
    return ET.fromstring(base64.b64decode(data))


def texts(svg):
    return ["".join(each.itertext()) for each in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_the_diagram_has_the_states_and_arrows_of_the_engines_table():
    diagram = lay_out(LIFECYCLE)
    assert {box.state for box in diagram.boxes} == {"created", "running", "paused", "exited", GONE}
    assert {(arrow.source, arrow.target) for arrow in diagram.arrows} == {
        ("created", "running"),
        ("created", GONE),
        ("running", "paused"),
        ("paused", "running"),
        ("running", "exited"),
        ("exited", "running"),
        ("exited", GONE),
    }


def test_an_arrow_names_all_actions_that_go_its_way():
    arrows = {(arrow.source, arrow.target): arrow.label for arrow in lay_out(LIFECYCLE).arrows}
    assert arrows["running", "exited"] == ("stop", "kill", "die")
    assert arrows["created", GONE] == ("rm",)


def test_a_state_that_nobody_planned_for_has_a_place_too():
    table = [*LIFECYCLE, Transition(state="running", action="freeze", to="frozen")]
    diagram = lay_out(table)
    assert "frozen" in {box.state for box in diagram.boxes}
    assert ("running", "frozen") in {(arrow.source, arrow.target) for arrow in diagram.arrows}


def test_boxes_do_not_overlap():
    table = [*LIFECYCLE, *(Transition(state="running", action=name, to=name) for name in ("one", "two"))]
    boxes = lay_out(table, ["removing", "dead", "restarting"]).boxes
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            assert abs(one.x - other.x) >= one.width or abs(one.y - other.y) >= one.height, (one, other)


def test_every_box_and_label_lies_inside_the_drawing():
    diagram = lay_out(LIFECYCLE, ["removing", "dead", "restarting"])
    for box in diagram.boxes:
        assert box.x - box.width / 2 - 5 > 0
        assert box.x + box.width / 2 + 5 < diagram.width
        assert box.y + box.height / 2 + 5 < diagram.height


def test_the_state_of_a_container_is_lit_and_bears_its_name():
    svg = draw(lay_out(LIFECYCLE), {"exited": ["web"]})
    assert 'font-weight="700" fill="#fff">exited<' in svg
    assert ">web<" in svg
    assert 'font-weight="700" fill="#fff">running<' not in svg


def test_text_tells_state_history_exit_code_and_signal():
    lines = str(StatesView(LIFECYCLE, [WEB])).splitlines()
    assert lines[0] == "web is exited (exit code 137, SIGKILL)"
    assert [line.split(None, 1)[1].split() for line in lines[1:]] == [
        ["(new)", "->", "created", "create"],
        ["created", "->", "running", "start"],
        ["running", "->", "exited", "stop", "exit", "code", "137,", "SIGKILL"],
    ]


def test_several_containers_share_a_diagram_and_one_history_in_order_of_time():
    view = StatesView(LIFECYCLE, [WEB, DB])
    text = check_static(view.html())
    assert text.startswith("web is exited (exit code 137, SIGKILL); db is running")
    times = re.findall(r"\d\d:\d\d:\d\d\.\d{3}", text)
    assert len(times) == 5
    assert all(one <= other for one, other in pairwise(times))
    assert {"web", "db"} <= set(texts(drawing(view)))


def test_the_drawing_says_in_words_what_it_shows():
    html = StatesView(LIFECYCLE, [WEB]).html()
    assert 'alt="Container life cycle: web is exited (exit code 137, SIGKILL)."' in html


def test_an_engine_without_a_table_gives_no_diagram_but_a_reason():
    view = StatesView([], [WEB], note="This daemon does not describe its life cycle, so there is no diagram.")
    assert "<img" not in view.html()
    assert "no diagram" in check_static(view.html())


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (step("die", "running", "exited", 0, exit_code=0), "exit code 0"),
        (step("kill", "running", "exited", 0, exit_code=137, signal="SIGKILL"), "exit code 137, SIGKILL"),
        (step("kill", "running", "exited", 0, exit_code=143, signal="TERM"), "exit code 143, SIGTERM"),
        (step("die", "running", "exited", 0, exit_code=137, signal=9, oom_killed=True),
         "exit code 137, SIGKILL, out of memory"),
        (step("start", "created", "running", 0, exit_code=0), ""),
    ],
)  # fmt: skip
def test_an_end_is_told_with_its_cause(taken, text):
    assert outcome(taken) == text


def test_the_live_view_follows_what_it_is_shown():
    widget = StatesWidget(StatesView(LIFECYCLE, [DB]))
    assert widget.state == "running"
    stopped = StateHistory(
        id=DB.id, name=DB.name, state="exited", history=[*DB.history, step("stop", "running", "exited", 5, exit_code=0)]
    )
    widget.show(StatesView(LIFECYCLE, [stopped]))
    assert widget.state == "exited"
    assert widget.title == "db is exited (exit code 0)"
    assert widget.containers[0]["history"][-1]["outcome"] == "exit code 0"
    widget.close()


def event(action, **attributes):
    return {"Action": action, "Actor": {"ID": DB.id, "Attributes": attributes}, "timeNano": int(1_700_000_099e9)}


def test_a_container_that_removes_itself_is_told_of_by_its_events():
    ended = told(DB, event("die", exitCode="3"))
    gone = told(ended, event("destroy"))
    assert gone.state == GONE
    assert [each.to for each in gone.history[-2:]] == ["removing", GONE]
    assert outcome(gone.history[-2]) == "exit code 3"
    assert told(gone, event("destroy")) is gone


def test_the_way_through_a_state_outside_the_table_is_one_arrow():
    table = [*LIFECYCLE, Transition(state="running", action="rm --force", to=GONE, event="destroy")]
    gone = told(told(DB, event("die", exitCode="137")), event("destroy"))
    view = StatesView(table, [gone])
    assert view.arrows(gone) == [None, ("created", "running"), None, ("running", GONE)]
    assert view.last() == {("running", GONE)}


def test_an_action_that_changes_nothing_is_told_without_an_arrow():
    signalled = step("kill", "running", "running", 3, signal=15)
    assert move(signalled) == "running"
    assert outcome(signalled) == "SIGTERM"
