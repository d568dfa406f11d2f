"""Every malformed cell gets one sentence, a next step, and an error output: no traceback, nothing on standard error."""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from support.engine import engine

from pydockmagic.notebook.advice import advice
from pydockmagic.notebook.cells import CellCommand, commands_of, content_of, first_line, is_stub
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.transform import transform

# An older IPython takes such dots for the prompt of a transcript, and takes them away.
DOTS = "..." in TransformerManager().transform_cell("%%docker\n...\n")
STUB = "# YOUR CODE HERE\nraise NotImplementedError()\n"
COMPOSE = "services:\n  web:\n    image: busybox\n"
DOCKERFILE = "FROM busybox\nRUN true\n"
NO_SHELL = "a docker line is run by no shell, so {} has no meaning in it"
LINES_BELOW = "%%docker runs docker commands, one a line"

CELLS = [
    # nothing
    *[(f"%{magic}", f"%{magic} needs a command", "--help tells of all") for magic in
      ("docker", "container", "image", "network", "volume", "system", "builder", "context")],
    ("%docker container", "%docker container needs a command", "%docker container --help"),
    ("%docker # docker ps", "%docker needs a command", "%docker ps"),
    ("%layers", "%layers requires 1 or 2 arguments.", "%layers IMAGE IMAGE"),
    ("%inside", "%inside requires exactly 1 argument.", "%inside CONTAINER"),
    ("%%docker", "%%docker needs commands in the lines below it", "%docker runs one"),
    ("%%docker\n# only a comment\n", "%%docker needs commands in the lines below it", "one a line"),
    ("%%container", "%%container needs a command that reads the cell", "%%container run -i"),
    ("%%container\n\n", "%%container needs a command that reads the cell", "%%container run -i"),
    ("%%image\nls\n", "%%image needs a command that reads the cell", LINES_BELOW),
    ("%%container run -i busybox\n\n", "the cell below docker container run is empty", "%container run -i busybox"),
    ("%%dockerfile", "not answered yet: the Dockerfile goes into the lines below", ""),
    ("%%dockerfile -t x\n\n", "not answered yet: the Dockerfile goes into the lines below", ""),
    # left by graders
    *[(f"%{magic} ...", "not answered yet: write a docker command in the place of ...", "") for magic in
      ("docker", "container", "network", "layers", "states", "inside", "engine")],
    (f"%%docker\n{STUB}", "not answered yet: write docker commands", ""),
    (f"%%docker\nimage ls\n{STUB}", "not answered yet: write docker commands", ""),
    ("%%docker\n...\n", "not answered yet: write docker commands" if DOTS else "%%docker needs commands", ""),
    (f"%%container run -i busybox sh\n{STUB}", "not answered yet: write the program's input", ""),
    (f"%%dockerfile -t x\nFROM busybox\n{STUB}", "not answered yet: write a Dockerfile", ""),
    ("%%dockerfile -t x\nFROM busybox\n...\n", "not answered yet: write a Dockerfile", ""),
    ("%docker run ...", "docker: invalid reference format", "put what you mean in the place of ..."),
    ("%docker run <image>", "docker: invalid reference format", "put what you mean in the place of <image>"),
    # the wrong form
    *[(f"%%{magic} ls\nx\n", f"%%{magic} takes no cell", f"%{magic} ls is a line of its own") for magic in
      ("network", "volume", "builder", "context", "layers", "states", "inside", "engine")],
    ("%%system\ndf\n", "%%system takes no cell", "%%sx runs a shell script"),
    ("%dockerfile -t x", "%dockerfile has one percent sign too few", "%%dockerfile -t x in the first line"),
    ("%dockerfile -t x\nFROM busybox\n", "%dockerfile has one percent sign too few", "%%dockerfile -t x"),
    ("%docker\nps -a\n", "%docker has one percent sign too few", "%%docker in the first line"),
    ("# build it\n%%dockerfile -t x\nFROM busybox\n", "%%dockerfile is not the first line of its cell", "put it there"),
    ("%contaner ls", "%contaner is no magic", "Did you mean %container?"),
    ("x = %contaner ls", "%contaner is no magic", "Did you mean %container?"),
    ("%images", "%images is no magic", "Did you mean %docker images?"),
    ("%ps -a", "%ps is no magic", "Did you mean %docker ps?"),
    ("x = 1\n%volumes ls", "%volumes is no magic", "Did you mean %volume?"),
    ("%%Dockerfile -t x\nFROM busybox\n", "%%Dockerfile is no magic", "Did you mean %%dockerfile?"),
    ("%%dokcer\nps\n", "%%dokcer is no magic", "Did you mean %%docker?"),
    ("%layers \u2014files x y", "%layers requires 1 or 2", "an em dash (U+2014)"),
    ("%inside <container> x", "%inside requires exactly 1 argument", "in the place of <container>"),
    ("x = %dockerfile -t x", "%%dockerfile is the first line of a cell, and no value", "_ is its result"),
    ("x = %%container run -i busybox", "%%container is the first line of a cell", "x = %container ... keeps"),
    ("  %dockerfile -t x", "%dockerfile has one percent sign too few", "%%dockerfile -t x in the first line"),
    ("  %%docker\nnosuch\n", "docker: unknown command: docker nosuch", "%docker --help"),
    ("  %%network ls\n  x\n", "%%network takes no cell", "%network ls is a line of its own"),
    ("\ufeffx = %docker nosuch", "docker: unknown command: docker nosuch", "%docker --help"),
    ("if True:\n    %docker\tnosuch\n", "docker: unknown command: docker nosuch", "%docker --help"),
    # the wrong content
    (f"%%docker\n{DOCKERFILE}", "this cell is a Dockerfile", "%%dockerfile -t NAME builds"),
    (f"%%container\n{DOCKERFILE}", "this cell is a Dockerfile", "%%dockerfile -t NAME builds"),
    (f"%%container run -i busybox sh\n{DOCKERFILE}", "this cell is a Dockerfile", "%%dockerfile -t NAME builds"),
    (f"%%image build -t x .\n{DOCKERFILE}", "docker image build reads no input", "%%dockerfile -t NAME builds"),
    (f"%%docker\n{COMPOSE}", "this cell is a Compose file", "compose.yaml"),
    (f"%%container\n{COMPOSE}", "this cell is a Compose file", "compose.yaml"),
    (f"%%dockerfile -t x\n{COMPOSE}", "this cell is a Compose file", "compose.yaml"),
    ("%%dockerfile -t x\nrun --rm busybox true\n", "this cell holds docker commands", LINES_BELOW),
    ("%%dockerfile -t x\n$ docker build .\n", "this cell holds docker commands", LINES_BELOW),
    ("%%dockerfile -t x\n%docker ps\n", "a %%dockerfile cell is a Dockerfile and nothing else", "%docker ps into a"),
    ("%%container ls\nx\n", "docker container ls reads no input", "%container ls, and the cell below it apart"),
    ("%%container run busybox sh\nls\n", "docker container run, which reads it only with -i", "run -i busybox sh"),
    # a shell's
    ("%%docker\ncd site\nps\n", "docker: unknown command: docker cd", "%cd FOLDER changes the folder"),
    ("%%docker\nTAG=1\n", "docker: unknown command: docker TAG=1", "{TAG} in a docker line"),
    ("%%docker\nfor i in 1 2\n", "docker: unknown command: docker for", "for is a shell's: !COMMAND"),
    ("%docker ps | grep x", NO_SHELL.format("|"), "takes a script with pipes"),
    ("%docker ps && docker images", NO_SHELL.format("&&"), "one a line"),
    ("%%docker\nps ; images\n", NO_SHELL.format(";"), "one a line"),
    ("%docker ps; images", "docker: unknown command: docker ps;", "; has no meaning in it"),
    ("%docker ps > list.txt", NO_SHELL.format(">"), "x.stdout"),
    ("%docker ps 2>/dev/null", NO_SHELL.format("2>/dev/null"), "x.stdout"),
    ("%docker run busybox httpd &", NO_SHELL.format("&"), "run -d"),
    ("%%docker\nbuild - <<EOF\nFROM x\nEOF\n", NO_SHELL.format("<<EOF"), "%%dockerfile builds the cell"),
    ("%docker rm $(docker ps -aq)", "unknown shorthand flag: 'a' in -aq)", "ids = %container ls -aq"),
    ("%docker rm `docker ps -aq`", "unknown shorthand flag: 'a' in -aq`", "ids = %container ls -aq"),
    # copied from elsewhere
    ("%docker docker images", "docker: unknown command: docker docker", "leave docker out: %docker images"),
    ("%docker $ docker ps", "docker: unknown command: docker $", "leave $ docker out: %docker ps"),
    ("%docker !docker ps", "docker: unknown command: docker !docker", "leave !docker out: %docker ps"),
    ("%docker sudo docker ps", "docker: unknown command: docker sudo", "leave sudo docker out: %docker ps"),
    ("%container docker container ls", "docker: unknown command: docker container docker", "out: %container ls"),
    ("%container container ls", "docker: unknown command: docker container container", "out: %container ls"),
    ("%image docker ps", "docker: unknown command: docker image docker", "leave docker out: %docker ps"),
    ("%docker %container ls", "docker: unknown command: docker %container", "one magic is enough: %container ls"),
    ("%%docker\n%container ls\n", "docker: unknown command: docker %container", "leave % out: container ls"),
    ("%%docker\n%docker ps\n", "docker: unknown command: docker %docker", "leave %docker out: ps"),
    # characters
    ("%docker ps \u2014all", "docker: 'docker ps' accepts no arguments", "an em dash (U+2014), options with"),
    ("%docker ps \u2013a", "docker: 'docker ps' accepts no arguments", "(U+2013), options with a hyphen: -a"),
    ("%docker run \u2014rm busybox", "docker: invalid reference format", "with a hyphen: --rm"),
    ("%docker ps --format \u201c{{.ID}}\u201d", "\u201c does not quote anything", "type them anew"),
    ("%docker ps --filter name=\u2018x\u2019", "\u2018 does not quote anything", "type them anew"),
    ("%docker ps\u00a0-a", "docker: unknown command: docker ps\u00a0-a", "after ps (no-break space, U+00A0)"),
    ("%docker \u043fs", "docker: unknown command: docker \u043fs", "cyrillic small letter pe"),
    ("%docker run B\u00dcSYBOX", "docker: invalid reference format", "small"),
    ("\ufeff%docker nosuch", "docker: unknown command: docker nosuch", "%docker --help"),
    ("\ufeff%%docker\nnosuch\n", "docker: unknown command: docker nosuch", "%docker --help"),
    ("%docker\u00a0nosuch", "docker: unknown command: docker nosuch", "%docker --help"),
    ("%docker\tnosuch", "docker: unknown command: docker nosuch", "%docker --help"),
    ("x = 1\n%docker\tnosuch", "docker: unknown command: docker nosuch", "%docker --help"),
    ("%%docker\r\nimage --help\r\nrun \\\r\n  --nosuch\r\n", "unknown flag: --nosuch", "failed   line 2"),
    # what the grammar says
    ("%docker nosuch", "docker: unknown command: docker nosuch", "Run '%docker --help' for more information"),
    ("%docker rn busybox", "docker: unknown command: docker rn", "Did you mean 'docker run'?"),
    ("%docker PS", "docker: unknown command: docker PS", "Did you mean 'docker ps'"),
    ("%container strat x", "docker: unknown command: docker container strat", "'docker container start'"),
    ("%container pull x", "docker: unknown command: docker container pull", "Did you mean 'docker image pull'?"),
    ("%engine strt", "docker: unknown command: docker engine strt", "'docker engine start'"),
    ("%network lss", "docker: unknown command: docker network lss", "'docker network ls'"),
    ("%docker ps --nosuch", "unknown flag: --nosuch", "Usage:  docker ps [OPTIONS]"),
    ("%docker ps --al", "unknown flag: --al", "Did you mean --all?"),
    ("%docker run --detatch busybox", "unknown flag: --detatch", "Did you mean --detach"),
    ("%docker ps -y", "unknown shorthand flag: 'y' in -y", "Run '%docker ps --help'"),
    ("%docker --nosuch", "unknown flag: --nosuch", "Usage:  docker [OPTIONS] COMMAND [ARG...]"),
    ("%docker ps extra", "docker: 'docker ps' accepts no arguments", "Usage:  docker ps"),
    ("%docker rename a", "docker: 'docker rename' requires 2 arguments", "Usage:  docker rename"),
    ("%docker rm", "docker: 'docker rm' requires at least 1 argument", "Usage:  docker rm"),
    ("%engine use a b", "docker: 'docker engine use' requires 1 argument", "embedded|CONTEXT|URL"),
    ("%layers --nosuch x", "%layers requires 1 or 2 arguments.", "%layers IMAGE IMAGE"),
    ("%states --x", "%states takes names of containers only.", "%states [CONTAINER...]"),
    ("%container board --x", "unknown flag: --x", "Usage:  docker container board"),
    *[(f"%{magic} 'x", "no closing quotation: the ' at column 1 is never closed", "Close it") for magic in
      ("docker", "container", "layers", "states", "inside", "engine")],
    ("%docker ps \\", "nothing follows the backslash at the end of the line", "Remove it"),
    ("%%docker\nps 'a\nps\n", "no closing quotation: the ' at column 4 is never closed", "not run  line 2"),
    ("%%dockerfile -t 'x\nFROM busybox\n", "no closing quotation: the ' at column 4 is never closed", "Close it"),
    ("%%dockerfile -t x --context\nFROM busybox\n", "flag needs an argument: --context", "--context FOLDER"),
    ("%docker ps {nosuch}", "name 'nosuch' is not defined", "{{...}}"),
    ("%docker run --memory lots busybox", 'invalid argument "lots" for "-m, --memory" flag', "Usage:  docker run"),
    ("%docker run -p 99999:1 busybox", "docker: invalid hostPort: 99999", "-p HOST:CONTAINER"),
    ("%docker ps --format '{{'", "failed to parse template", "{{json .}}"),
    ("%docker compose up", "docker: unknown command: docker compose", "docker-compose"),
    ("%docker run -it busybox sh", "the input device is not a TTY", "%%container run -i IMAGE sh"),
    ("%docker " + "x" * 100_000, "docker: unknown command: docker xxx", "%docker --help"),
    ("%docker ps" + " --nosuch" * 20_000, "unknown flag: --nosuch", "Usage:"),
]  # fmt: skip

