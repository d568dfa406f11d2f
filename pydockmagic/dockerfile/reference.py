"""What each instruction is for: one line of usage, one of explanation, its flags. For completion and inspection."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INSTRUCTIONS", "InstructionHelp"]


@dataclass(frozen=True, slots=True)
class InstructionHelp:
    """An instruction: ``flags`` are its options with their dashes, ``layer`` says whether it makes a layer."""

    usage: str
    about: str
    flags: tuple[str, ...] = ()
    layer: bool = False


_COPY_FLAGS = ("--chown=", "--chmod=", "--link", "--exclude=")

INSTRUCTIONS: dict[str, InstructionHelp] = {
    "FROM": InstructionHelp(
        "FROM [--platform=PLATFORM] IMAGE [AS NAME]",
        "Begin a stage on the layers of another image; `scratch` is the empty one.",
        ("--platform=",),
    ),
    "RUN": InstructionHelp(
        'RUN COMMAND  or  RUN ["PROGRAM", "ARGUMENT"]',
        "Run a command in a container of the image so far; what it changed becomes a layer.",
        ("--mount=", "--network=", "--security="),
        layer=True,
    ),
    "COPY": InstructionHelp(
        "COPY [--from=STAGE] SOURCE... DESTINATION",
        "Copy files from the build context, or from another stage or image, into a layer.",
        ("--from=", "--parents", *_COPY_FLAGS),
        layer=True,
    ),
    "ADD": InstructionHelp(
        "ADD SOURCE... DESTINATION",
        "Copy files like COPY; unpacks local archives, and fetches URLs.",
        ("--checksum=", "--keep-git-dir", "--unpack", *_COPY_FLAGS),
        layer=True,
    ),
    "WORKDIR": InstructionHelp(
        "WORKDIR PATH", "Set the working directory for what follows, and make it if need be.", layer=True
    ),
    "CMD": InstructionHelp(
        'CMD ["PROGRAM", "ARGUMENT"]  or  CMD COMMAND',
        "Say what a container runs by default; words after the image's name in `docker run` replace it.",
    ),
    "ENTRYPOINT": InstructionHelp(
        'ENTRYPOINT ["PROGRAM", "ARGUMENT"]',
        "Say which program a container is; CMD and the words of `docker run` become its arguments.",
    ),
    "ENV": InstructionHelp("ENV NAME=VALUE ...", "Set environment variables, in the build and in containers."),
    "ARG": InstructionHelp(
        "ARG NAME[=DEFAULT]", "Declare a variable of the build, which `docker build --build-arg NAME=VALUE` sets."
    ),
    "EXPOSE": InstructionHelp("EXPOSE PORT[/PROTOCOL]", "Note a port that the program listens on; publishes nothing."),
    "VOLUME": InstructionHelp("VOLUME PATH", "Declare a place for data that outlives the container's own layer."),
    "USER": InstructionHelp("USER NAME[:GROUP]", "Set the user for what follows, and for containers."),
    "LABEL": InstructionHelp("LABEL NAME=VALUE ...", "Describe the image; `docker inspect` shows it."),
    "HEALTHCHECK": InstructionHelp(
        "HEALTHCHECK [OPTIONS] CMD COMMAND  or  HEALTHCHECK NONE",
        "Say how to find out whether the program still works.",
        ("--interval=", "--timeout=", "--start-period=", "--start-interval=", "--retries="),
    ),
    "SHELL": InstructionHelp('SHELL ["PROGRAM", "OPTION"]', "Set the shell of the shell forms; `/bin/sh -c` at first."),
    "STOPSIGNAL": InstructionHelp("STOPSIGNAL SIGNAL", "Set the signal that `docker stop` sends first."),
    "ONBUILD": InstructionHelp("ONBUILD INSTRUCTION", "Keep an instruction for builds that begin on this image."),
    "MAINTAINER": InstructionHelp("MAINTAINER NAME", "Name the author; out of date: use LABEL."),
}
