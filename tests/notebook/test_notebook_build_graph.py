import pytest
from support.markup_check import check_static

from pydockmagic.commands import BuildProgress, BuildResult
from pydockmagic.notebook.boards import BuildBoard
from pydockmagic.notebook.capture import NotebookOutput
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.widgets.build_graph import build_sheet
from pydockmagic.notebook.widgets.graph import Line, Node, lay_out

SOURCE = """FROM busybox AS tools
RUN make <x>
FROM busybox AS tests
RUN check
FROM other
COPY --from=Tools /a /a
RUN --mount=type=bind,from=0,target=/t use
"""
STEPS = [
    (1, "FROM busybox AS tools", "done", "", 0.0, 1),
    (2, "RUN make <x>", "cached", "", 0.0, 2),
    (5, "FROM other", "done", "", 0.0, 5),
    (6, "COPY --from=Tools /a /a", "cached", "", 0.1, 6),
    (7, "RUN --mount=type=bind,from=0,target=/t use", "done", "instruction changed", 2.0, 7),
]


def board(source=SOURCE, *, lines=True):
    made = BuildBoard(source, "engine")
    for index, instruction, state, reason, seconds, line in STEPS:
        at = line if lines else 0
        made.take(BuildProgress(index, 7, instruction, state, at, at, reason=reason, seconds=seconds))
    made.ended = "Built web:latest (abc): 5 steps, 2 from the cache, 2.10 s"
    return made


def cells(sheet):
    return [[cell if isinstance(cell, str) else cell.text for cell in row] for row in sheet.sections[0].rows]


def test_each_step_tells_its_stage_what_happened_why_and_how_long_it_took():
    sheet = build_sheet(board())
    text = check_static(sheet.html())
    assert sheet.sentence == "Built web:latest (abc): 5 steps, 2 from the cache, 2.10 s."
    assert [
        "the image",
        "RUN --mount=type=bind,from=0,target=/t use",
        "✓ built: instruction changed",
        "2.00 s",
        "",
        "line 7",
    ] in cells(sheet)
    assert ["tests", "RUN check", "· not built", "", "", ""] in cells(sheet)
    assert "RUN make <x>" in text
    assert "A stage that the image does not need is not built." in text
    assert "From the first step on that had to be done anew" in text


def test_stages_stand_after_what_they_take_from():
    graph = build_sheet(board()).graph
    columns = {box.node.key: box.node.column for box in graph.nodes}
    assert columns == {"image busybox": 0, "image other": 0, "stage 0": 1, "stage 1": 1, "stage 2": 2}
    taken = {(line.source, line.target, line.target_row) for line, _ in graph.lines}
    assert taken == {
        ("image busybox", "stage 0", 0),
        ("image busybox", "stage 1", 0),
        ("image other", "stage 2", 0),
        ("stage 0", "stage 2", 1),
        ("stage 0", "stage 2", 2),
    }
    words = {box.node.key: box.node.words for box in graph.nodes}
    assert words["stage 1"] == "tests was not built: nothing in the image needs it."
    assert words["stage 2"].endswith("begins with other, takes files from tools.")


def test_steps_of_a_daemon_that_tells_no_lines_are_found_by_their_instructions():
    assert cells(build_sheet(board(lines=False)))[1][2] == "↺ from the cache"


@pytest.mark.parametrize("source", ["", "NOT A DOCKERFILE"])
def test_without_the_dockerfile_the_instructions_of_the_steps_make_the_graph(source):
    titles = [box.node.title for box in build_sheet(board(source)).graph.nodes]
    assert {"tools", "the image", "busybox"} <= set(titles)


def test_lines_lead_around_the_boxes_between():
    nodes = [Node("a", 0, "a"), Node("b", 1, "b"), Node("c", 2, "c")]
    graph = lay_out(nodes, [Line("a", "b"), Line("b", "c"), Line("a", "c")])
    boxes = {box.node.key: box for box in graph.nodes}
    assert set(boxes) == {"a", "b", "c"}
    path = graph.lines[2][1]
    level = float(path.split("L")[1].split("C")[0].split()[1])
    assert not boxes["b"].y <= level <= boxes["b"].y + boxes["b"].height


def test_the_latest_build_of_a_notebook_is_remembered_also_where_nothing_is_drawn(shell):
    magics = shell.magics_manager.registry["DockMagic"]
    with pytest.raises(DockerError, match="nothing was built in this notebook yet"):
        shell.run_line_magic("builder", "graph")
    output = NotebookOutput(draws=False, keep=magics.session.keep_build)
    output.step(BuildProgress(1, 1, "FROM busybox", "done"))
    output.finish(BuildResult(id="sha256:" + "f" * 64, tags=["x"]))
    assert str(shell.run_line_magic("builder", "graph")).startswith("Build graph: Built x (ffffffffffff): 1 step")