ON_AN_ENGINE = [
    ("%inside .", "Error response from daemon: No such container: .", "%container ls -a"),
    ("%container logs ..", "Error response from daemon: No such container: ..", "%container ls -a"),
    ("%volume inspect .", "Error response from daemon: get .: no such volume", "%volume ls"),
    ("%docker start web\u00fc", "Error response from daemon: No such container: web\u00fc", "%container ls -a"),
    ("%container logs nosuch", "Error response from daemon: No such container: nosuch", "%container ls -a"),
    ("%network inspect nosuch", "Error response from daemon: network nosuch not found", "%network ls"),
    ("%volume inspect nosuch", "Error response from daemon: get nosuch: no such volume", "%volume ls"),
    ("%image tree nosuch", "Error response from daemon: No such image: nosuch:latest", "%image ls"),
    ("%docker ps --filter a=b", "Error response from daemon: Invalid filter 'a'", "--filter NAME=VALUE"),
    ("%docker stop \u2014time 1", "Error response from daemon: No such container: \u2014time", "a hyphen: --time"),
    ("%docker rm " + "x" * 100_000, "a name of 100,0", "names are short"),
    ("%docker build nosuchdir", "unable to prepare context", "the last word is the folder"),
    ("%%dockerfile -t x\nFROM busybox\nRUN\u00a0true\n", "dockerfile parse error line 2", "no-break space"),
    ("%%dockerfile -t x\nprint(1)\n", "Error response from daemon: dockerfile parse", "begins with FROM IMAGE"),
    ("%%dockerfile -t x\nFROM busybox\nRUN echo \0\n", "invalid JSON: a text holds a NUL", "an escape"),
    ("%%docker\nimage ls\nrm nosuch\nps\n", "Error response from daemon: No such container: nosuch",
     "done     line 1  image ls\nfailed   line 2  rm nosuch\nnot run  line 3  ps"),
]  # fmt: skip


