import gc
import subprocess
import sys
import threading

import pytest
from IPython.core.completer import provisionalcompleter
from support.daemon import socket_daemon

from pydockmagic.commands import Result
from pydockmagic.notebook.cells import CellCommand
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.running import take_context, what_was_done
from pydockmagic.notebook.session import guarded

NAMES = {"docker", "container", "image", "network", "volume", "system", "layers", "states", "engine"}


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("PYDOCK_ROOT", str(tmp_path))
    monkeypatch.delenv("PYDOCK_HOST", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)


# The HTTP library leaves a socket that could not connect to the garbage collector.
forgets_sockets = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def nobody(tmp_path):
    """The address of a daemon that is not there."""
    yield f"unix://{tmp_path}/nobody.sock"
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)
    gc.collect()


def completions(shell, text):
    with provisionalcompleter():
        return {each.text for each in shell.Completer.completions(text, len(text))}


def run(shell, code):
    result = shell.run_cell(code)
    result.raise_error()
    return result.result


def test_loading_registers_all_magics(shell):
    magics = shell.magics_manager.magics
    assert set(magics["line"]) >= NAMES
    assert {"docker", "container", "image", "dockerfile"} <= set(magics["cell"])


def test_unloading_takes_them_away_and_gives_ipython_its_own_back(shell):
    shell.run_line_magic("unload_ext", "pydockmagic")
    magics = shell.magics_manager.magics
    assert not (NAMES - {"system"}) & set(magics["line"])
    assert "pydockmagic" not in getattr(magics["line"]["system"], "__module__", "")
    assert not [each for each in shell.Completer.custom_matchers if type(each).__module__.startswith("pydockmagic")]
    shell.run_line_magic("load_ext", "pydockmagic")


def test_loading_twice_leaves_one_of_each(shell):
    shell.run_line_magic("reload_ext", "pydockmagic")
    ours = [each for each in shell.Completer.custom_matchers if type(each).__module__.startswith("pydockmagic")]
    assert len(ours) == 1
    assert sum(type(each).__name__ == "DockMagic" for each in shell.configurables) == 1


def test_every_setting_has_help(shell):
    magics = shell.magics_manager.registry["DockMagic"]
    assert all(trait.help for trait in magics.traits(config=True).values())
    assert set(magics.traits(config=True)) == {"check", "engine", "lines", "live", "logs", "patience", "updates"}


def test_loading_starts_nothing_and_imports_nothing_heavy():
    code = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.history_manager.enabled = False
shell.run_line_magic("load_ext", "pydockmagic")
heavy = {"httpx", "anywidget", "ipywidgets", "click", "yaml", "pydockmagic.client",
         "pydockmagic.commands", "pydockmagic.engine"}
