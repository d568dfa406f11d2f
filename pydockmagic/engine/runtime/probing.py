"""Trying something out in a short-lived child, so that nothing of it sticks; and what this process may do at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from . import linux

__all__ = ["effective_capabilities", "has_capability", "in_child"]


def effective_capabilities() -> int:
    """Give this process' effective capabilities as a bit set."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), 0)


def has_capability(name: str) -> bool:
    """Tell whether this process has a capability (``SYS_ADMIN``) in its own user namespace."""
    return bool(effective_capabilities() >> linux.CAPABILITIES.index(name) & 1)


def in_child(function: Callable[[], Any]) -> Any:
    """Run ``function`` in a forked child and give its JSON result. For programs with one thread.

    An OSError it raises is raised here again. Raises ChildProcessError when the child dies.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            try:
                answer = {"result": function()}
            except OSError as error:
                answer = {"errno": error.errno or 0, "text": error.strerror or str(error)}
            os.write(writer, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    if not text:
        raise ChildProcessError("the probe died")
    answer = json.loads(text)
    if "errno" in answer:
        raise OSError(answer["errno"], answer["text"])
    return answer["result"]