def refused(shell, capsys, cell, sentence, step):
    result = shell.run_cell(cell)
    shown, errors = capsys.readouterr()
    error = result.error_in_exec or result.error_before_exec
    about = cell[:80]  # some are of a hundred thousand characters
    assert isinstance(error, DockerError), (about, error)
    assert sentence in str(error), about
    assert step in error.hint, about
    assert "Traceback" not in shown, about
    assert len(shown) < 6000, about
    assert errors == "", about


def test_a_malformed_cell_gets_a_sentence_and_the_next_step(shell, capsys, tmp_path):
    magics = shell.magics_manager.registry["DockMagic"]
    magics.engine = f"unix://{tmp_path}/nobody.sock"  # whoever asks a daemon for these is found out
    for cell, sentence, step in CELLS:  # in one shell: making one anew for each takes longer than all of them
        refused(shell, capsys, cell, sentence, step)


@pytest.mark.root
def test_what_only_the_engine_knows_is_dockers_sentence_and_the_next_step(shell, capsys, tmp_path, monkeypatch):
    (tmp_path / "notebook").mkdir()
    monkeypatch.chdir(tmp_path / "notebook")
    with engine(tmp_path) as address:
        shell.magics_manager.registry["DockMagic"].engine = address
        for cell, sentence, step in ON_AN_ENGINE:
            refused(shell, capsys, cell, sentence, step)


