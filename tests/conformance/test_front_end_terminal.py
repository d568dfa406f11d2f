"""IPython without a notebook: in a terminal, for a single command, as a script, and as a shell of a program's own."""

import subprocess
import sys
import termios

import pytest
from support.engine import engine
from support.ipython import Terminal, environment

NO_TERMINAL = """the input device is not a TTY
leave -t out: %%container run -i IMAGE sh takes the cell's lines as input
"""
NOBODY = """WARNING! This will remove anonymous local volumes not used by at least one container.
Nobody can answer here: use --force to go on without the question.
"""

pytestmark = [pytest.mark.conformance, pytest.mark.root, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module")
def address(folder):
    with engine(folder) as address:
        yield address


@pytest.fixture(scope="module")
def terminal(folder, address):
    (folder / "work").mkdir()
    terminal = Terminal(folder / "work", address)
    terminal.cell("%load_ext pydockmagic")
    yield terminal
    terminal.close()


def test_progress_comes_as_dockers_own_lines(terminal):
    shown = terminal.cell("%docker pull busybox").splitlines()
    assert shown[0] == "Using default tag: latest"
    assert any(line.endswith(": Pull complete") for line in shown)
    shown = terminal.cell("%%dockerfile -t made\nFROM busybox\nRUN echo built > /built").splitlines()
    assert {"Step 1/2 : FROM busybox", "Step 2/2 : RUN echo built > /built", "Successfully tagged made:latest"} <= {
        *shown
    }


def test_what_was_shown_already_is_remembered_without_being_shown_again(terminal):
    assert terminal.cell("%container run --rm busybox sh -c 'echo out; echo err >&2'") == "out\nstderr | err"
    assert terminal.cell("_.stdout, _.stderr").endswith(r"('out\n', 'err\n')")
    assert terminal.cell("%container run --rm busybox sh -c 'exit 3'").endswith("exit code 3")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("%docker version", "API version:"),
        ("%docker ps -a", "CONTAINER ID"),
        ("%container run --name seen busybox true", ""),
        ("%container ls -a", "seen"),
        ("%container board", "seen"),
        ("%states seen", "exited"),
        ("%image ls", "REPOSITORY"),
        ("%image tree", "busybox"),
        ("%layers made", "RUN echo built > /built"),
        ("%layers made busybox", "busybox"),
        ("%network ls", "bridge"),
        ("%network map", "Who can reach whom"),
        ("%volume ls", "VOLUME NAME"),
        ("%volume map", "0 volumes"),
        ("%system df", "RECLAIMABLE"),
        ("%builder graph", "RUN echo built"),
        ("%context ls", "default"),
        ("%engine", "Storage"),
        ("%container run -d --name on busybox sleep 1000", ""),
        ("%inside on", "sleep 1000"),
        ("%%container exec -i on cat\nthe cell is the input", "the cell is the input"),
        ("%%docker\nstop -t 0 on\nrm on seen", "seen"),
        ("%container --help", "Manage containers"),
        ("%container?", "Manage containers"),
    ],
)
def test_every_magic_is_text_in_a_terminal(terminal, code, told):
    shown = terminal.cell(code)
    assert told.lower() in shown.lower()
    assert "Traceback" not in shown
    assert "object at 0x" not in shown
    assert "[3" not in shown  # what would be left of an escape sequence that nobody understood


def test_an_error_is_dockers_sentence(terminal):
    assert "Traceback" not in (shown := terminal.cell("%docker nosuch"))
    assert shown.splitlines()[0] == "docker: unknown command: docker nosuch"


def test_tab_completes_docker_words(terminal):
    terminal.keys("%docker image pru\t")
    terminal.until(lambda text: text.endswith("%docker image prune"))
    terminal.keys("\x15")
    terminal.until(lambda text: not text.endswith("prune"))


