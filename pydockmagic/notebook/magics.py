"""The magics: a line or a cell becomes the words of a docker command, and its result the cell's.

``%docker ps -a`` is what ``docker ps -a`` is in a terminal; ``%container``, ``%image`` and so on are the docker
command's own nouns. The magics know no option themselves: the grammar in ``commands`` does.
"""

from __future__ import annotations

import re
import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Float, Int, Unicode, observe

from .errors import DockerError
from .session import Session, guarded
from .variables import expand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydockmagic.commands import Result

    from .capture import NotebookOutput
    from .live import LiveViews

__all__ = ["DockMagic"]

# What graders leave in the place of an answer: nbgrader the one, otter the other.
_STUB = re.compile(r"^\s*raise NotImplementedError(\(\))?\s*$|\A\s*\.\.\.\s*\Z", re.MULTILINE)
_TAKES_INPUT = {"run", "exec", "create", "start", "attach"}


@magics_class
class DockMagic(Magics):
    """Docker in a notebook."""

    engine = Unicode(
        "",
        help="The Docker engine to work with: `embedded`, the name of a docker context, or a URL such as "
        "unix:///var/run/docker.sock. Empty: PYDOCK_HOST, else DOCKER_HOST, else the embedded engine.",
    ).tag(config=True)
    live = Enum(
        ["auto", "always", "never"],
        "auto",
        help="Whether %layers and %states become live views: `auto` does so where a person is at the notebook, and "
        "not where it is executed without one. What is saved is the static form in any case.",
    ).tag(config=True)
    check = Bool(
        False,
        help="Whether a program that ends with an exit code other than 0 in `run` and `exec` fails the cell. Where it "
        "does not, the cell tells the code, and the result has it as `exit_code`.",
    ).tag(config=True)
    updates = Float(8.0, min=0.1, max=20.0, help="How often a second progress is drawn, at most.").tag(config=True)

    lines = Int(
        5000,
        min=0,
        help="How many lines of a command's output a cell shows. Of more it shows the last ones, and the whole is in a "
        "file in the folder `logs`. 0 shows everything.",
    ).tag(config=True)
    logs = Unicode(
        "docker-logs", help="The folder for output that is too long for a cell, beside the notebook. Empty: keep none."
    ).tag(config=True)

    shell: Any
    """The shell that the magics are registered with."""

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell, **options)
        self.session = Session(live=self.shows_live)
        self._views: LiveViews | None = None
        self._guard = threading.Lock()
        if self.engine:
            self.session.use(self.engine)

    @observe("engine")
    def _change_engine(self, change: dict[str, Any]) -> None:
        if hasattr(self, "session"):
            self.session.use(change["new"] or None)

    def shows_live(self) -> bool:
        """Say whether a live view has somebody to look at it."""
        if self.live != "auto":
            return bool(self.live == "always")
        # Who executes a notebook without a person (nbclient, nbgrader, papermill) allows no questions to be asked;
        # a live view would be saved there as widget state that no viewer can use.
        return bool(getattr(getattr(self.shell, "kernel", None), "_allow_stdin", False))

    # --- the docker command -------------------------------------------------------------------------------------

    @no_var_expand
    @line_cell_magic
    def docker(self, line: str, cell: str | None = None) -> Any:
        """Run a docker command: ``%docker run --rm busybox date``.

        As a cell, ``%%docker`` runs many, one a line, and stops at the first that fails; ``%%docker run -i ...`` hands
        the cell to the one command as its standard input. ``{name}`` stands for the Python variable ``name``.
        """
        if cell is None or line.strip():
            return self._one([], line, cell)
        return self._many(cell)

    @no_var_expand
    @line_cell_magic
    def container(self, line: str, cell: str | None = None) -> Any:
        """Manage containers: ``%container run``, ``ls``, ``stop``, ``rm`` ...; a cell is the standard input."""
        return self._one(["container"], line, cell)

    @no_var_expand
    @line_cell_magic
    def image(self, line: str, cell: str | None = None) -> Any:
        """Manage images: ``%image ls``, ``build``, ``inspect``, ``rm`` ...; a cell is the standard input."""
        return self._one(["image"], line, cell)

    @no_var_expand
    @line_magic
    def network(self, line: str) -> Any:
        """Manage networks: ``%network ls``, ``create``, ``inspect`` ..."""
        return self._one(["network"], line, None)

    @no_var_expand
    @line_magic
    def volume(self, line: str) -> Any:
        """Manage volumes: ``%volume ls``, ``create``, ``inspect`` ..."""
        return self._one(["volume"], line, None)

    @no_var_expand
    @line_magic
    def system(self, line: str) -> Any:
        """Look at the engine as a whole: ``%system info``, ``df``, ``events``, ``prune``."""
        return self._one(["system"], line, None)

    @no_var_expand
    @line_magic
    def builder(self, line: str) -> Any:
        """Manage builds: ``%builder build``, ``prune``."""
        return self._one(["builder"], line, None)

    @no_var_expand
    @line_magic
    def context(self, line: str) -> Any:
        """Choose among docker contexts: ``%context ls``, ``use NAME``, ``create`` ..."""
        return self._one(["context"], line, None)

    @no_var_expand
    @cell_magic
    def dockerfile(self, line: str, cell: str) -> Any:
        """Build an image; the cell is its Dockerfile: ``%%dockerfile -t NAME [--context DIR] [OPTIONS]``.

        The context is the notebook's folder, or DIR; the options are those of ``docker build``.
        """
        from pydockmagic.commands import build  # noqa: PLC0415

        if not cell.strip() or _STUB.search(cell):
            raise DockerError("not answered yet: write a Dockerfile in the place of this stub")
        words, directory = _take_context(self._words(line))
        output = self._output(source=cell)
        with guarded(), _Finishing(output, cell) as finishing:
            context = self.session.context(output, ask=self._ask())
            finishing.result = build(words, context, dockerfile_text=cell, context_dir=directory)
        return self._shown(finishing.result, output)

    # --- looking at things --------------------------------------------------------------------------------------

    @no_var_expand
    @line_magic
    def layers(self, line: str) -> Any:
        """Show the layers of an image or a container: ``%layers [--type image|container] NAME``.

        ``%layers IMAGE IMAGE`` compares two: what they share, and in what they differ.
        Each with its size, the instruction that made it and where in the Dockerfile that stands, and its files.
        """
        from . import looking  # noqa: PLC0415

        with guarded():
            return looking.layers(self, self._words(line))

    @no_var_expand
    @line_magic
    def states(self, line: str) -> Any:
        """Show where containers are in their life cycle, and how they came there: ``%states CONTAINER...``."""
        from . import looking  # noqa: PLC0415

        with guarded():
            return looking.states(self, self._words(line))

    @no_var_expand
    @line_magic
    def inside(self, line: str) -> Any:
        """Show a container as the kernel sees it: ``%inside CONTAINER``.

        Its processes with their pids on the host and in the container, its namespaces beside the host's, its mounts,
        user ids, limits and capabilities.
        """
        from . import looking  # noqa: PLC0415

        with guarded():
            return looking.inside(self, self._words(line))

    @no_var_expand
    @line_magic("engine")  # type: ignore[arg-type]  # IPython forgets the form with a name
    def engine_magic(self, line: str) -> Any:
        """Say which engine is in use; start, stop, examine or change it: ``%engine [start|stop|doctor|use NAME]``."""
        from . import engines  # noqa: PLC0415

        with guarded():
            return engines.command(self, self._words(line))

    # --- how ----------------------------------------------------------------------------------------------------

    @property
    def views(self) -> LiveViews:
        """The live views of this kernel."""
        with self._guard:
            if self._views is None:
                from .live import LiveViews  # noqa: PLC0415 - ipywidgets and anywidget are loaded here, and only here

                self._views = LiveViews()
            return self._views

    def close(self) -> None:
        """End what goes on in the background."""
        self.session.close()
        if self._views is not None:
            self._views.close()

    def run(self, words: Sequence[str], stdin: bytes | None = None) -> Any:
        """Run one docker command, given as words."""
        from pydockmagic.commands import execute, wants_terminal  # noqa: PLC0415

        with guarded():
            if (asked := _display_asked(words)) is not None:
                from .looking import DISPLAYS  # noqa: PLC0415

                return DISPLAYS[asked[0]](self, asked[1:])

        if stdin is None and self.shows_live() and wants_terminal(words):
            from .terminals import TerminalSession  # noqa: PLC0415 - loads the terminal's emulator

            with guarded():
                return TerminalSession(self, words).begin(self)
        output = self._output()
        with guarded(), _Finishing(output) as finishing:
            context = self.session.context(output, stdin=stdin, ask=self._ask())
            finishing.result = execute(words, context)
        if self.check:
            _refuse_failure(finishing.result)
        return self._shown(finishing.result, output)

    def _one(self, noun: list[str], line: str, cell: str | None) -> Any:
        words = [*noun, *self._words(line)]
        if words[:2] == ["context", "use"]:
            self.session.stop_feed()
        if cell is not None:
            _check_input(words)
        return self.run(words, None if cell is None else cell.encode())

    def _many(self, cell: str) -> Any:
        from .results import show  # noqa: PLC0415

        result = None
        lines = list(_command_lines(cell))
        for at, line in enumerate(lines):
            result = self.run(self._words(line.removeprefix("docker ")))
            _refuse_failure(result)
            if at < len(lines) - 1:
                show(self, result)  # the last one is the cell's value, which IPython shows
        return result

    def _words(self, line: str) -> list[str]:
        from pydockmagic.commands import split  # noqa: PLC0415

        with guarded():
            return expand(split(line), self.shell.user_ns)

    def _output(self, source: str = "") -> NotebookOutput:
        from .capture import NotebookOutput  # noqa: PLC0415

        # A terminal cannot draw over what it has printed: it gets docker's own text.
        draws = getattr(self.shell, "kernel", None) is not None
        return NotebookOutput(
            keep=self.session.keep_build,
            rate=self.updates,
            source=source,
            engine=self.session.engine,
            draws=draws,
            lines=self.lines,
            log=self._next_log,
        )

    def _next_log(self) -> Path | None:
        """Name the file for the running cell's long output; of several in one cell each has its own."""
        if not self.logs:
            return None
        self.session.logs += 1
        part = f"-{self.session.logs}" if self.session.logs > 1 else ""
        return Path(self.logs) / f"cell-{self.shell.execution_count}{part}.log"

    def _ask(self) -> Any:
        kernel = getattr(self.shell, "kernel", None)
        return input if kernel is None or getattr(kernel, "_allow_stdin", False) else None

    def _shown(self, result: Result, output: NotebookOutput) -> Result:
        """Note what the cell has shown of a result already, so that it is not shown twice."""
        if result.streamed or output.drew_build or output.drew_pull:
            self.session.shown = result
        return result


