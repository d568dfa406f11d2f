"""What is certainly a mistake is refused before anything runs: one sentence, and the next step.

What only might be one is tried, and where it fails ``advice`` goes below docker's own words. Nothing here talks to an
engine.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from .advice import ONE_A_LINE, PROMPT, short
from .cells import content_of, first_line
from .errors import DockerError

__all__ = ["check_cell", "check_command", "check_dockerfile", "check_line", "compose_refused", "needs_command"]

_EXAMPLES = {
    "builder": ("graph", "draws the latest build"),
    "container": ("ls", "lists the running containers"),
    "context": ("ls", "lists the contexts"),
    "docker": ("ps", "lists the running containers"),
    "image": ("ls", "lists the images"),
    "network": ("ls", "lists the networks"),
    "system": ("df", "shows what takes how much space"),
    "volume": ("ls", "lists the volumes"),
}
_ASKS_FOR_INPUT = frozenset({"run", "exec", "start"})
_READS_ANYWAY = frozenset({"attach", "load"})
_CURLY = re.compile("(?:^|=)([\u2018\u201a\u201c\u201e])")
_SHELLS = frozenset({"ash", "bash", "dash", "sh"})


def needs_command(magic: str, *, cell: bool) -> DockerError:
    """Return the error of a magic that is alone in its line."""
    if cell and magic == "docker":
        return DockerError("%%docker needs commands in the lines below it", hint=f"{ONE_A_LINE}; %docker runs one")
    if cell:
        return DockerError(
            f"%%{magic} needs a command that reads the cell",
            hint=f"%%container run -i --rm IMAGE sh hands the cell to a program; {ONE_A_LINE}",
        )
    verb, does = _EXAMPLES[magic]
    return DockerError(
        f"%{magic} needs a command", hint=f"%{magic} {verb} {does}; %{magic} --help tells of all its commands"
    )


def check_command(magic: str, words: Sequence[str]) -> None:
    """Refuse words that name no command yet: none at all, or only a noun."""
    from pydockmagic.commands import grammar  # noqa: PLC0415 - %load_ext is to be quick

    if not words:
        raise needs_command(magic, cell=False)
    noun = words[0] if magic == "docker" else magic
    if magic == "docker" and len(words) == 1 and isinstance(grammar.top_level().get(noun, ("",))[0], grammar.Group):
        raise DockerError(f"%docker {noun} needs a command", hint=f"%docker {noun} --help tells of all its commands")


def check_line(line: str) -> None:
    """Refuse what has no meaning in a docker line: a stub, a shell's operators, a word processor's quotation marks."""
    from pydockmagic.commands import operator, plain_words  # noqa: PLC0415 - %load_ext is to be quick

    if line.strip() in ("...", "…"):
        raise DockerError(f"not answered yet: write a docker command in the place of {line.strip()}")
    found = operator(line)
    if found:
        raise DockerError(
            f"a docker line is run by no shell, so {found} has no meaning in it",
            hint=f"{_instead_of(found)}; in quotes it goes to the program: {shlex.quote(found)}",
        )
    for word in plain_words(line):
        if curly := _CURLY.search(word):
            raise DockerError(
                f"{curly[1]} does not quote anything: a docker line is quoted by ' or \"",
                hint="word processors and web pages make curly quotation marks of straight ones: type them anew",
            )


def _instead_of(found: str) -> str:
    if found.startswith("|") and found != "||":
        return "x = %docker ... keeps the output for Python; %%container run -i --rm IMAGE sh takes a script with pipes"
    if found in (";", "&&", "||"):
        return ONE_A_LINE
    if found.startswith("<"):
        return "%%container run -i IMAGE ... hands the cell to the program as its input; %%dockerfile builds the cell"
    if found == "&":
        return "run -d leaves a container to itself"
    return "x = %docker ... keeps the output, and open(NAME, 'w').write(x.stdout) writes it to a file"


# --- cells ----------------------------------------------------------------------------------------------------------


def check_cell(magic: str, words: Sequence[str], cell: str) -> None:
    """Refuse a cell that is not what its magic takes, or that the command above it would not read."""
    content = content_of(cell)
    if content == "stub":
        what = "docker commands" if magic == "docker" and not words else "the program's input"
        raise DockerError(f"not answered yet: write {what} in the place of this stub")
    asks = len(words) > (magic != "docker")
    if not asks and content == "dockerfile":
        raise DockerError(
            "this cell is a Dockerfile, which is no docker command", hint="%%dockerfile -t NAME builds an image of it"
        )
    if not asks and content == "compose":
        raise compose_refused()
    if not asks and (magic != "docker" or content == "empty"):
        raise needs_command(magic, cell=True)
    if asks:
        _check_input(magic, words, cell)


def _check_input(magic: str, words: Sequence[str], cell: str) -> None:
    """Refuse a cell below a command that would not read it, rather than drop it silently."""
    from pydockmagic.commands import grammar  # noqa: PLC0415

    found = grammar.find(words)
    if isinstance(found.entry, grammar.Group):
        return
    try:
        parsed = grammar.parse(found.entry, found.name, found.rest)
    except grammar.HelpAsked:
        return
    name = found.entry.path
    given = shlex.join(words[magic != "docker" :])
    if not cell.strip():
        raise DockerError(
            f"the cell below docker {name} is empty: nothing to hand to it", hint=f"%{magic} {given} runs it without"
        )
    if found.entry.verb in _ASKS_FOR_INPUT:
        if not parsed.flag("interactive"):
            fixed = f"%%{name} -i {shlex.join(found.rest)}"
            raise DockerError(
                f"the cell is the standard input of docker {name}, which reads it only with -i", hint=fixed
            )
        if parsed.arguments[-1].rpartition("/")[2] in _SHELLS and content_of(cell) == "dockerfile":
            raise DockerError(
                "this cell is a Dockerfile, which no shell can run", hint="%%dockerfile -t NAME builds an image of it"
            )
        return
    reads = "-" in [*parsed.arguments, *parsed.values.values()] or "password-stdin" in parsed.values
    if not reads and found.entry.verb not in _READS_ANYWAY:
        builds = found.entry.verb == "build" and content_of(cell) == "dockerfile"
        instead = "%%dockerfile -t NAME builds the cell" if builds else f"%{magic} {given}, and the cell below it apart"
        raise DockerError(f"docker {name} reads no input, so the cell below it would be lost", hint=instead)


def compose_refused() -> DockerError:
    """Return the error of a cell that is a Compose file."""
    return DockerError(
        "this cell is a Compose file, which is not run here yet",
        hint="Save it as compose.yaml and run docker-compose in a terminal: DOCKER_HOST is what %engine status shows.",
    )


def check_dockerfile(cell: str) -> None:
    """Refuse a ``%%dockerfile`` cell that is no Dockerfile."""
    from pydockmagic.commands import grammar  # noqa: PLC0415

    content = content_of(cell)
    if content == "empty":
        raise DockerError("not answered yet: the Dockerfile goes into the lines below %%dockerfile")
    if content == "stub" or any(line.strip() in ("...", "…") for line in cell.splitlines()):
        raise DockerError("not answered yet: write a Dockerfile in the place of this stub")
    if content == "compose":
        raise compose_refused()
    line = first_line(cell)
    if content == "magic":
        raise DockerError(
            "a %%dockerfile cell is a Dockerfile and nothing else", hint=f"put {short(line)} into a cell of its own"
        )
    bare = PROMPT.sub("", line, count=1) if PROMPT.match(line) else line
    word = (bare.split() or [""])[0]
    if bare != line or word in grammar.top_level():
        raise DockerError("this cell holds docker commands, and no Dockerfile", hint=ONE_A_LINE)
