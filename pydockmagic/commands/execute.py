"""Words into a result: global options, finding the command, parsing, and handing over to its handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from . import grammar
from .context import Connection, Context, OutputStream
from .errors import CommandError, UsageError
from .grammar.help import GLOBAL_OPTIONS
from .results import BuildResult, Result

__all__ = ["build", "execute", "help_text", "wants_terminal"]

_WITH_TERMINAL = frozenset({"container run", "container exec"})
_JOINING = frozenset({"container attach", "container start"})
_ROOT = grammar.Command("", "[OPTIONS] COMMAND [ARG...]", "", stops=True, options=GLOBAL_OPTIONS)


def execute(words: Sequence[str], context: Context) -> Result:
    """Do what ``docker WORDS...`` does.

    Raises ``CommandError`` with docker's sentence and exit code; ``KeyboardInterrupt`` passes through.
    """
    try:
        return _execute(list(words), context)
    except grammar.HelpAsked as asked:
        note = "Flag shorthand -h has been deprecated, use --help\n" if asked.short else ""
        return _show(note + grammar.command_help(asked.command, asked.name, context.columns), context)


def _execute(words: list[str], context: Context) -> Result:
    words, context = _global_options(words, context)
    if not words:
        return _show(grammar.root_help(context.columns), context, "stderr")
    if words[0] == "help":
        return _show(help_text(words[1:], context.columns), context)
    if words == ["--version"]:
        words = ["version"]
    found = grammar.find(words)
    if isinstance(found.entry, grammar.Group):
        return _noun_alone(found, context)
    parsed = grammar.parse(found.entry, found.name, found.rest)
    if found.entry.display:
        raise CommandError(f"docker: '{found.name}' is a display: a notebook draws it with %{found.name}", 1)
    from .handlers import run_handler  # noqa: PLC0415 - help and mistakes need no handlers

    return run_handler(parsed, context)


def _noun_alone(found: grammar.Found, context: Context) -> Result:
    assert isinstance(found.entry, grammar.Group)
    for word in found.rest:
        if word not in {"--help", "-h"}:
            letter = word[1:2]
            what = f"unknown flag: {word}" if word.startswith("--") else f"unknown shorthand flag: {letter!r} in {word}"
            raise UsageError(
                what,
                125,
                usage=f"Usage:  docker {found.name}",
                hint=f"Run 'docker {found.name} --help' for more information",
            )
    text = grammar.group_help(found.entry, displays=context.displays)
    return _show(text, context, "stdout" if found.rest else "stderr")


def _show(text: str, context: Context, stream: OutputStream = "stdout") -> Result:
    """Show a help text; docker prints it on standard error where nobody asked for it."""
    if context.echo:
        context.output.write(stream, text)
    result = Result(streamed=context.echo)
    setattr(result, stream, text)
    return result


def _global_options(words: list[str], context: Context) -> tuple[list[str], Context]:
    """Take the options before the command: ``-H`` and ``--context`` name another daemon for this command."""
    if not words or not words[0].startswith("-"):
        return words, context
    try:
        parsed = grammar.parse(_ROOT, "", words)
    except grammar.HelpAsked:
        return ["help"], context
    except UsageError as error:
        error.usage = "Usage:  docker [OPTIONS] COMMAND [ARG...]"
        error.hint = "Run 'docker --help' for more information"
        raise
    hosts = parsed.list("host")
    if len(hosts) > 1:
        raise UsageError("specify only one -H", 1)
    if hosts and parsed.given("context"):
        raise UsageError("conflicting options: cannot specify both --host and --context", 1)
    if parsed.flag("version"):
        return ["--version"], context
    target = hosts[0] if hosts else parsed.text("context")
    if target:
        target = target if not hosts or "://" in target else f"tcp://{target}"
        context = replace(context, connection=Connection(target))
    return parsed.arguments, context


def help_text(words: Sequence[str], columns: int = 80) -> str:
    """Return docker's help for a command, a noun, or (no words) everything."""
    if not words:
        return grammar.root_help(columns)
    try:
        found = grammar.find(words)
    except CommandError:
        raise CommandError(f"unknown help topic: {' '.join(words)}", 1) from None
    if isinstance(found.entry, grammar.Group):
        return grammar.group_help(found.entry)
    return grammar.command_help(found.entry, found.name, columns)


def wants_terminal(words: Sequence[str], has_terminal: Callable[[str], bool] = lambda _: False) -> bool:
    """Whether these words ask for a terminal and somebody at it: ``run -it``, ``exec -it``.

    So do ``attach`` and ``start -ai`` where the container has one; ``has_terminal`` is asked whether it does.
    """
    try:
        found = grammar.find(words)
        if isinstance(found.entry, grammar.Group) or found.entry.path not in _WITH_TERMINAL | _JOINING:
            return False
        parsed = grammar.parse(found.entry, found.name, found.rest)
    except (CommandError, grammar.HelpAsked):
        return False
    if found.entry.path in _JOINING:
        joins = found.entry.path == "container attach" or (parsed.flag("interactive") and len(parsed.arguments) == 1)
        return joins and not parsed.flag("no-stdin") and has_terminal(parsed.arguments[0])
    return parsed.flag("tty") and parsed.flag("interactive") and not parsed.flag("detach")


def build(
    words: Sequence[str],
    context: Context,
    *,
    dockerfile_text: str | None = None,
    context_dir: Path | str | None = None,
) -> BuildResult:
    """Do what ``docker build WORDS...`` does, with the Dockerfile and the context folder given directly.

    ``words`` are build's options; the PATH is left out where ``context_dir`` is given, or where the context is the
    folder in use. Raises ``CommandError``; its ``result`` is a ``BuildResult`` with the steps that were done.
    """
    command = grammar.commands()["image build"]
    try:
        parsed = grammar.parse(replace(command, arity=grammar.Arity(0, 1)), "build", words)
    except grammar.HelpAsked as asked:
        return BuildResult(stdout=grammar.command_help(asked.command, asked.name, context.columns))
    folder = context.directory if context_dir is None else context.directory / context_dir
    from .handlers.build import run_build  # noqa: PLC0415

    return run_build(parsed, context, dockerfile_text=dockerfile_text, folder=folder)
