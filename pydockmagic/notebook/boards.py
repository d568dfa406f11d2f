"""What a build or a pull looks like while it goes on and when it is over: records in, text and static HTML out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from . import markup

if TYPE_CHECKING:
    from pydockmagic.commands import BuildProgress, PullProgress

__all__ = ["SIGNS", "BuildBoard", "PullBoard", "Step", "offending", "offending_html"]

SIGNS = {"started": "▶", "stopped": "■", "cached": "↺", "done": "✓", "failed": "✗"}
_WORDS = {"started": "running", "stopped": "stopped", "cached": "from the cache", "done": "built", "failed": "failed"}
_TAIL = 6
_MOST_LINES = 2000


@dataclass
class Step:
    """One step of a build, as far as it has come."""

    index: int
    total: int
    instruction: str
    state: str = "started"
    first_line: int = 0
    last_line: int = 0
    output: list[str] = field(default_factory=list)
    reason: str = ""
    seconds: float | None = None
    size: int | None = None
    exit_code: int | None = None

    def place(self) -> str:
        """Give the step's Dockerfile lines."""
        if not self.first_line:
            return ""
        if self.last_line > self.first_line:
            return f"lines {self.first_line}-{self.last_line}"
        return f"line {self.first_line}"

    def outcome(self) -> str:
        """Say how the step stands, and why."""
        words = _WORDS.get(self.state, self.state)
        if self.state == "done" and self.instruction[:5].upper() == "FROM ":
            words = "base image"
        if self.state == "failed" and self.exit_code is not None:
            return f"{words}, exit code {self.exit_code}"
        return f"{words}: {self.reason}" if self.reason else words

    def text(self) -> str:
        """Give what the step printed; of very much, the end."""
        lines = "".join(self.output).splitlines()
        if len(lines) > _MOST_LINES:
            lines = [f"({len(lines) - _MOST_LINES:,} lines above are left out)", *lines[-_MOST_LINES:]]
        return "\n".join(lines)

    def time(self) -> str:
        """Give the seconds that the step took."""
        return "" if self.seconds is None else f"{self.seconds:.2f} s"


@dataclass
class BuildBoard:
    """The steps of a build. ``source`` is the Dockerfile where it is at hand, for the lines of a failure."""

    source: str = ""
    engine: str = ""
    steps: dict[int, Step] = field(default_factory=dict)
    ended: str = ""
    """The last line: what was built, empty while the build goes on."""

    def take(self, progress: BuildProgress) -> None:
        """Note one message about a step."""
        step = self.steps.setdefault(progress.index, Step(progress.index, progress.total, progress.instruction))
        step.total = progress.total or step.total
        step.instruction = progress.instruction or step.instruction
        step.first_line = progress.first_line or step.first_line
        step.last_line = progress.last_line or step.last_line
        if progress.text:
            step.output.append(progress.text)
        if progress.state != "output":
            step.state = progress.state
        step.reason = progress.reason or step.reason
        step.seconds = progress.seconds if progress.seconds is not None else step.seconds
        step.size = progress.size if progress.size is not None else step.size
        step.exit_code = progress.exit_code if progress.exit_code is not None else step.exit_code

    def stop(self) -> None:
        """Note that nothing more will come: the step that was running did not end."""
        for step in self.steps.values():
            if step.state == "started":
                step.state = "stopped"

    @property
    def failed(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps.values() if step.state == "failed"), None)

    def headline(self) -> str:
        """Say in one line how far it is."""
        if self.ended:
            return self.ended
        steps = list(self.steps.values())
        at = steps[-1] if steps else None
        return f"Building: step {at.index} of {at.total}" if at else "Building"

    def plain(self) -> str:
        """Write the build as text."""
        lines = [self.headline()]
        for step in self.steps.values():
            about = "  ".join(part for part in (step.outcome(), step.time(), step.place()) if part)
            lines.append(
                f" {SIGNS.get(step.state, '?')} {step.index}/{step.total} {_flat(step.instruction)}  [{about}]"
            )
            if step.state == "failed":
                lines += [f"     {line}" for line in step.text().splitlines()]
        if self.failed and self.failed.first_line and self.source:
            lines.append(offending(self.source, self.failed.first_line, self.failed.last_line))
        return "\n".join(lines)

    def html(self) -> str:
        """Write the build as static HTML, the output of each step folded away; that of a failed one is open."""
        rows = [self._row(step) for step in self.steps.values()]
        whole = dict.fromkeys((0, 2, 4, 5), "white-space:nowrap;")
        body = (
            markup.table(("", "Step", "Dockerfile", "What happened", "Time", "Size"), rows, right=[4, 5], styles=whole)
            if rows
            else ""
        )
        failed = self.failed
        below = offending_html(self.source, failed.first_line, failed.last_line) if failed and self.source else ""
        inside = markup.caption(escape(self.headline()), [escape(self.engine)]) + body + below
        return markup.tag("div", inside, class_="pydock pydock-build")

    def _written(self, step: Step) -> str:
        """Give an instruction as it stands in the Dockerfile, line by line where that is at hand."""
        lines = self.source.splitlines()[max(0, step.first_line - 1) : step.last_line] if step.first_line else []
        return "\n".join(lines) or markup.unfolded(step.instruction)

    def _row(self, step: Step) -> list[str]:
        name = markup.code(self._written(step), "white-space:pre-wrap;overflow-wrap:anywhere;")
        text = step.text()
        if step.state == "started":
            said = _block("\n".join(text.splitlines()[-_TAIL:]))
            name += said
        elif text:
            count = len(text.splitlines())
            label = f"{name} {markup.muted(f'{count} line' + ('' if count == 1 else 's') + ' of output')}"
            name = markup.details(label, _block(text), opened=step.state == "failed")
        size = markup.size(step.size) if step.size else ""
        sign = f"<b>{SIGNS.get(step.state, '?')}</b>"
        about = f"{escape(step.outcome())}"
        number = markup.muted(f"{step.index}/{step.total}")
        return [
            f"{sign} {number}",
            name,
            markup.muted(escape(step.place())),
            markup.muted(about),
            step.time(),
            escape(size),
        ]


