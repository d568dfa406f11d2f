"""A build as a graph, for ``%builder graph``: its stages with their steps, times and cache, and what they take over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydockmagic.dockerfile import Copy, Dockerfile, DockerfileError, Instruction, Run, Stage, parse_dockerfile
from pydockmagic.notebook import markup
from pydockmagic.notebook.boards import SIGNS, BuildBoard, Step
from pydockmagic.notebook.widgets.graph import Line, Node, Row, lay_out
from pydockmagic.notebook.widgets.sheet import Bar, Cell, Code, Section, Sheet, Soft, plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["build_sheet"]


@dataclass
class _Drawn:
    """A stage as it is drawn: what it is called, what it needs, and its instructions with their steps."""

    key: str
    title: str
    base: str
    rows: list[tuple[Instruction, Step | None]]
    needs: list[tuple[int, str]] = field(default_factory=list)
    """Row (-1 for FROM) and the stage's key, or the image, that it takes from."""

    @property
    def built(self) -> bool:
        return any(step is not None for _, step in self.rows)


def build_sheet(board: BuildBoard) -> Sheet:
    """Make the display of a build that is over."""
    steps = list(board.steps.values())
    stages = _stages(_parsed(board), steps)
    nodes, lines = _graph(stages)
    identity = [f"{step.index} {step.instruction} {step.state} {step.seconds}" for step in steps]
    return Sheet(
        token=token_of("build", board.ended, *identity),
        subject="Build graph",
        sentence=f"{board.headline()}.",
        sections=[_listed(stages, steps)],
        graph=lay_out(nodes, lines),
        engine=board.engine,
        notes=_remarks(stages),
    )


def _parsed(board: BuildBoard) -> Dockerfile | None:
    """Parse the Dockerfile; where it is not at hand, the instructions that the daemon named."""
    for text in (board.source, "\n".join(step.instruction for step in board.steps.values())):
        try:
            if text.strip() and (parsed := parse_dockerfile(text)).stages:
                return parsed
        except DockerfileError:
            continue
    return None


def _stages(dockerfile: Dockerfile | None, steps: Sequence[Step]) -> list[_Drawn]:
    if dockerfile is None:
        rows = [(Instruction(source=step.instruction), step) for step in steps]
        return [_Drawn("stage 0", "image", "", list(rows))]
    found = _matched(dockerfile, steps)
    keys = {stage.stage_name: f"stage {at}" for at, stage in enumerate(dockerfile.stages) if stage.stage_name}
    keys |= {str(at): f"stage {at}" for at in range(len(dockerfile.stages))}
    drawn = []
    for at, stage in enumerate(dockerfile.stages):
        last = at == len(dockerfile.stages) - 1
        title = stage.stage_name or ("the image" if last else f"stage {at}")
        each = _Drawn(f"stage {at}", title, stage.base, [(one, found.get(id(one))) for one in (stage, *stage.commands)])
        each.needs = [(row, keys.get(name.lower(), name)) for row, name in _needs(stage)]
        drawn.append(each)
    return drawn


def _matched(dockerfile: Dockerfile, steps: Sequence[Step]) -> dict[int, Step]:
    """Find the step of each instruction: by its line, or by its place where the daemon tells no lines."""
    instructions = [each for stage in dockerfile.stages for each in (stage, *stage.commands)]
    by_line = {step.first_line: step for step in steps if step.first_line}
    if by_line and any(each.first_line in by_line for each in instructions):
        return {id(each): by_line[each.first_line] for each in instructions if each.first_line in by_line}
    left = list(steps)
    found = {}
    for each in instructions:  # stages that were left out have no steps
        if left and _same(left[0].instruction, each.source):
            found[id(each)] = left.pop(0)
    return found


def _same(one: str, other: str) -> bool:
    return "".join(one.split()).lower() == "".join(other.split()).lower()


def _needs(stage: Stage) -> list[tuple[int, str]]:
    """Give what a stage takes: its base (row -1, where its title stands), and what COPY and RUN name."""
    needs = [(-1, stage.base)]
    for at, command in enumerate(stage.commands, 1):
        if isinstance(command, Copy) and command.from_:
            needs.append((at, command.from_))
        if isinstance(command, Run):
            needs += [(at, value) for mount in command.mounts for key, value in mount.options if key == "from"]
    return [(row, name) for row, name in needs if name.lower() != "scratch"]


