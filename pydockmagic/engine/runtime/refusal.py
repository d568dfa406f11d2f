"""Why a process could not be started, in the words of Docker and runc. Standard library only."""

from __future__ import annotations

import os

__all__ = ["Refusal", "exit_code", "quoted", "reason", "sentence"]

_CREATE = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process"
_EXEC = "OCI runtime exec failed: exec failed: unable to start container process"
_NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
_WRONG_KIND = (
    "Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


class Refusal(Exception):
    """A start that is refused. ``bare`` sentences are dockerd's own, without runc's preamble."""

    def __init__(self, text: str, *, bare: bool = False) -> None:
        super().__init__(text)
        self.bare = bare


def reason(error: OSError) -> str:
    """Give the kernel's reason as Go prints it: in lower case."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def quoted(text: str) -> str:
    """Quote a text as Go's ``%q`` does."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def sentence(text: str, *, bare: bool, in_exec: bool) -> str:
    """Give the whole sentence that dockerd answers with."""
    if bare:
        return text
    whole = f"{_EXEC if in_exec else _CREATE}: {text}: unknown"
    return f"{whole}: {_WRONG_KIND}" if "not a directory" in text and "mount" in text else whole


def exit_code(text: str, command: str) -> int:
    """Judge by the sentence, as dockerd does: 127 not found, 126 cannot be executed, 128 anything else."""
    lower = text.lower()
    if command.lower() in lower and any(words in lower for words in _NOT_FOUND):
        return 127
    return 126 if "permission denied" in lower or "not a directory" in lower else 128