class _Finishing:
    """Sees to it that progress is drawn a last time, also when the command fails or is interrupted."""

    def __init__(self, output: NotebookOutput, source: str = "") -> None:
        self._output = output
        self._source = source
        self.result: Any = None

    def __enter__(self) -> _Finishing:  # noqa: PYI034 - private
        """Hand out the place for the result."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Draw, and show the offending line of a Dockerfile that does not even parse."""
        output = self._output
        output.finish(self.result if output.build.steps else None)
        if error is not None and self._source and not output.drew_build:
            if match := re.search(r"\bline (\d+)", str(error)):
                from .results import show_lines  # noqa: PLC0415

                show_lines(self._source, int(match[1]))
        elif self.result is not None and self.result.stderr and not self.result.streamed and not output.wrote:
            output.write("stderr", self.result.stderr)


def _refuse_failure(result: Result | None) -> None:
    if result is not None and result.exit_code:
        code = result.exit_code
        raise DockerError(f"the program ended with exit code {code}", exit_code=code, result=result)


def _take_context(words: list[str]) -> tuple[list[str], str | None]:
    """Take ``--context DIR`` out of the words of ``%%dockerfile``; the others are those of docker build."""
    rest: list[str] = []
    directory = None
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--context":
            if at + 1 == len(words):
                raise DockerError("flag needs an argument: --context", exit_code=125)
            directory = words[at + 1]
            at += 2
            continue
        if word.startswith("--context="):
            directory = word.removeprefix("--context=")
        else:
            rest.append(word)
        at += 1
    return rest, directory


