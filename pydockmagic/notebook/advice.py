"""What to do about a docker line that failed: what may be wrong in how it is written, else the usual next step.

Docker's own sentence stands above in any case; here is only what a person at a notebook may not see in it. Nothing here
talks to an engine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .cells import BOTH_FORMS, LINE_ONLY, first_line
from .errors import DockerError

__all__ = ["ONE_A_LINE", "PROMPT", "advice", "advised", "dockerfile_advice", "next_step", "short"]

ONE_A_LINE = "%%docker runs docker commands, one a line, and stops at the first that fails"
PROMPT = re.compile(r"(?:\S*@\S*\s+)?(?:[$>%]\s+)?(?:sudo\s+(?:-\S+\s+)*)?[!%]{0,2}docker(?:\.exe)?(?:\s+|$)")
"""What stands before a command that was copied from a terminal or from another notebook."""

_OTHERS = "|".join(name for name in (*LINE_ONLY, *BOTH_FORMS) if name != "docker")
_OTHER_MAGIC = re.compile(rf"%{{1,2}}(?=(?:{_OTHERS})\b)")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_UNSEEN = re.compile("[\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060\u3000\ufeff]")
_PLACEHOLDER = re.compile(r"<[\w -]+>|\.\.\.|…|_{3,}")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SHELL = frozenset(
    {
        "[", "[[", "{", "alias", "apt", "apt-get", "bash", "case", "cat", "chmod", "curl", "do", "done", "echo",
        "elif", "else", "esac", "export", "fi", "find", "for", "function", "grep", "head", "if", "ls", "mkdir", "mv",
        "pip", "printf", "pwd", "python", "python3", "read", "sed", "select", "set", "sh", "sleep", "source", "sudo",
        "tail", "test", "then", "touch", "trap", "unset", "until", "wget", "which", "while",
    }
)  # fmt: skip
_STEPS = [
    (r"No such (container|object)", "%container ls -a lists what there is"),
    (r"is not running$", "%container start NAME starts it, %container ls -a lists what there is"),
    (r"[Nn]o such image|[Uu]nable to find image", "%image ls lists what there is"),
    (r"network .* not found", "%network ls lists what there is"),
    (r"no such volume", "%volume ls lists what there is"),
    (r"context not found", "%context ls lists what there is"),
    (r"container name .* is already in use", "%container rm NAME removes the one that has it; --name takes another"),
    (r"cannot remove .*container.*(running|paused)", "%container rm -f NAME removes it all the same"),
    (r"port is already allocated|address already in use", "%container ls shows which container has which port"),
    (r"must be lowercase", "names of images are written small"),
    (r"invalid reference format", "an image is named NAME, NAME:TAG or NAME@DIGEST, in small letters"),
    (r"not a TTY", "leave -t out: %%container run -i IMAGE sh takes the cell's lines as input"),
    (r"template|can't evaluate field", "{{json .}} shows which fields there are; {{.Names}} is one of them"),
    (r"Invalid filter|invalid filter", "--filter NAME=VALUE, as in --filter name=web"),
    (r"unable to prepare context", "the last word is the folder with the files to copy; . is the notebook's own"),
    (r"container source", "CONTAINER:PATH FOLDER copies out of a container, PATH CONTAINER:FOLDER into it"),
    (r"NUL character", "write it as an escape of the program's, such as \\0 in printf"),
    (r"parse value as time", "a time is written 10m, 2026-11-21 or 2026-11-21T18:00:00"),
    (r"invalid (hostPort|containerPort|publish|port|proto)", "-p HOST:CONTAINER, each a number up to 65535"),
    (r"is not available here yet", "%docker --help tells of all commands"),
    (r"does not fit into a request", "names are short: %container ls -a lists those of containers"),
]


def next_step(message: str) -> str:
    """Return what usually helps after one of docker's messages; nothing where that is not known."""
    return next((step for pattern, step in _STEPS if re.search(pattern, message[:2000])), "")


@contextmanager
def advised(line: str, magic: str, *, cell: bool = False) -> Iterator[None]:
    """Add what helps to the error of a docker line."""
    try:
        yield
    except DockerError as error:
        error.advise(advice(line, magic, cell=cell))
        error.suggest(next_step(error.message))
        raise


