import re
import threading

import pytest
from support.markup_check import check_static

from pydockmagic.notebook.later import Again
from pydockmagic.notebook.widgets.graph import Line, Node, Row, describe, draw, lay_out
from pydockmagic.notebook.widgets.sheet import Bar, Code, Section, Sheet, Soft
from pydockmagic.notebook.widgets.sheet_live import SheetWidget
from pydockmagic.notebook.widgets.tokens import token_of

NODES = [
    Node("web", 0, "web <1>", [Row("172.17.0.2"), Row("172.18.0.2", "eth1")], "container", "web is on two networks."),
    Node("db", 0, "db", [Row("172.18.0.3")], "container", "db is on shop."),
    Node("bridge", 1, "bridge", (), "network", "bridge has web."),
    Node("shop", 1, "shop", (), "network", "shop has web and db."),
]
LINES = [Line("web", "bridge", 0), Line("web", "shop", 1), Line("db", "shop", 0, arrow=True)]


def sheet():
    sections = [
        Section("Use <now>", ("", "used"), [["memory", Bar("1MB & more", 0.5)], ["x", Soft("none")]], opened=True),
        Section("Files", ("path",), [[Code(f"/a  b/{at}")] for at in range(80)], summary="80"),
    ]
    picture = lay_out(NODES, LINES)
    return Sheet(token_of("test", "a"), "Thing", "It is.", sections, picture, "engine", ["Not known: y"])


def test_a_sheet_is_text_and_static_html_that_is_kept_by_every_viewer():
    text = check_static(sheet().html())
    assert "Use <now>" in text
    assert "1MB & more" in text
    assert "and 20 more" in text
    assert "Not known: y" in text


def test_the_text_of_a_sheet_shows_what_is_open_whole_and_the_rest_in_short():
    lines = str(sheet()).splitlines()
    assert lines[0] == "Thing: It is."
    assert "  memory  ████████         1MB & more" in lines
    assert "  ... and 65 more" in lines


def test_a_picture_says_in_words_what_it_shows():
    alt = re.search(r'alt="([^"]*)"', sheet().html())[1]
    assert alt == "web is on two networks. db is on shop. bridge has web. shop has web and db."
    assert describe(lay_out([], [])) == ""


def test_boxes_of_a_column_do_not_overlap_and_lie_in_the_drawing():
    graph = lay_out(NODES, LINES)
    boxes = {box.node.key: box for box in graph.nodes}
    assert boxes["web"].x == boxes["db"].x
    assert boxes["web"].y + boxes["web"].height < boxes["db"].y
    assert all(box.x + box.width < graph.width and box.y + box.height < graph.height for box in graph.nodes)


def test_boxes_stand_near_those_they_are_connected_to():
    graph = lay_out([*NODES[:2], NODES[3], NODES[2]], LINES)
    order = [box.node.key for box in graph.nodes if box.node.column == 1]
    assert order == ["bridge", "shop"]


def test_lines_begin_at_the_row_that_they_are_about():
    graph = lay_out(NODES, LINES)
    web = next(box for box in graph.nodes if box.node.key == "web")
    starts = [float(re.match(r"M\S+ ([\d.]+)", path)[1]) for line, path in graph.lines if line.source == "web"]
    assert starts == [web.level(0), web.level(1)]


def test_a_drawing_escapes_what_it_shows_and_lines_to_nowhere_are_left_out():
    svg = draw(lay_out(NODES, [*LINES, Line("web", "gone")]))
    assert "web &lt;1&gt;" in svg
    assert svg.count("stroke-width=") == 3


def test_only_the_sections_that_changed_travel():
    widget = SheetWidget(sheet())
    sent = []
    widget.send = sent.append
    first = sheet()
    changed = Section("Use <now>", ("", "used"), [["memory", Bar("2MB", 1.5)]], opened=True)
    widget.show(
        Sheet(first.token, "Thing", "It was.", [changed, first.sections[1]], first.graph, "engine", first.notes)
    )
    assert widget.sentence == "It was."
    assert [list(each["changed"]) for each in sent] == [[0]]
    assert widget.sections[0]["rows"][0][1] == {"text": "2MB", "kind": "bar", "share": 1.0}
    widget.close()


def test_a_view_that_is_asked_to_looks_again():
    widget = SheetWidget(sheet())
    asked = []
    widget.ask = lambda: asked.append(1)
    widget._handle_custom_msg({"kind": "again"}, [])
    widget._handle_custom_msg({"kind": "other"}, [])
    assert asked == [1]
    widget.close()


@pytest.mark.timeout(20)
def test_many_asks_while_at_work_come_to_one_more_time():
    begun, go, ended = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)

    def work():
        begun.release()
        go.acquire()
        ended.release()

    again = Again(work, "test")
    again.ask()
    begun.acquire()
    for _ in range(50):
        again.ask()
    for _ in range(2):
        go.release()
        ended.acquire()
    assert begun.acquire(timeout=5)
    assert not begun.acquire(blocking=False)
