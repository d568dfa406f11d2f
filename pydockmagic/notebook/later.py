"""Something that is made in the background while the cell goes on, and waited for only by who asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

__all__ = ["Later"]

T = TypeVar("T")


class Later(Generic[T]):
    """Makes a value in a daemon thread, which would end with the kernel rather than hold it up."""

    def __init__(self, make: Callable[[], T], name: str) -> None:
        self._make = make
        self._value: T | None = None
        self._error: BaseException | None = None
        # With a copy of the context, what the thread sends belongs to the cell that it was started from.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True, name=name)
        self._thread.start()

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
