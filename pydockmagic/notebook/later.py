"""Work in the background while the cell goes on: made once and waited for only by who asks, or done again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Generic, ParamSpec, Protocol, TypeVar

from pydockmagic.client import ClientError, ConnectionFailed, ConnectionLost

__all__ = ["Again", "Later", "shown_in"]

T = TypeVar("T")
Taken = ParamSpec("Taken")


class _Telling(Protocol):
    problem: str


def shown_in(view: _Telling, work: Callable[Taken, None]) -> Callable[Taken, None]:
    """Give the same work for a thread or a click: an error of it is shown in the view, where somebody looks."""

    @wraps(work)
    def shown(*arguments: Taken.args, **options: Taken.kwargs) -> None:
        try:
            work(*arguments, **options)
        except (ConnectionFailed, ConnectionLost) as error:
            if not view.problem:  # that the daemon is away the feed of events says as well, and better
                view.problem = str(error)
        except ClientError as error:
            view.problem = str(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours, too, is told rather than lost
            view.problem = f"{type(error).__name__}: {error}"

    return shown


class Later(Generic[T]):
    """Makes a value in a daemon thread, which would end with the kernel rather than hold it up."""

    def __init__(self, make: Callable[[], T], name: str) -> None:
        self._make = make
        self._value: T | None = None
        self._error: BaseException | None = None
        # With a copy of the context, what the thread sends belongs to the cell that it was started from.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True, name=name)
        self._thread.start()

    def within(self, seconds: float) -> T | None:
        """Wait so long at most; ``None`` where the value is not there by then, or could not be made."""
        self._thread.join(seconds)
        return self._value

    def result(self) -> T:
        """Wait for the value; raises what went wrong while it was made."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # T may itself be None

    def _run(self) -> None:
        try:
            self._value = self._make()
        except BaseException as error:  # noqa: BLE001 - handed on to who asks for the value
            self._error = error


class Again:
    """Does something again whenever it is asked, in a daemon thread and never twice at once.

    However often it is asked while it is at work, it does it once more: a hundred events cost two looks.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._name = name
        self._guard = threading.Lock()
        self._asked = False
        self._busy = False
        self._context = copy_context()

    def ask(self) -> None:
        """Have it done, now or after the time that is under way."""
        with self._guard:
            self._asked = True
            if self._busy:
                return
            self._busy = True
        # What a thread sends belongs to the cell that this object was made in.
        run = self._context.copy().run
        threading.Thread(target=run, args=(self._run,), daemon=True, name=self._name).start()

    def _run(self) -> None:
        while True:
            with self._guard:
                if not self._asked:
                    self._busy = False
                    return
                self._asked = False
            try:
                self._work()
            except BaseException:
                with self._guard:
                    self._busy = False
                raise