WORDS = [
    "ps",
    "ls",
    "run",
    "rm",
    "exec",
    "inspect",
    "build",
    "pull",
    "-a",
    "-q",
    "--format",
    "{{.Names}}",
    "--filter",
    "name=x",
    "-f",
    "--help",
    "-h",
    "--",
    "-",
    "busybox",
    "nosuch",
    "{x}",
    "{nosuch}",
    "$HOME",
    "$(x)",
    "`x`",
    "|",
    ">",
    "&&",
    ";",
    "...",
    "—rm",
    "“q”",
    "<c>",
    "docker",
    "$",
    "sudo",
    "%docker",
    "#",
    "\\",
    "'",
    '"',
    "-it",
    "-d",
    "-v",
    "./x",
    ".",
    "FROM",
    "RUN",
    "\u200b",
    "\xa0",
    "map",
    "graph",
    "--type",
    "image",
    "?",
    "\ufeff",
    "3",
    "{}",
    "''",
    "..",
]
LINES = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
HEADS = st.tuples(
    st.sampled_from(["", " ", "\n", "\ufeff", "# c\n", "x = 1\n"]),
    st.sampled_from(["%", "%", "%%", "x = %"]),
    st.sampled_from(
        ["docker", "container", "image", "network", "layers", "states", "inside", "dockerfile", "contaner"]
    ),
).map("".join)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the HTTP library's, of those that could not
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=HEADS, line=LINES, below=st.lists(LINES, max_size=3))
def test_whatever_stands_in_a_cell_of_ours_it_ends_well_or_in_an_error_of_ours(shell, head, line, below):
    shell.magics_manager.registry["DockMagic"].engine = "unix:///nowhere/nobody.sock"
    shell.user_ns["x"] = "val"
    shown, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(errors):
        result = shell.run_cell("\n".join([f"{head} {line}", *below]) + ("\n" if below else ""))
    error = result.error_before_exec or result.error_in_exec
    python = isinstance(error, SyntaxError | NameError | TypeError) and "%%" not in head and below
    assert error is None or isinstance(error, DockerError) or python
    assert "Traceback" not in shown.getvalue() or python
    assert errors.getvalue() == ""