def advice(line: str, magic: str, *, cell: bool = False) -> str:
    """Say what may be wrong with a docker line that failed; nothing where it looks as docker lines do.

    ``cell`` says that the line stands in a ``%%docker`` cell, where no magic's name is before it. What is quoted is the
    program's own business.
    """
    from pydockmagic.commands import CommandError, plain_words  # noqa: PLC0415 - %load_ext is to be quick

    try:
        words = plain_words(line)
    except CommandError:
        return ""
    said = line.lstrip()
    first = (said.split(None, 1) or [""])[0]
    if surplus := _surplus(said, magic, cell=cell):
        return surplus
    known = _verbs(magic)
    if first not in known and (script := _shell(said, first)):
        return script
    for word in words:
        if hidden := _word_advice(word):
            return hidden
    return _foreign(first) if first not in known else ""


def dockerfile_advice(message: str, cell: str) -> str:
    """Say what may be wrong with the line of a Dockerfile that a message names."""
    found = re.search(r"\bline (\d+)", message)
    lines = cell.split("\n")
    if found is None or not 0 < int(found[1]) <= len(lines):
        return ""
    line = lines[int(found[1]) - 1]
    if said := _unseen(line):
        return said
    if dashed := next((_dash(word) for word in line.split() if _is_dashed(word)), ""):
        return dashed
    if "unknown instruction" in message and line.strip() == first_line(cell):
        return "a Dockerfile begins with FROM IMAGE"
    return ""


def short(text: str, width: int = 60) -> str:
    """Cut a text that is quoted in a sentence."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _verbs(magic: str) -> Sequence[str]:
    """Return what may follow a magic's name."""
    from pydockmagic.commands import grammar  # noqa: PLC0415

    return list(grammar.top_level() if magic == "docker" else grammar.names_below(magic))


def _surplus(said: str, magic: str, *, cell: bool) -> str:
    """Find what was pasted in front of a command: a prompt, ``sudo``, ``docker``, another magic's name."""
    if (match := PROMPT.match(said)) or (match := re.match(rf"{magic}\s+", said)):
        rest = said[match.end() :]
        if magic != "docker":
            rest = rest.removeprefix(f"{magic} ")
        fits = magic == "docker" or (rest.split() or [""])[0] in _verbs(magic)
        shown = "" if cell else f"%{magic} " if fits else "%docker "
        return f"leave {match[0].strip()} out: {shown}{short(rest)}".rstrip()
    if match := _OTHER_MAGIC.match(said):
        if not cell:
            return f"one magic is enough: {short(said)}"
        return f"leave {match[0]} out: {short(said[match.end() :])}"
    return ""


def _shell(said: str, first: str) -> str:
    """Find what belongs into a shell's script."""
    if match := _ASSIGNMENT.match(said):
        return f"{match[1]} = ... in a Python cell, and then {{{match[1]}}} in a docker line"
    if first == "cd":
        return "%cd FOLDER changes the folder of the notebook"
    if first in ("compose", "docker-compose"):
        return "Compose files are not run here yet: DOCKER_HOST for docker-compose is what %engine status shows"
    if first in _SHELL:
        return (
            f"{first} is a shell's: !COMMAND runs a shell command on this machine, and "
            "%%container run -i --rm IMAGE sh runs the cell as a script in a container"
        )
    return ""


def _word_advice(word: str) -> str:
    if "$(" in word or "`" in word:
        return "nothing is substituted in a docker line: ids = %container ls -aq, and then %container rm {ids}"
    if _is_dashed(word):
        return _dash(word)
    if _PLACEHOLDER.fullmatch(word):
        return f"put what you mean in the place of {word}"
    if word.endswith(";"):
        return f"a docker line is run by no shell, so ; has no meaning in it: {ONE_A_LINE}"
    return _unseen(word)


def _unseen(text: str) -> str:
    match = _UNSEEN.search(text)
    if match is None:
        return ""
    name = unicodedata.name(match[0], "a control character").lower()
    before = text[: match.start()].split()
    where = f" after {short(before[-1])}" if before else ""
    return f"there is a character that cannot be seen{where} ({name}, U+{ord(match[0]):04X}): type the line anew"


def _is_dashed(word: str) -> bool:
    return len(word) > 1 and word[0] in _DASHES


def _dash(word: str) -> str:
    name = unicodedata.name(word[0]).lower()
    article = "an" if name[0] in "aeiou" else "a"
    letters = word.lstrip(_DASHES + "-")
    fixed = ("-" if len(letters.partition("=")[0]) == 1 else "--") + letters
    return f"{short(word)} begins with {article} {name} (U+{ord(word[0]):04X}), options with a hyphen: {short(fixed)}"


def _foreign(word: str) -> str:
    """Name a letter of another script in a command's name, which may look like one of ours."""
    for char in word:
        if not char.isascii() and char.isalpha():
            return f"{char} in {short(word)} is not a letter of docker's: {unicodedata.name(char, '').lower()}"
    return ""
