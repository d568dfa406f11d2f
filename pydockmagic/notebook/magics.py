"""The magics: a line or a cell becomes the words of a docker command, and its result the cell's.

``%docker ps -a`` is what ``docker ps -a`` is in a terminal; ``%container``, ``%image`` and so on are the docker
command's own nouns. The magics know no option themselves: the grammar in ``commands`` does.
"""

from __future__ import annotations

import inspect
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Float, Int, Unicode, observe

from .advice import advised, dockerfile_advice, next_step
from .cells import CellCommand, clean, commands_of
from .errors import DockerError
from .mistakes import check_cell, check_command, check_dockerfile, check_line
from .running import Finishing, display_asked, has_terminal, refuse_failure, take_context, what_was_done
from .session import ANOTHER, Session, guarded
from .variables import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydockmagic.commands import Result

    from .capture import NotebookOutput
    from .live import LiveViews

__all__ = ["DockMagic"]


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

    patience = Float(
        15.0,
        min=0.1,
        help="Seconds of silence after which a daemon is asked whether it is still there, while a command waits for "
        "it. Where it does not answer within as many, the connection is taken for lost.",
    ).tag(config=True)

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
        if self.patience != self.traits()["patience"].default_value:
            self.session.connection.wait_for(self.patience)

    @observe("engine")
    def _change_engine(self, change: dict[str, Any]) -> None:
        if hasattr(self, "session"):
            self.session.use(change["new"] or None)

    @property
    def in_kernel(self) -> bool:
        """Whether a front end shows what we display; otherwise there is a terminal, or nothing at all."""
        return getattr(self.shell, "kernel", None) is not None

    @observe("patience")
    def _change_patience(self, change: dict[str, Any]) -> None:
        if hasattr(self, "session"):
            self.session.connection.wait_for(change["new"])

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
        the cell to the one command as its standard input. ``{name}`` stands for the Python variable ``name``; alone in
        its word, a list (or the lines of a result) stands for as many words.
        """
        return self._one("docker", line, cell)

    @no_var_expand
    @line_cell_magic
    def container(self, line: str, cell: str | None = None) -> Any:
        """Manage containers: ``%container run``, ``ls``, ``stop``, ``rm`` ...; a cell is the standard input."""
        return self._one("container", line, cell)

    @no_var_expand
    @line_cell_magic
    def image(self, line: str, cell: str | None = None) -> Any:
        """Manage images: ``%image ls``, ``build``, ``inspect``, ``rm`` ...; a cell is the standard input."""
        return self._one("image", line, cell)

    @no_var_expand
    @line_magic
    def network(self, line: str) -> Any:
        """Manage networks: ``%network ls``, ``create``, ``inspect`` ..."""
        return self._one("network", line, None)

    @no_var_expand
    @line_magic
    def volume(self, line: str) -> Any:
        """Manage volumes: ``%volume ls``, ``create``, ``inspect`` ..."""
        return self._one("volume", line, None)

    @no_var_expand
    @line_magic
    def system(self, line: str) -> Any:
        """Look at the engine as a whole: ``%system info``, ``df``, ``events``, ``prune``."""
        return self._one("system", line, None)

    @no_var_expand
    @line_magic
    def builder(self, line: str) -> Any:
        """Manage builds: ``%builder build``, ``prune``."""
        return self._one("builder", line, None)

    @no_var_expand
    @line_magic
    def context(self, line: str) -> Any:
        """Choose among docker contexts: ``%context ls``, ``use NAME``, ``create`` ..."""
        return self._one("context", line, None)

    @no_var_expand
    @cell_magic
    def dockerfile(self, line: str, cell: str) -> Any:
        """Build an image; the cell is its Dockerfile: ``%%dockerfile -t NAME [--context DIR] [OPTIONS]``.

        The context is the notebook's folder, or DIR; the options are those of ``docker build``.
        """
        from pydockmagic.commands import build  # noqa: PLC0415

        cell = clean(cell)
        words, directory = take_context(self._words(line))
        if "--help" not in words:
            with guarded():
                check_dockerfile(cell)
        output = self._output(source=cell)
        try:
            with guarded(), Finishing(output, cell) as finishing:
                context = self.session.context(output, ask=self._ask())
                finishing.result = build(words, context, dockerfile_text=cell, context_dir=directory)
        except DockerError as error:
            error.advise(dockerfile_advice(error.message, cell))
            error.suggest(next_step(error.message))
            raise
        return self._shown(finishing.result, output)

    # --- looking at things --------------------------------------------------------------------------------------

    @no_var_expand
    @line_magic
    def layers(self, line: str) -> Any:
        """Show the layers of an image or a container: ``%layers [--type image|container] NAME``.

        ``%layers IMAGE IMAGE`` compares two: what they share, and in what they differ.
        Each with its size, the instruction that made it and where in the Dockerfile that stands, and its files.
        """
        return self._look("layers", line)

    @no_var_expand
    @line_magic
    def states(self, line: str) -> Any:
        """Show where containers are in their life cycle, and how they came there: ``%states CONTAINER...``."""
        return self._look("states", line)

    @no_var_expand
    @line_magic
    def inside(self, line: str) -> Any:
        """Show a container as the kernel sees it: ``%inside CONTAINER``.

        Its processes with their pids on the host and in the container, its namespaces beside the host's, its mounts,
        user ids, limits and capabilities.
        """
        return self._look("inside", line)

    @no_var_expand
    @line_magic("engine")  # type: ignore[arg-type]  # IPython forgets the form with a name
    def engine_magic(self, line: str) -> Any:
        """Say which engine is in use; start, stop, examine or change it: ``%engine [start|stop|doctor|use NAME]``."""
        from . import engines  # noqa: PLC0415

        with advised(line, "engine"), guarded():
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
            if (asked := display_asked(words)) is not None:
                from .looking import DISPLAYS  # noqa: PLC0415

                return DISPLAYS[asked[0]](self, asked[1:])

        if (
            stdin is None
            and self.shows_live()
            and wants_terminal(words, lambda name: has_terminal(self.session.client, name))
        ):
            from .terminals import TerminalSession  # noqa: PLC0415 - loads the terminal's emulator

            with guarded():
                return TerminalSession(self, words).begin(self)
        output = self._output()
        with guarded(), Finishing(output) as finishing:
            context = self.session.context(output, stdin=stdin, ask=self._ask(), kernel=self.in_kernel)
            finishing.result = execute(words, context)
        if self.check:
            refuse_failure(finishing.result)
        return self._shown(finishing.result, output)

    def _one(self, magic: str, line: str, cell: str | None) -> Any:
        """Run the command of a line, the cell below it being its input; a ``%%docker`` cell alone is many of them."""
        if cell is None:
            return self._line(magic, line)
        cell = clean(cell)
        words = [*_noun(magic), *self._words(line)]
        with guarded():
            check_cell(magic, words, cell)
        return self._line(magic, line, cell) if words else self._many(commands_of(cell))

    def _look(self, magic: str, line: str) -> Any:
        """Show something, or say what the magic that does so takes."""
        from . import looking  # noqa: PLC0415 - %load_ext is to be quick

        with advised(line, magic), guarded():
            words = self._words(line)
            if words in (["--help"], ["-h"]):
                from pydockmagic.commands import Result  # noqa: PLC0415

                about = inspect.cleandoc(getattr(type(self), magic).__doc__ or "").replace("``", "")
                return Result(stdout=f"Usage:  {looking.USAGE[magic]}\n\n{about}\n")
            look: Callable[[DockMagic, Sequence[str]], Any] = getattr(looking, magic)
            return look(self, words)

    def _line(self, magic: str, line: str, stdin: str | None = None, *, among: bool = False) -> Any:
        """Run one command; ``among`` others of a ``%%docker`` cell."""
        with advised(line, magic, cell=among):
            words = self._words(line)
            with guarded():
                check_command(magic, words)
            words = [*_noun(magic), *words]
            if words[:2] == ["context", "use"]:
                self.session.stop_feed(ANOTHER)
            return self.run(words, None if stdin is None else stdin.encode())

    def _many(self, commands: Sequence[CellCommand]) -> Any:
        from .results import show  # noqa: PLC0415

        result = None
        for at, command in enumerate(commands):
            try:
                result = self._line("docker", re.sub(r"^docker\s+", "", command.text), among=True)
                refuse_failure(result)
            except DockerError as error:
                error.add(what_was_done(commands, at))
                raise
            if at < len(commands) - 1:
                show(self, result)  # the last one is the cell's value, which IPython shows
        return result

    def _words(self, line: str) -> list[str]:
        from pydockmagic.commands import split  # noqa: PLC0415

        with guarded():
            check_line(line)
            return expand(split(line), self.shell.user_ns)

    def _output(self, source: str = "") -> NotebookOutput:
        from .capture import NotebookOutput  # noqa: PLC0415

        # A terminal cannot draw over what it has printed: it gets docker's own text.
        return NotebookOutput(
            keep=self.session.keep_build,
            rate=self.updates,
            source=source,
            engine=self.session.engine,
            draws=self.in_kernel,
            still=self.in_kernel and not getattr(self.shell.kernel, "_allow_stdin", True),
            lines=self.lines,
            log=self._next_log,
        )

    def _next_log(self) -> Path | None:
        """Name the file for the running cell's long output; of several in one cell each has its own."""
        if not self.logs:
            return None
        self.session.logs += 1
        part = f"-{self.session.logs}" if self.session.logs > 1 else ""
        # IPython counts a cell before it runs, or after, by its version; its number is that of what was typed.
        typed = len(self.shell.history_manager.input_hist_parsed) - 1
        return Path(self.logs) / f"cell-{typed}{part}.log"

    def _ask(self) -> Any:
        if self.in_kernel:
            return input if getattr(self.shell.kernel, "_allow_stdin", False) else None
        return input if sys.stdin is not None and sys.stdin.isatty() else None

    def _shown(self, result: Result, output: NotebookOutput) -> Result:
        """Note what the cell has shown of a result already, so that it is not shown twice."""
        if result.streamed or output.drew_build or output.drew_pull:
            self.session.shown = result
        return result


def _noun(magic: str) -> list[str]:
    return [] if magic == "docker" else [magic]
