"""One step after the other: its line, its place in the numbering, how long it took, and what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pydockmagic.dockerfile import Instruction
from pydockmagic.engine.images.records import BuildStep

from .output import Output

__all__ = ["Step", "short_id"]


def short_id(digest: str) -> str:
    """Give the twelve digits that Docker shows of an id."""
    return digest.removeprefix("sha256:")[:12]


@dataclass
class Step:
    """A step under way. ``reason`` says why the cache did not help, ``size`` is of the layer it added."""

    number: int
    total: int
    record: Instruction
    cached: bool = False
    reason: str = ""
    size: int = 0

    def __post_init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self._begin

    def as_record(self) -> BuildStep:
        """Give what is kept beside the image."""
        return BuildStep(
            instruction=self.record.source.strip(),
            first_line=self.record.first_line,
            last_line=self.record.last_line,
            seconds=round(self.seconds, 6),
            cached=self.cached,
            reason=self.reason,
        )

    async def begin(self, output: Output) -> None:
        """Announce the step."""
        await output.text(f"Step {self.number}/{self.total} : {self.record.source.strip()}\n")
        await self._tell(output, "started")

    async def end(self, output: Output) -> None:
        """Tell that the step is done."""
        await self._tell(output, "cached" if self.cached else "done")

    async def fail(self, output: Output, code: int | None) -> None:
        """Tell that the step failed; ``code`` is what its command ended with."""
        await self._tell(output, "failed", code)

    async def _tell(self, output: Output, state: str, code: int | None = None) -> None:
        await output.step(
            {
                "Index": self.number,
                "Total": self.total,
                "Instruction": self.record.source.strip(),
                "FirstLine": self.record.first_line,
                "LastLine": self.record.last_line,
                "State": state,
                "Reason": self.reason,
                "Seconds": round(self.seconds, 3),
                "Size": self.size,
                "ExitCode": code,
            }
        )
