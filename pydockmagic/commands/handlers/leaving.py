"""What is left where a command stops in the middle: a person interrupted it, or its connection to the daemon broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydockmagic.client import ConnectionLost
from pydockmagic.commands.errors import Interrupted, Lost
from pydockmagic.commands.results import Result

__all__ = ["leaving"]


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