def test_a_terminal_is_the_containers_own_until_it_ends(terminal):
    before = termios.tcgetattr(terminal.child.child_fd)
    terminal.begin("%container run -it --name term busybox sh")
    terminal.until(lambda text: text.endswith("#"))
    terminal.keys("stty size; tty; echo $((6*7))\r")
    terminal.until(lambda text: text.endswith("120 120\n/dev/pts/0\n42\n/ #"))
    terminal.child.setwinsize(50, 100)
    terminal.keys("until [ \"$(stty size)\" = '50 100' ]; do sleep 0.1; done; echo smaller\r")
    terminal.until(lambda text: text.endswith("\nsmaller\n/ #"))
    terminal.keys("sh -c 'echo waits; exec sleep 1000'\r")
    terminal.until(lambda text: text.endswith("\nwaits"))
    terminal.keys("\x03")  # a key like any other: it ends what runs in the container, not the cell
    terminal.until(lambda text: text.endswith("/ #"))
    terminal.child.setwinsize(120, 120)
    terminal.keys("exit 4\r")
    assert terminal.end().endswith("exit code 4")
    assert termios.tcgetattr(terminal.child.child_fd) == before
    terminal.cell("%docker rm term")


def test_detach_keys_give_the_prompt_back(terminal):
    terminal.begin("%container run -it --name left busybox sh")
    terminal.until(lambda text: text.endswith("#"))
    terminal.keys("\x10\x11")
    terminal.end()
    assert terminal.cell("%docker rm -f left").endswith("left")


def test_an_interrupt_ends_the_program_and_says_what_is_left(terminal):
    terminal.begin("%container run --name long busybox sh -c 'trap \"exit 7\" INT; echo begun; while :; do :; done'")
    terminal.until(lambda text: text.endswith("\nbegun"))
    terminal.keys("\x03")
    assert "interrupted: container long ended with exit code 7 and is still there" in terminal.end()
    assert terminal.cell("%docker rm long").endswith("long")


@pytest.fixture
def ipython(folder, address, tmp_path):
    def run(*words):
        command = [sys.executable, "-m", "IPython", "--colors=nocolor", *words]
        return subprocess.run(
            command, env=environment(folder, address), cwd=tmp_path, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("%container run --rm busybox echo once", 0, "once\n"),
        ("%docker nosuch", 1, "docker: unknown command: docker nosuch\nRun '%docker --help' for more information\n"),
        ("%container run -it --rm busybox sh", 1, NO_TERMINAL),
        ("%volume prune", 1, NOBODY),
    ],
)
def test_a_single_command_has_its_text_and_its_exit_code(terminal, ipython, code, status, told):
    done = ipython("-c", f"%load_ext pydockmagic\n{code}")
    assert (done.stdout, done.stderr, done.returncode) == (told, "", status)


def test_a_script_of_magics_runs_to_its_end(terminal, ipython, tmp_path):
    (tmp_path / "lab.ipy").write_text(
        "%load_ext pydockmagic\n"
        "box = %container run --rm busybox echo from the script\n"
        "print(box.exit_code)\n"
        "stack = %layers made\nprint(stack)\n"
    )
    done = ipython("lab.ipy")
    assert done.stdout.startswith("from the script\n0\nmade:latest: 2 layers")
    assert (done.stderr, done.returncode) == ("", 0)
    done = ipython("-c", "%run lab.ipy")
    assert done.stdout.startswith("from the script\n0\nmade:latest: 2 layers")


def test_a_shell_of_a_programs_own_needs_no_front_end(terminal, folder, address):
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "pydockmagic")
result = shell.run_line_magic("container", "run --rm busybox echo plain")
print(result.exit_code, repr(result.stdout))
shell.run_cell("%container run --rm busybox sh -c 'exit 3'")
shell.run_line_magic("unload_ext", "pydockmagic")
shell.run_cell("42")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(folder, address), capture_output=True, text=True, check=True
    )
    assert done.stdout == "plain\n0 'plain\\n'\nOut[0]: exit code 3\nOut[0]: 42\n"
    assert done.stderr == ""
