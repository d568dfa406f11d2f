"""An IPython kernel whose cells are docker: all that a Python notebook can, with docker as its first language."""

from __future__ import annotations

from typing import Any, ClassVar

from ipykernel.ipkernel import IPythonKernel

from pydockmagic.notebook import load
from pydockmagic.version import __version__

from .cells import kind_of, translated

__all__ = ["DockerKernel"]


class DockerKernel(IPythonKernel):
    """Runs docker commands and Dockerfiles; ``%%python`` cells are Python, magics are magics."""

    implementation = "pydockmagic"
    implementation_version = __version__
    language_info: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # a plain attribute in the base class
        "name": "dockerfile",
        "version": __version__,
        "mimetype": "text/x-dockerfile",
        "codemirror_mode": "dockerfile",
        "pygments_lexer": "docker",
        "file_extension": ".dockerfile",
    }
    banner = (
        f"pydockmagic {__version__}. A cell is docker commands, one a line (run --rm busybox date), or a Dockerfile "
        "(its first line is FROM, ARG or a directive); %%python is Python."
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        shell: Any = self.shell
        self._shell = shell
        self._magics = load(shell)

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        **options: Any,
    ) -> dict[str, Any]:
        """Run a cell: its translation, while the history keeps what was typed."""
        shell = self._shell
        count = shell.execution_count
        kept = store_history and not silent and bool(code.strip())
        if kept:
            shell.history_manager.store_inputs(count, code, code)
        reply: dict[str, Any] = await super().do_execute(  # type: ignore[no-untyped-call]
            translated(code), silent, False, user_expressions, allow_stdin, **options
        )
        if kept:
            if shell.execution_count == count:
                shell.execution_count += 1
            shell.history_manager.store_output(count)
            reply["execution_count"] = count
        return reply

    async def do_is_complete(self, code: str) -> dict[str, str]:
        """Say whether a console should run what was typed: not while a line ends with a backslash."""
        if kind_of(code) in ("python", "magic"):
            reply: dict[str, str] = super().do_is_complete(translated(code))  # type: ignore[no-untyped-call]
            return reply
        if code.rstrip().endswith("\\") or (kind_of(code) == "dockerfile" and not code.endswith("\n\n")):
            return {"status": "incomplete", "indent": ""}
        return {"status": "complete"}

    async def do_history(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Give what was typed; the running session by its own number, which IPython writes as 0 in a range."""
        reply: dict[str, Any] = super().do_history(*arguments, **options)  # type: ignore[no-untyped-call]
        number = self._shell.history_manager.session_number
        reply["history"] = [(session or number, *rest) for session, *rest in reply["history"]]
        return reply

    async def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        """Complete a docker line as ``%docker`` does, and a Dockerfile as ``%%dockerfile`` does."""
        kind = kind_of(code)
        if kind not in ("commands", "empty", "dockerfile"):
            reply: dict[str, Any] = super().do_complete(code, cursor_pos)  # type: ignore[no-untyped-call]
            return reply
        from pydockmagic.commands import Context, complete, complete_dockerfile  # noqa: PLC0415

        context = Context(connection=self._magics.session.connection)
        start = 0
        if kind == "dockerfile":
            found = complete_dockerfile(code, cursor_pos, context)
        else:
            start, line = _command_at(code, cursor_pos)
            found = complete(line, None, context)
        return {
            "status": "ok",
            "matches": [place.text for place in found],
            "cursor_start": start + found[0].start if found else cursor_pos,
            "cursor_end": cursor_pos,
            "metadata": {
                "_jupyter_types_experimental": [
                    {"start": start + place.start, "end": cursor_pos, "text": place.text, "type": place.kind}
                    for place in found
                ]
            },
        }

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Explain the docker command or the instruction at the cursor."""
        text = _explained(code, cursor_pos)
        if text is None:
            reply: dict[str, Any] = super().do_inspect(  # type: ignore[no-untyped-call]
                code, cursor_pos, detail_level, omit_sections
            )
            return reply
        return {"status": "ok", "found": bool(text), "data": {"text/plain": text} if text else {}, "metadata": {}}


def _command_at(code: str, cursor: int) -> tuple[int, str]:
    """Give where the words after ``docker`` begin on the line at the cursor, and those up to the cursor."""
    start = code.rfind("\n", 0, cursor) + 1
    line = code[start:cursor]
    prefix = len(line) - len(line.lstrip())
    if line.lstrip().startswith("docker "):
        prefix += len("docker ")
    return start + prefix, line[prefix:]


def _explained(code: str, cursor: int) -> str | None:
    """Explain docker's part of a cell: empty where there is nothing to say, ``None`` where it is not docker's."""
    kind = kind_of(code)
    if kind == "dockerfile":
        from pydockmagic.commands import explain_instruction  # noqa: PLC0415

        return explain_instruction(code, cursor) or ""
    if kind != "commands":
        return None
    from pydockmagic.commands import CommandError, help_text, split  # noqa: PLC0415

    end = code.find("\n", cursor)
    _, line = _command_at(code, len(code) if end < 0 else end)
    try:
        return help_text(split(line))
    except CommandError:
        return None  # a name of Python's, perhaps
