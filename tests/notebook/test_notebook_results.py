import pytest
from support.markup_check import check_static

from pydockmagic.commands import BuildResult, BuildStep, InspectResult, Result, RunResult, TableResult
from pydockmagic.notebook.results import represent

TABLE = TableResult(
    stdout="NAMES     STATUS\nweb       Up <1 second\n",
    rows=[{"Names": "web", "Status": "Up <1 second"}],
    columns=[("Names", "NAMES"), ("Status", "STATUS")],
)


def test_a_list_is_a_table_with_dockers_own_text_beside_it():
    forms = represent(TABLE, "embedded engine")
    assert forms["text/plain"] == "NAMES     STATUS\nweb       Up <1 second"
    assert check_static(forms["text/html"]) == "NAMESSTATUSwebUp <1 second1 row · embedded engine"


def test_a_result_is_its_lines():
    result = Result(stdout="one\ntwo\r\n\n")
    assert list(result) == result.lines == ["one", "two", ""]
    assert (len(result), result[0], result[-1], result[:2], "two" in result) == (3, "one", "", ["one", "two"], True)
    assert (Result().lines, bool(Result()), len(Result())) == ([], True, 0)
    assert Result(stdout="one\n") == Result(stdout="one\n", streamed=True) != Result(stdout="one\n", exit_code=1)


def test_a_result_of_json_is_data():
    assert Result(stdout='{"a": [1]}\n').json() == {"a": [1]}
    assert Result(stdout='{"a": 1}\n{"a": 2}\n').json() == [{"a": 1}, {"a": 2}]
    with pytest.raises(ValueError, match="Expecting value"):
        Result(stdout="no\n").json()


def test_a_list_is_its_rows_and_a_key_gives_a_column():
    assert TABLE["Names"] == ["web"]
    assert TABLE[:1] == TABLE.rows == list(TABLE)
    assert (len(TABLE), bool(TABLE), bool(TableResult())) == (1, True, False)
    with pytest.raises(KeyError):
        TABLE["Nosuch"]


def test_inspect_is_data_and_a_data_frame_of_paths():
    found = InspectResult(data=[{"Name": "a", "State": {"Pid": 1}}, {"Name": "b", "State": {"Pid": 2}}])
    assert (found["Name"], found[1]["Name"], [each["Name"] for each in found]) == ("a", "b", ["a", "b"])
    assert list(found.to_pandas()["State.Pid"]) == [1, 2]
    with pytest.raises(KeyError):
        InspectResult()["Name"]


def test_inspect_is_a_tree():
    forms = represent(InspectResult(stdout='[{"Id": "x"}]\n', data=[{"Id": "x", "Tags": ["<b>"]}]))
    assert "<b>" in check_static(forms["text/html"])


def test_a_build_that_is_looked_at_again_shows_its_steps():
    steps = [BuildStep(1, 1, "FROM busybox", "done", 1, 1)]
    forms = represent(BuildResult(stdout="Step 1/1 : FROM busybox\n", id="sha256:" + "a" * 64, steps=steps))
    assert "FROM busybox" in check_static(forms["text/html"])


def test_plain_text_has_no_html_as_long_as_everybody_knows_the_engine():
    assert represent(Result(stdout="web\n")) == {"text/plain": "web"}


def test_another_engine_is_named_under_every_result():
    forms = represent(Result(stdout="web\n"), "tcp://10.0.0.1:2376", embedded=False)
    assert "tcp://10.0.0.1:2376" in check_static(forms["text/html"])


def test_nothing_to_see_shows_nothing():
    assert represent(Result()) == {}


@pytest.fixture
def ran(shell):
    """Make the next docker commands give these results."""
    magics = shell.magics_manager.registry["DockMagic"]

    def give(result, drew=False):
        class Output:
            drew_build, drew_pull = drew, False

        def run(words, stdin=None):
            return magics._shown(result, Output())

        magics.run = run

    return give


def test_what_was_streamed_is_not_shown_twice(shell, capture, ran):
    ran(RunResult(stdout="one\n", streamed=True))
    with capture as captured:
        shell.run_cell("%docker run busybox echo one")
    assert captured.displays == []


def test_what_was_streamed_is_shown_when_it_is_looked_at_again(shell, capture, ran):
    ran(RunResult(stdout="one\n", streamed=True))
    with capture as captured:
        shell.run_cell("x = %docker run busybox echo one")
        shell.run_cell("x")
    assert captured.texts() == ["one"]


def test_an_exit_code_that_is_not_zero_is_told(shell, capture, ran):
    ran(RunResult(exit_code=3, streamed=True))
    with capture as captured:
        shell.run_cell("%docker run busybox sh -c 'exit 3'")
    assert captured.texts() == ["exit code 3"]


def test_a_result_that_goes_into_a_variable_is_not_shown(shell, capture, ran):
    ran(TABLE)
    with capture as captured:
        shell.run_cell("x = %docker ps")
    assert captured.displays == []
    assert shell.user_ns["x"][0]["Names"] == "web"