@dataclass
class PullBoard:
    """The layers of a pull, push or load."""

    parts: dict[str, PullProgress] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """What was said of the whole image."""
    done: bool = False

    def take(self, progress: PullProgress) -> None:
        """Note one message."""
        if progress.id:
            self.parts[progress.id] = progress
            return
        # From which file of this machine a starter was made is told by the image's labels, and is nothing to save in a
        # notebook that somebody else will read.
        status = re.sub(r"^(Starter image, .*?) \(.*\)$", r"\1", progress.status)
        if status not in self.said:
            self.said.append(status)

    def plain(self) -> str:
        """Write the pull as text."""
        lines = [f"{each.id}: {each.status}{_share(each)}" for each in self.parts.values()]
        return "\n".join([*lines, *self.said])

    def html(self) -> str:
        """Write the pull as static HTML; once it is over, the layers are folded away below what was said of it all."""
        begun = [each for each in self.parts.values() if each.status.startswith("Pulling from ")]
        above = "".join(markup.tag("div", markup.muted(escape(f"{each.status}, tag {each.id}"))) for each in begun)
        rows = [
            [
                markup.code(each.id),
                escape(each.status),
                markup.code(_bar(each), f"color:{markup.ACCENT};"),
                _share(each),
            ]
            for each in self.parts.values()
            if each not in begun
        ]
        body = above + (markup.table((), rows) if rows else "")
        said = [line for line in self.said if not (self.done and line.startswith("Digest:"))]
        lines = markup.muted("<br>".join(escape(line.removeprefix("Status: ")) for line in said))
        if self.done and said and body:
            return markup.tag("div", markup.details(lines, body), class_="pydock pydock-pull")
        return markup.tag("div", body + lines, class_="pydock pydock-pull")


def offending(source: str, first: int, last: int, around: int = 1) -> str:
    """Write the offending lines of a Dockerfile, marked and numbered, with a line around them."""
    lines = source.splitlines()
    begin, end = max(1, first - around), min(len(lines), max(first, last) + around)
    width = len(str(end))
    return "\n".join(
        f"{'>' if first <= at <= max(first, last) else ' '} {at:>{width}} | {lines[at - 1]}".rstrip()
        for at in range(begin, end + 1)
    )


def offending_html(source: str, first: int, last: int) -> str:
    """Write the offending lines of a Dockerfile as HTML."""
    if not first:
        return ""
    place = f"line {first}" if last <= first else f"lines {first}-{last}"
    return markup.tag("div", f"Dockerfile, {place}:", "margin-top:8px") + _block(offending(source, first, last))


def _block(text: str) -> str:
    if not text:
        return ""
    style = (
        "margin:4px 0 4px 0;padding:4px 8px;border-left:3px solid rgba(128,128,128,0.4);font-size:12px;"
        "font-family:monospace;white-space:pre-wrap;overflow:auto;max-height:320px;background:none;color:inherit;text-align:left"
    )
    return markup.tag("pre", escape(text), style)


def _share(each: PullProgress) -> str:
    if not each.total:
        return ""
    return f" {markup.size(each.current)}/{markup.size(each.total)}"


def _bar(each: PullProgress) -> str:
    return markup.bar(each.current / each.total, 12) if each.total else ""


def _flat(text: str, width: int = 70) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