SAMPLES = [
    "%%docker",
    "%container",
    "%%network ls\nx",
    "%docker nosuch",
    "%docker ps 'a",
    f"%%docker\n{STUB}",
    "%layers",
]


@pytest.mark.filterwarnings("default")  # what Jupyter's own client warns of is not ours to fix
@pytest.mark.parametrize("kernel", ["python3", "pydockmagic"])
def test_in_a_kernel_it_is_an_error_output_and_nothing_else(kernel, tmp_path, monkeypatch):
    spec = json.loads((Path(__file__).resolve().parents[2] / "kernelspec" / "kernel.json").read_text())
    spec["argv"][0] = sys.executable
    folder = tmp_path / "jupyter" / "kernels" / "pydockmagic"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDOCK_HOST", f"unix://{tmp_path}/nobody.sock")
    typed = [
        "nosuch",
        "docker docker ps",
        "ps | grep x",
        STUB,
        COMPOSE,
        "run 'x",
        "$ docker ps",
        "container",
        "%docker ps\nps",
    ]
    code = SAMPLES + (typed if kernel == "pydockmagic" else [])
    cells = [nbformat.v4.new_code_cell(each) for each in ["%load_ext pydockmagic", *code]]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": kernel, "display_name": kernel}})
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    for cell in notebook.cells[1:]:
        assert [(output.output_type, output.get("ename")) for output in cell.outputs] == [("error", "DockerError")], (
            cell
        )
        assert len(cell.outputs[0].traceback) <= 2


