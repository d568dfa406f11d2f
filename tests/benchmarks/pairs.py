"""Paired measurement: the two sides in turn, so that a machine that drifts does so for both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def milliseconds(action: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def compare(
    name: str, ours: Callable[[], object], peer: Callable[[], object], *, peer_name: str, goal: float, runs: int = 15
) -> None:
    """Print both medians and the median of the pairwise ratios (how many times as fast ours is), with the goal."""
    ours(), peer()
    pairs = [(milliseconds(ours), milliseconds(peer)) for _ in range(runs)]
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f"{name:<48}{statistics.median(a for a, _ in pairs):>9.1f} ms   {peer_name} "
        f"{statistics.median(b for _, b in pairs):.1f} ms   {ratio:.1f} times as fast   "
        f"(goal {goal:g}: {'met' if ratio >= goal else 'MISSED'})",
        flush=True,
    )


def bound(name: str, action: Callable[[], float], *, goal: float, runs: int = 7) -> None:
    """Print the median of a figure in milliseconds against the most that it may be."""
    figures = [action() for _ in range(runs)]
    median = statistics.median(figures)
    print(
        f"{name:<48}{median:>9.1f} ms   min {min(figures):.1f} max {max(figures):.1f}   "
        f"(goal below {goal:g} ms: {'met' if median <= goal else 'MISSED'})",
        flush=True,
    )
