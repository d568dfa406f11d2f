"""Help texts in the layout of the docker command (spf13/cobra with docker's template), wrapped at 80 columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .find import names_below
from .load import commands, groups
from .model import Command, Group, Option

__all__ = ["command_help", "group_help", "root_help"]

_COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
_SWARM = "Swarm Commands"

GLOBAL_OPTIONS = (
    Option("config", "", "string", "Location of client config files"),
    Option(
        "context",
        "c",
        "string",
        "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and "
        'default context set with "docker context use")',
    ),
    Option("debug", "D", "bool", "Enable debug mode"),
    Option("host", "H", "list", "Daemon socket to connect to"),
    Option(
        "log-level",
        "l",
        "string",
        'Set the logging level ("debug", "info", "warn", "error", "fatal") (default "info")',
        "info",
    ),
    Option("tls", "", "bool", "Use TLS; implied by --tlsverify"),
    Option("tlscacert", "", "string", "Trust certs signed only by this CA"),
    Option("tlscert", "", "string", "Path to TLS certificate file"),
    Option("tlskey", "", "string", "Path to TLS key file"),
    Option("tlsverify", "", "bool", "Use TLS and verify the remote"),
    Option("version", "v", "bool", "Print version information and quit"),
)


def command_help(command: Command, name: str, columns: int = 80) -> str:
    """Return what ``docker NAME --help`` prints."""
    parts = [f"Usage:  docker {name} {command.usage}".rstrip(), "", command.about]
    if command.more:
        parts.extend(command.more.split("\n"))
    names = _all_names(command)
    if len(names) > 1:
        parts += ["", "Aliases:", "  " + ", ".join(f"docker {each}" for each in names)]
    shown = [option for option in command.options if not option.hidden]
    if shown:
        parts += ["", "Options:", *_options(shown, columns - 1)]
    return "\n".join(parts) + "\n"


def _all_names(command: Command) -> list[str]:
    names = [command.path, *(f"{command.noun} {alias}".strip() for alias in command.aliases)]
    names += [command.top] if command.top else []
    names += [name for name in command.also if not name.startswith("^")]
    return [*(name[1:] for name in command.also if name.startswith("^")), *names]


def group_help(group: Group, *, displays: bool = False) -> str:
    """Return what ``docker NOUN --help`` prints; with ``displays`` also the pictures that a notebook draws."""
    parts = [f"Usage:  docker {group.path} COMMAND", "", group.about, *group.more.splitlines()]
    below = {path: entry for entry, path in names_below(group.path).values()}
    nouns = [(p.rpartition(" ")[2], e.brief or e.about) for p, e in below.items() if isinstance(e, Group)]
    listed = [(p, e) for p, e in below.items() if isinstance(e, Command) and not e.unlisted]
    verbs = [(p.rpartition(" ")[2], e.brief or e.about) for p, e in listed if not e.display]
    drawn = [(p.rpartition(" ")[2], e.about) for p, e in listed if e.display and displays]
    if nouns:
        parts += ["", "Management Commands:", *_listed(nouns)]
    if verbs:
        parts += ["", "Commands:", *_listed(verbs)]
    if drawn:
        parts += ["", "Displays:", *_listed(drawn)]
    parts += ["", f"Run 'docker {group.path} COMMAND --help' for more information on a command."]
    return "\n".join(parts) + "\n"


def root_help(columns: int = 80) -> str:
    """Return what ``docker --help`` prints."""
    tops = {
        command.top or path: command.brief or command.about
        for path, command in commands().items()
        if _is_top(path, command)
    }
    nouns = [group for path, group in groups().items() if " " not in path]
    parts = ["Usage:  docker [OPTIONS] COMMAND", "", "A self-sufficient runtime for containers"]
    parts += ["", "Common Commands:", *_listed([(name, tops[name]) for name in _COMMON], ordered=False)]
    management = [(group.path, group.brief or group.about) for group in nouns if group.section != _SWARM]
    swarm = [(group.path, group.brief or group.about) for group in nouns if group.section == _SWARM]
    parts += ["", "Management Commands:", *_listed(management)]
    if swarm:
        parts += ["", "Swarm Commands:", *_listed(swarm)]
    parts += ["", "Commands:", *_listed([(name, about) for name, about in tops.items() if name not in _COMMON])]
    parts += ["", "Global Options:", *_options(_global_options(), columns - 1)]
    parts += ["", "Run 'docker COMMAND --help' for more information on a command."]
    parts += ["", "For more help on how to use Docker, head to https://docs.docker.com/go/guides/"]
    return "\n".join(parts) + "\n"


def _global_options() -> list[Option]:
    """Return the global options with the paths that are defaults for this user."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")  # noqa: PTH111,PTH118
    files = {"config": "", "tlscacert": "/ca.pem", "tlscert": "/cert.pem", "tlskey": "/key.pem"}
    return [
        replace(option, help=f'{option.help} (default "{folder}{files[option.name]}")')
        if option.name in files
        else option
        for option in GLOBAL_OPTIONS
    ]


def _is_top(path: str, command: Command) -> bool:
    return bool(command.top) or " " not in path


def _listed(entries: Iterable[tuple[str, str]], *, ordered: bool = True) -> list[str]:
    entries = sorted(entries) if ordered else list(entries)
    width = max((len(name) for name, _ in entries), default=0)
    return [f"  {name:<{max(width, 10)}}  {about}" for name, about in entries]


def _options(options: Sequence[Option], columns: int) -> list[str]:
    """Lay options out as pflag's ``FlagUsagesWrapped`` does."""
    heads = []
    for option in sorted(options, key=lambda each: each.name):
        short = f"-{option.short}, " if option.short else "    "
        kind = "" if option.kind == "bool" else f" {option.kind}"
        heads.append((f"  {short}--{option.name}{kind}", option.help))
    width = max(len(head) for head, _ in heads) + 3
    lines = []
    for head, text in heads:
        lines.extend(f"{head:<{width}}{_wrapped(text, width, columns)}".rstrip().split("\n"))
    return lines


def _wrapped(text: str, indent: int, columns: int) -> str:
    """Wrap a help text as pflag does: the last word may stick out a little rather than stand alone (its "slop")."""
    blanks = "\n" + " " * indent
    wide = columns - indent
    if wide < 24:
        return text.replace("\n", blanks)
    slop = 5
    wide -= slop
    first, rest = _break(wide, slop, text)
    parts = [first.replace("\n", blanks)]
    while rest:
        piece, rest = _break(wide, slop, rest)
        parts.append(piece.replace("\n", blanks))
    return blanks.join(parts)


def _break(wide: int, slop: int, text: str) -> tuple[str, str]:
    if wide + slop > len(text):
        return text, ""
    at = max(text.rfind(char, 0, wide) for char in " \t\n")
    if at <= 0:
        return text, ""
    newline = text.rfind("\n", 0, wide)
    if 0 < newline < at:
        return text[:newline], text[newline + 1 :]
    return text[:at], text[at + 1 :]