print(sorted(heavy & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_error_is_one_line_without_a_traceback(shell, capsys):
    result = shell.run_cell("%docker nosuch")
    assert isinstance(result.error_in_exec, DockerError)
    out, err = capsys.readouterr()
    assert "docker: unknown command: docker nosuch" in out
    assert "Traceback" not in out
    assert err == ""


def test_a_template_and_a_shell_variable_reach_docker_untouched(shell):
    seen = []
    magics = shell.magics_manager.registry["DockMagic"]
    magics.run = lambda words, stdin=None: seen.append((words, stdin))
    shell.user_ns["name"] = "web"
    shell.run_cell("%docker ps --format '{{.Names}}' --filter name={name} $NOSUCH")
    shell.run_cell("%%container run -i {name} sh\necho {{name}} $HOME {nosuch}\n")
    assert seen == [
        (["ps", "--format", "{{.Names}}", "--filter", "name=web", "$NOSUCH"], None),
        (["container", "run", "-i", "web", "sh"], b"echo {{name}} $HOME {nosuch}\n"),
    ]


def test_a_cell_that_nobody_would_read_is_refused(shell):
    with pytest.raises(DockerError, match="reads it only with -i") as caught:
        run(shell, "%%container run --rm busybox sh\necho one\n")
    assert caught.value.hint == "%%container run -i --rm busybox sh"


@pytest.mark.parametrize("stub", ["# YOUR CODE HERE\nraise NotImplementedError()\n", "...\n", "\n"])
def test_a_stub_says_that_it_is_not_answered_yet(shell, stub):
    with pytest.raises(DockerError, match="not answered yet"):
        run(shell, f"%%dockerfile -t web\n{stub}")


def test_an_interrupt_is_one_line_as_well(shell):
    with pytest.raises(DockerError, match=r"^interrupted$"), guarded():
        raise KeyboardInterrupt


def test_asking_for_the_engine_does_not_start_it(shell, tmp_path):
    report = run(shell, "%engine")
    assert "starts with the first command" in repr(report)
    assert not list(tmp_path.iterdir())


@forgets_sockets
def test_an_engine_that_cannot_be_reached_is_not_taken(shell, nobody):
    with pytest.raises(DockerError, match="Cannot connect to the Docker daemon at") as caught:
        run(shell, f"%engine use {nobody}")
    assert nobody in str(caught.value)
    assert "starts with the first command" in repr(run(shell, "%engine"))


@forgets_sockets
def test_an_engine_that_does_not_answer_is_named_with_the_next_step(shell, nobody):
    run(shell, f"%config DockMagic.engine = '{nobody}'")
    with pytest.raises(DockerError, match="Is the docker daemon running") as caught:
        run(shell, "%layers busybox")
    assert "%engine use embedded" in caught.value.hint


def test_context_may_be_given_either_way():
    assert take_context(["-t", "web", "--context", "site"]) == (["-t", "web"], "site")
    assert take_context(["--context=site", "-q"]) == (["-q"], "site")
    assert take_context(["-t", "web"]) == (["-t", "web"], None)
    with pytest.raises(DockerError, match="flag needs an argument: --context"):
        take_context(["--context"])


def test_a_long_docker_cell_tells_of_the_commands_around_the_one_that_failed():
    commands = [CellCommand(number, f"run {number}") for number in range(1, 21)]
    assert what_was_done(commands, 9).splitlines() == [
        "done     6 before these",
        *(f"done     line {number:>2}  run {number}" for number in (7, 8, 9)),
        "failed   line 10  run 10",
        *(f"not run  line {number:>2}  run {number}" for number in range(11, 17)),
        "not run  4 after these",
    ]
    assert what_was_done(commands[:1], 0) == ""


def test_a_docker_cell_stops_at_the_first_failure(shell):
    done = []
    magics = shell.magics_manager.registry["DockMagic"]

    def fake(words, stdin=None):
        done.append(words)
        if words == ["two"]:
            raise DockerError("no")
        return Result()

    magics.run = fake
    result = shell.run_cell("%%docker\none\ndocker two\nthree\n")
    assert isinstance(result.error_in_exec, DockerError)
    assert done == [["one"], ["two"]]
    assert result.error_in_exec.hint.splitlines() == [
        "done     line 1  one",
        "failed   line 2  docker two",
        "not run  line 3  three",
    ]


COMPLETIONS = [
    ("%docker contai", "container"),
    ("%container insp", "inspect"),
    ("%engine doc", "doctor"),
    ("x = %container run --na", "--name"),
    ("%%dockerfile --build-a", "--build-arg"),
    ("%%docker\nimage pru", "prune"),
    ("%container run \\\n  --na", "--name"),
    ("%%dockerfile -t x\nFROM busybox\nWORKD", "WORKDIR "),
    ("%container run --restart un", "unless-stopped"),
    ("%container run --restart=un", "unless-stopped"),
    ("%container run --pull ne", "never"),
    ("%container run --cap-add NET_A", "NET_ADMIN"),
    ("%container run --security-opt no", "no-new-privileges"),
    ("%container kill -s SIGK", "SIGKILL"),
    ("%container ls --format '{{.Na", "'{{.Names}}'"),
    ("%image ls --format js", "json"),
    ("%container ls --filter sta", "status="),
    ("%container ls -f status=pa", "status=paused"),
    ("%docker inspect --type vo", "volume"),
    ("%docker --conte", "--context"),
    ("%docker --context def", "default"),
    ("%context use def", "default"),
    ("%engine use emb", "embedded"),
    ("%layers --fi", "--files"),
    ("%layers --type im", "image"),
    ("%%dockerfile --con", "--context"),
    ("%%dockerfile --context si", "site/"),
    ("%%dockerfile --context=si", "site/"),
    ("%image build si", "site/"),
    ("%container run -v ./si", "./site/"),
    ("%container run --env-file site/.e", "site/.env"),
    ("%container cp ./si", "./site/"),
    ("%container run --env-file ~/si", "~/site/"),
]


def test_docker_lines_are_completed_from_the_grammar_and_from_files(shell, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / ".env").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for text, expected in COMPLETIONS:
        assert expected in completions(shell, text), text
    assert [each.name for each in tmp_path.iterdir()] == ["site"]  # completing has started nothing


def test_where_nothing_fits_a_docker_line_python_is_not_suggested(shell):
    assert completions(shell, "%container exec web pri") <= {"pri"}


def test_a_daemon_that_does_not_answer_is_not_waited_for(shell, tmp_path, monkeypatch):
    asked, over = threading.Event(), threading.Event()

    def silent(_path, _connection, _rest):
        asked.set()
        over.wait(30)

    monkeypatch.setattr(sys.modules["pydockmagic.commands.complete"], "_PATIENCE", 0.2)
    with socket_daemon(tmp_path / "silent.sock", silent) as daemon:
        magics = shell.magics_manager.registry["DockMagic"]
        magics.engine = daemon.address
        magics.session.client.ping()
        assert completions(shell, "%container stop we") <= {"we"}
        assert asked.is_set()
        over.set()


HELP = [
    ("%container run?", "Usage:  docker container run [OPTIONS] IMAGE"),
    ("%docker run?", "Usage:  docker run [OPTIONS] IMAGE"),
    ("%%container run?", "Usage:  docker container run [OPTIONS] IMAGE"),
    ("%image ls ?", "Usage:  docker image ls [OPTIONS]"),
    ("%docker container?", "Usage:  docker container COMMAND"),
    ("%container --help", "Usage:  docker container COMMAND"),
    ("%layers --help", "Usage:  %layers [--type image|container]"),
    ("%states --help", "Usage:  %states [CONTAINER...]"),
    ("%inside --help", "Usage:  %inside CONTAINER"),
    ("%context use --help", "Usage:  docker context use CONTEXT"),
    ("%engine use --help", "Usage:  docker engine use embedded|CONTEXT|URL"),
    ("%%dockerfile --help\nFROM x\n", "Usage:  docker build [OPTIONS] PATH"),
]


def test_help_is_asked_for_by_a_question_mark_or_by_dockers_option(shell, capture):
    with capture as captured:
        for cell, about in HELP:
            result = shell.run_cell(cell)
            result.raise_error()
            assert about in f"{result.result}{captured.texts()[-1:]}", cell


def test_a_magic_with_a_question_mark_says_what_it_is_for(shell, capsys):
    for name in NAMES | {"builder", "context", "inside"}:
        shell.run_cell(f"%{name}?")
        shown = capsys.readouterr().out
        assert "Docstring" in shown
        assert f"%{name}" in shown


def test_a_question_mark_at_the_end_of_an_argument_belongs_to_it(shell):
    seen = []
    shell.magics_manager.registry["DockMagic"].run = lambda words, stdin: seen.append((words, stdin))
    shell.run_cell("%docker run busybox echo why?")
    assert seen == [(["run", "busybox", "echo", "why?"], None)]


def test_other_lines_are_left_to_ipython(shell):
    shell.user_ns["container_names"] = []
    assert "container_names" in completions(shell, "container_na")


@pytest.mark.parametrize("noun", ["container", "network", "volume", "image", "builder"])
def test_displays_are_in_the_help_of_the_notebook_but_not_in_dockers(noun):
    from pydockmagic.commands import Context, execute, help_text

    assert "Displays:" in execute([noun, "--help"], Context(displays=True)).stdout
    assert "Displays:" not in help_text([noun])


def test_a_display_in_a_terminal_says_where_it_is_drawn():
    from pydockmagic.commands import CommandError, Context, execute

    with pytest.raises(CommandError, match="a notebook draws it with %container board"):
        execute(["container", "board"], Context())
