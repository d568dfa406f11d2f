"""Records as the engine's extension gives them, for displays that are tested without an engine."""

from pydockmagic.notebook.widgets.records import (
    FileColumns,
    FileTable,
    Layer,
    LayerStack,
    StateHistory,
    StepTaken,
    Transition,
)

BASE = "sha256:" + "a" * 64
RUN = "sha256:" + "b" * 64

LIFECYCLE = [
    Transition(state=state, action=action, to=to, event=action)
    for state, action, to in [
        ("", "create", "created"),
        ("created", "start", "running"),
        ("created", "rm", "gone"),
        ("created", "rm --force", "gone"),
        ("running", "pause", "paused"),
        ("paused", "unpause", "running"),
        ("running", "exec", "running"),
        ("running", "stop", "exited"),
        ("running", "kill", "exited"),
        ("running", "die", "exited"),
        ("exited", "start", "running"),
        ("exited", "rm", "gone"),
    ]
]


def files(count, total=None):
    """Give a page of an index: every third file changed, every fifth deleted."""
    return FileTable(
        total=total or count,
        columns=FileColumns(
            path=[f"usr/lib/file{at}" for at in range(count)],
            kind=["file"] * count,
            size=[(count - at) * 10 for at in range(count)],
            mode=[420] * count,
            change=["D" if at % 5 == 4 else "C" if at % 3 == 2 else "A" for at in range(count)],
            target=["elsewhere" if at == 1 else None for at in range(count)],
        ),
    )


STACK = LayerStack(
    id="sha256:" + "1" * 64,
    names=["web:latest"],
    size=3_000_000,
    layers=[
        Layer(
            chain_id=BASE, size=2_000_000, files=400, instruction="FROM busybox", first_line=1, last_line=1,
            shared_by=["web:latest", "busybox:latest"],
        ),
        Layer(empty=True, instruction="ENV A=1", first_line=2, last_line=2),
        Layer(
            chain_id=RUN, size=1_000_000, files=3, instruction="RUN <b>make</b> & install", first_line=3, last_line=5,
            wasted=400_000,
        ),
    ],
)  # fmt: skip

CONTAINER_STACK = LayerStack(
    id=STACK.id,
    names=STACK.names,
    name="/shop",
    layers=[*STACK.layers, Layer(writable=True, size=12, files=1)],
)


def step(action, source, target, seconds, **more):
    return StepTaken(action=action, from_=source, to=target, time_nano=int((1_700_000_000 + seconds) * 1e9), **more)


WEB = StateHistory(
    id="c" * 64,
    name="/web",
    state="exited",
    history=[
        step("create", "", "created", 0),
        step("start", "created", "running", 0.25),
        step("stop", "running", "exited", 10, exit_code=137, signal=9),
    ],
)
DB = StateHistory(
    id="d" * 64,
    name="/db",
    state="running",
    history=[step("create", "", "created", 1), step("start", "created", "running", 2)],
)