def _graph(stages: Sequence[_Drawn]) -> tuple[list[Node], list[Line]]:
    known = {stage.key: stage for stage in stages}
    columns: dict[str, int] = {}
    images: dict[str, None] = {}
    for stage in stages:
        for _, need in stage.needs:
            if need not in known:
                images.setdefault(need)
        columns[stage.key] = 1 + max((columns.get(need, 0) for _, need in stage.needs), default=0)
    nodes = [Node(f"image {name}", 0, name, (), "base image", _base_words(name, stages)) for name in images]
    lines = []
    for stage in stages:
        rows = [Row(f"{_sign(step)} {_flat(one.source)}", _aside(step)) for one, step in stage.rows]
        about = "stage" if stage is not stages[-1] else "stage, the image"
        nodes.append(
            Node(
                stage.key,
                columns[stage.key],
                stage.title,
                rows,
                about if stage.built else f"{about}, not built",
                _words(stage, known),
                faint=not stage.built,
            )
        )
        for row, need in stage.needs:
            source = need if need in known else f"image {need}"
            lines.append(Line(source, stage.key, -1, max(row, 0), arrow=True))
    return nodes, lines


def _sign(step: Step | None) -> str:
    return SIGNS.get(step.state, "?") if step is not None else "·"


def _aside(step: Step | None) -> str:
    if step is None:
        return ""
    return "cached" if step.state == "cached" else step.time()


def _flat(text: str, most: int = 34) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def _base_words(name: str, stages: Sequence[_Drawn]) -> str:
    users = [stage.title for stage in stages if any(need == name for _, need in stage.needs)]
    return f"Image {name}: used by {', '.join(dict.fromkeys(users))}."


def _words(stage: _Drawn, known: Mapping[str, _Drawn]) -> str:
    if not stage.built:
        return f"{stage.title} was not built: nothing in the image needs it."
    cached = sum(step is not None and step.state == "cached" for _, step in stage.rows)
    taken = [known[need].title if need in known else need for row, need in stage.needs if row > 0]
    times = [step.seconds for _, step in stage.rows if step is not None and step.seconds is not None]
    told = f"{stage.title}: {plural(len(stage.rows), 'step')}, {cached} from the cache"
    told += f", {sum(times):.2f} s" if times else ""
    start = known[stage.needs[0][1]].title if stage.needs and stage.needs[0][1] in known else stage.base or "nothing"
    return f"{told}; begins with {start}" + (f", takes files from {', '.join(dict.fromkeys(taken))}." if taken else ".")


def _listed(stages: Sequence[_Drawn], steps: Sequence[Step]) -> Section:
    several = len(stages) > 1
    longest = max((step.seconds or 0 for step in steps), default=0)
    rows: list[list[Cell]] = []
    for stage in stages:
        for one, step in stage.rows:
            row: list[Cell] = [Soft(stage.title)] if several else []
            row += [Code(markup.unfolded(one.source)), f"{_sign(step)} {step.outcome() if step else 'not built'}"]
            if step is None or step.seconds is None:
                row += [""]
            else:
                row += [Bar(step.time(), step.seconds / longest if longest else 0)]
            row += [
                markup.size(step.size) if step is not None and step.size else "",
                Soft(step.place() if step else ""),
            ]
            rows.append(row)
    head = (*(("stage",) if several else ()), "instruction", "what happened, and why", "time", "size", "Dockerfile")
    cached = sum(step.state == "cached" for step in steps)
    return Section("Steps", head, rows, summary=f"{cached} of {len(steps)} from the cache", opened=True)


def _remarks(stages: Sequence[_Drawn]) -> list[str]:
    notes = []
    if any(not stage.built for stage in stages):
        notes.append("A stage that the image does not need is not built.")
    for stage in stages:
        states = [step.state for _, step in stage.rows if step is not None]
        if "cached" in states and "done" in states[states.index("cached") :]:
            notes.append(
                "From the first step on that had to be done anew, the steps of a stage cannot come from the cache."
            )
            break
    return notes
