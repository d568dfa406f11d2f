"""Holds new outcomes against the recorded ones and prints the table: group, commands, same, different."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from .masks import mask
from .records import Record
from .runner import Outcome


class Verdict(NamedTuple):
    """How one replayed command compares."""

    record: Record
    outcome: Outcome
    exit_same: bool
    text_same: bool

    def describe(self) -> str:
        """Show what was recorded and what came now, for the reader of a failure."""
        return (
            f"{self.record.id}: {self.record.cmd}\n"
            f"  recorded exit {self.record.exit}, now {self.outcome.exit}\n"
            f"  recorded: {self.record.stdout!r} {self.record.stderr!r}\n"
            f"  now:      {self.outcome.stdout!r} {self.outcome.stderr!r}"
        )


def compare(record: Record, outcome: Outcome, work_directory: str) -> Verdict:
    """Compare exit codes strictly, text after masking; an unstable record only by its sorted lines."""

    def shown(stdout: str, stderr: str) -> str:
        text = mask(stdout, record.mask_extra, work_directory=work_directory) + "\0" + mask(
            stderr, record.mask_extra, work_directory=work_directory
        )  # fmt: skip
        return text if record.stable else "\n".join(sorted(text.replace("\0", "\n").split("\n")))

    same = shown(record.stdout, record.stderr) == shown(outcome.stdout, outcome.stderr)
    if record.unstable_kind == "content":
        same = True
    return Verdict(record, outcome, record.exit == outcome.exit, same)


def render(verdicts: Iterable[Verdict], title: str = "group") -> str:
    """Lay the verdicts out as a table, a line for each group."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for verdict in verdicts:
        for name in (verdict.record.group, "all"):
            rows[name][0] += 1
            rows[name][1] += verdict.exit_same
            rows[name][2] += verdict.exit_same and verdict.text_same
    rows["all"] = rows.pop("all")
    lines = [f"{title:<18}{'commands':>9}{'exit same':>11}{'':>7}{'text same':>11}{'':>7}{'different':>11}"]
    lines += [
        f"{name:<18}{total:>9}{exits:>11}{exits / total:>7.0%}{texts:>11}{texts / total:>7.0%}{total - texts:>11}"
        for name, (total, exits, texts) in rows.items()
    ]
    return "\n".join(lines)