@pytest.mark.conformance
def test_where_the_docker_command_has_a_sentence_it_is_ours(shell, tmp_path, monkeypatch):
    import shlex
    import subprocess

    docker = shutil.which("docker")
    assert docker, "the docker command is not installed"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    compared = 0
    for cell, sentence, _ in CELLS:
        line = cell.removeprefix("%docker ")
        if line == cell or len(line) > 1000 or not sentence.startswith(("docker:", "unknown", "invalid", "failed")):
            continue
        if "compose" in line:
            continue  # a plugin, where it is installed
        run = subprocess.run([docker, *shlex.split(line)], capture_output=True, text=True, check=False, timeout=30)
        error = shell.run_cell(cell).error_in_exec
        assert run.stderr.partition("\n")[0] == str(error).partition("\n")[0], cell
        compared += 1
    assert compared > 15


# --- reading cells ----------------------------------------------------------------------------------------------------


def test_the_commands_of_a_cell_are_its_lines_as_a_shell_reads_them():
    cell = (
        "# first\nimage ls\n\n  docker run --rm busybox \\\n    echo one  # said\nps -a # it's all\n"
        "run busybox sh -c '\n  echo a\n  echo b'\nps"
    )
    assert commands_of(cell) == [
        CellCommand(2, "image ls"),
        CellCommand(4, "docker run --rm busybox \\\n    echo one  # said"),
        CellCommand(6, "ps -a # it's all"),
        CellCommand(7, "run busybox sh -c '\n  echo a\n  echo b'"),
        CellCommand(10, "ps"),
    ]


@given(st.lists(st.sampled_from(["ps", "'", '"', "\\", "#", " ", "\n", "a b"]), max_size=12).map("".join))
def test_every_line_of_a_cell_is_in_one_command_or_says_nothing(cell):
    commands = commands_of(cell)
    lines = cell.split("\n")
    covered = [number for each in commands for number in range(each.line, each.line + each.text.count("\n") + 1)]
    assert len(covered) == len(set(covered))
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            assert number in covered


@pytest.mark.parametrize(
    ("cell", "stub"),
    [
        (STUB, True),
        ("FROM busybox\n    # YOUR CODE HERE\n    raise NotImplementedError()\n", True),
        ("raise NotImplementedError()", True),
        ("...", True),
        ("# fill in\n...\n", True),
        ("", False),
        ("class Base:\n    def run(self):\n        raise NotImplementedError()\n", False),
        ("def f(): ...\nprint(...)\n", False),
        ("ls ...\n", False),
    ],
)
def test_a_stub_is_told_from_a_program_that_only_looks_like_one(cell, stub):
    assert is_stub(cell) is stub


def test_what_a_cell_is_is_told_by_its_first_line():
    assert first_line("\n# a comment\n# syntax=docker/dockerfile:1\nFROM x") == "# syntax=docker/dockerfile:1"
    assert [content_of(each) for each in (DOCKERFILE, COMPOSE, "ps -a", "%layers x", "# nothing")] == [
        "dockerfile", "compose", "other", "magic", "empty",
    ]  # fmt: skip


@given(st.text(alphabet="%docker ifle\n\t\ufeff\"'?x="))
def test_cells_that_are_not_ours_reach_ipython_as_they_are(text):
    lines = ("y = 1\n" + text).splitlines(keepends=True)
    changed = transform(lines)
    if not any(line.lstrip(" \t").startswith("%") or "%docker" in line for line in lines):
        assert changed == lines


def test_a_text_in_python_that_only_quotes_a_magic_is_left_alone():
    lines = ['text = """\n', "%%docker\n", "%docker\tps\n", '"""\n']
    assert transform(lines) == lines
    assert transform(["%%writefile x\n", "%%docker\n"]) == ["%%writefile x\n", "%%docker\n"]
    assert transform(["%%docker?\n"]) == ["%%docker?\n"]


def test_a_line_that_is_written_well_gets_no_advice():
    for line in ("ps -a", "run --rm -e A=1 busybox sh -c 'a; b | c $(d)'", "run -p 1:2 x", "exec web ls -l \u00e4"):
        assert advice(line, "docker") == ""
