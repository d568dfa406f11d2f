"""What is left where a command stops in the middle: a person interrupted it, or its connection to the daemon broke."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydockmagic.client import ConnectionLost
from pydockmagic.commands.errors import Interrupted, Lost
from pydockmagic.commands.results import Result

__all__ = ["completed", "leaving"]

T = TypeVar("T")
_LONGEST = 20.0
"""Seconds that a request is waited for after an interrupt."""


def completed(call: Callable[[], T], undo: Callable[[T], object]) -> T:
    """Make a request that an interrupt must not tear in two: whoever never hears its answer cannot clean up after it.

    An interrupt meanwhile waits for the answer, has ``undo`` done with it, and is raised then. A second one is raised
    at once.
    """
    found: list[T] = []
    failed: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="pydock-request", daemon=True).start()
    try:
        done.wait()
    except KeyboardInterrupt:
        if done.wait(_LONGEST) and found:
            undo(found[0])
        raise
    if failed:
        raise failed[0]
    return found[0]


@contextmanager
def leaving(result: Callable[[int], Result], interrupted: str, lost: str = "") -> Iterator[None]:
    """Say what is left, in the one sentence of the error that ends the command.

    ``interrupted`` is said after an interrupt, ``lost`` (or else the same) after a lost connection; ``result`` makes
    what the command did so far, given its exit code.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {interrupted}", 130, result=result(130)) from None
    except ConnectionLost as error:
        raise Lost(f"{error}; {lost or interrupted}", 1, result=result(1), embedded=error.embedded) from error