def _check_input(words: Sequence[str]) -> None:
    """Refuse a cell below a command that would not read it, rather than drop it silently."""
    from pydockmagic.commands import grammar  # noqa: PLC0415

    with guarded():
        found = grammar.find(words)
        if isinstance(found.entry, grammar.Group) or found.entry.path.rpartition(" ")[2] not in _TAKES_INPUT:
            return
        try:
            parsed = grammar.parse(found.entry, found.name, found.rest)
        except grammar.HelpAsked:
            return
    if "interactive" in found.entry.by_name and not parsed.flag("interactive"):
        name = found.entry.path
        raise DockerError(
            f"the cell is the standard input of docker {name}, which reads it only with -i",
            hint=f"%%{name} -i {shlex.join(found.rest)}",
        )


def _display_asked(words: Sequence[str]) -> list[str] | None:
    """Give the path and the arguments of a display, where the words ask for one; help is no display."""
    from pydockmagic.commands import grammar  # noqa: PLC0415

    if not words or words[0].startswith("-") or words[0] not in grammar.top_level():
        return None
    found = grammar.find(words)
    if isinstance(found.entry, grammar.Group) or not found.entry.display:
        return None
    try:
        return [found.entry.path, *grammar.parse(found.entry, found.name, found.rest).arguments]
    except grammar.HelpAsked:
        return None


def _command_lines(cell: str) -> list[str]:
    """Give the commands of a ``%%docker`` cell: a line each, a backslash joins two, ``#`` begins a comment."""
    joined = re.sub(r"\\\n", "\\\n\0", cell).split("\n")
    lines: list[str] = []
    for line in joined:
        if line.startswith("\0") and lines:
            lines[-1] += "\n" + line[1:]
        else:
            lines.append(line)
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
