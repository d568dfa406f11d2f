"""A build's messages into steps: from ``pydock.step`` messages where there are any, else from docker's texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydockmagic.commands.context import BuildProgress, OutputStream
from pydockmagic.commands.results import BuildStep

if TYPE_CHECKING:
    from pydockmagic.commands.context import Output

__all__ = ["StepKeeper"]

_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_CHATTER = re.compile(
    r"( ---> .*|Removing intermediate container \w+|Successfully (built|tagged) .*|# Executing \d+ build triggers?"
    r"|\[Warning\] .*)?\n?$"
)
_IMAGE = re.compile(r" ---> ([0-9a-f]{12})\n?$")
_BUILT = re.compile(r"Successfully built (\w+)")
_TAGGED = re.compile(r"Successfully tagged (\S+)")
_RED = re.compile(r"\x1b\[91m(.*?)\x1b\[0m", re.DOTALL)


class StepKeeper:
    """Follows a build and tells the output of its progress."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._steps: dict[int, BuildStep] = {}
        self._texts: dict[int, list[str]] = {}
        self._current = 0
        self._told = False
        self.image = ""
        self.tags: list[str] = []

    @property
    def steps(self) -> list[BuildStep]:
        """The steps so far, in order, with what each of them printed."""
        return [
            replace(self._steps[index], output="".join(self._texts.get(index, ()))) for index in sorted(self._steps)
        ]

    def message(self, value: Mapping[str, Any]) -> None:
        """Take a ``pydock.step`` message."""
        self._told = True
        step = BuildStep(
            index=int(value.get("Index") or 0),
            total=int(value.get("Total") or 0),
            instruction=str(value.get("Instruction") or ""),
            state=str(value.get("State") or ""),
            first_line=int(value.get("FirstLine") or 0),
            last_line=int(value.get("LastLine") or 0),
            image=self._steps[int(value["Index"])].image if int(value.get("Index") or 0) in self._steps else "",
            reason=str(value.get("Reason") or ""),
            seconds=value.get("Seconds"),
            size=value.get("Size"),
            exit_code=value.get("ExitCode"),
        )
        self._current = step.index
        self._put(step)

    def text(self, text: str) -> None:
        """Take a piece of docker's text."""
        match = _STEP.match(text)
        if match:
            self._begin(int(match[1]), int(match[2]), match[3].removesuffix("\n"))
            return
        for pattern, take in ((_BUILT, self._built), (_TAGGED, self._tagged), (_IMAGE, self._layer)):
            found = pattern.search(text)
            if found:
                take(found[1])
                return
        if "---> Using cache" in text:
            self._state("cached")
        elif not _CHATTER.match(text) and self._current:
            self._printed(text)

    def place(self) -> str:
        """Say how far a build came that was broken off, and what is kept of it."""
        step = self._steps.get(self._current)
        if step is None:
            return "had not begun its first step"
        done = sum(each.state in {"done", "cached"} for each in self._steps.values())
        kept = {0: "nothing of it is kept", 1: "the step before it is in the cache"}
        return f"was at step {step.index} of {step.total}: " + kept.get(done, f"the {done} steps done are in the cache")

    def failed(self, exit_code: int) -> None:
        """Take note that the build ended with the step it was at."""
        step = self._steps.get(self._current)
        if step is not None and step.state not in {"failed", "done", "cached"}:
            self._put(replace(step, state="failed", exit_code=exit_code or None))

    def finished(self) -> None:
        """Take note that the build came to its end."""
        self._settle()

    def _begin(self, index: int, total: int, instruction: str) -> None:
        if self._told:
            self._current = index
            return
        self._settle()
        self._current = index
        self._put(BuildStep(index, total, instruction, "started"))

    def _settle(self) -> None:
        """Without step messages, a step is done when the next one begins."""
        step = self._steps.get(self._current)
        if not self._told and step is not None and step.state == "started":
            self._put(replace(step, state="done"))

    def _state(self, state: str) -> None:
        step = self._steps.get(self._current)
        if not self._told and step is not None and step.state == "started":
            self._put(replace(step, state=state))

    def _built(self, image: str) -> None:
        self.image = self.image or image

    def _tagged(self, tag: str) -> None:
        self.tags.append(tag)

    def _layer(self, image: str) -> None:
        step = self._steps.get(self._current)
        if step is not None:
            self._steps[self._current] = replace(step, image=image)

    def _printed(self, text: str) -> None:
        plain = _RED.sub(r"\1", text)
        stream: OutputStream = "stderr" if plain != text else "stdout"
        self._texts.setdefault(self._current, []).append(plain)
        step = self._steps.get(self._current)
        if step is not None:
            self._output.step(
                BuildProgress(
                    step.index, step.total, step.instruction, "output", step.first_line, step.last_line, plain, stream
                )
            )

    def _put(self, step: BuildStep) -> None:
        self._steps[step.index] = step
        self._output.step(
            BuildProgress(
                index=step.index,
                total=step.total,
                instruction=step.instruction,
                state=step.state,  # type: ignore[arg-type]  # the engine speaks ARCHITECTURE.md's states
                first_line=step.first_line,
                last_line=step.last_line,
                reason=step.reason,
                seconds=step.seconds,
                size=step.size,
                exit_code=step.exit_code,
            )
        )
