"""The life cycle as dockerd 28 was measured to keep it: 5 states x 30 operations, against the running engine."""

from __future__ import annotations

import io
import queue
import re
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.api import Answer, Api
from support.engine import engine
from support.vectors import vector

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.timeout(300),
]

CASES: list[dict[str, Any]] = vector("state-machine-dockerd28.json")["cases"]

KEPT = {
    ("restarting", "resize"): "dockerd hands containerd's sentence through; here is no containerd",
    ("restarting", "network connect"): "joined at the next start, where dockerd misses its sandbox",
    ("restarting", "network disconnect bridge"): "left for the next start, where dockerd misses its sandbox",
}
"""Differences of status or sentence kept on purpose."""

RACES = {
    ("restarting", "wait not-running"), ("restarting", "wait removed"), ("restarting", "restart?t=1"),
    ("exited", "start"), ("exited", "restart?t=1"),
}  # fmt: skip
"""Their events depend on when the process next starts or ends."""

COMMANDS = {
    "created": ["sleep", "600"], "running": ["sleep", "600"], "paused": ["sleep", "600"],
    "restarting": ["sh", "-c", "exit 3"], "exited": ["sh", "-c", "exit 3"],
}  # fmt: skip

BODIES: dict[str, Any] = {
    "exec create": {"Cmd": ["true"], "AttachStdout": True},
    "update memory": {"Memory": 64 << 20, "MemorySwap": 128 << 20},
    "update restart": {"RestartPolicy": {"Name": "no"}},
    "commit": {},
}


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("put"), io.BytesIO())
    return buffer.getvalue()


class Machine:
    """One engine with a container for every case."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.containers: dict[int, str] = {}
        api.pull("busybox")
        api.post("/networks/create", {"Name": "smnet"})
        for number, case in enumerate(CASES):
            restarting = case["state"] == "restarting"
            host = {"RestartPolicy": {"Name": "always"}} if restarting else {}
            self.containers[number] = api.create(*COMMANDS[case["state"]], name=f"sm{number}", HostConfig=host)
            if restarting:
                api.post(f"/containers/sm{number}/start")
        self._bring_into_state()

    def _bring_into_state(self) -> None:
        for number, case in enumerate(CASES):
            path = f"/containers/sm{number}"
            if case["state"] in ("running", "paused", "exited"):
                self.api.post(f"{path}/start")
            if case["state"] == "paused":
                self.api.post(f"{path}/pause")
            if case["state"] == "exited":
                self.api.post(f"{path}/wait")
        # until the pauses between restarts are long enough to act in one of them
        deadline = time.monotonic() + 60
        for number, case in enumerate(CASES):
            while case["state"] == "restarting":
                shown = self.api.get(f"/containers/sm{number}/json")
                if shown["State"]["Restarting"] and shown["RestartCount"] >= 7:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def request(self, number: int) -> Answer:
        case = CASES[number]
        body: Any = BODIES.get(case["op"])
        if case["op"].startswith("network"):
            body = {"Container": f"sm{number}"}
        if case["op"] == "archive PUT":
            body = _tar()
        path = case["path"].replace("{i}", f"sm{number}").replace("{n}", str(number))
        # The pause before the next restart doubles up to a minute, and a wait may last as long.
        patience = 90 if (case["state"], case["op"]) in RACES else 20
        return self.api(case["method"], path, body, timeout=1.0 if case["status"] == 0 else patience)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("lifecycle")
    with engine(folder) as address:
        made = Machine(Api(address))
        yield made
        made.api.clear()
        made.api("DELETE", "/networks/smnet")


def _events(found: queue.Queue[dict[str, Any]], identity: str, count: int) -> list[list[Any]]:
    """Take what has come, waiting for as many as are expected (and a moment for one too many)."""
    events: list[list[Any]] = []
    while True:
        try:
            event = found.get(timeout=3 if len(events) < count else 0.05)
        except queue.Empty:
            return events
        if event["Type"] == "container" and event["Actor"]["ID"] == identity:
            attributes = event["Actor"]["Attributes"]
            kept = {k: attributes[k] for k in ("exitCode", "signal", "oldName") if k in attributes}
            events.append([event["Type"], event["Action"], kept])


def _masked(text: str, machine: Machine, number: int) -> str:
    text = text.replace(machine.containers[number], "<ID>")
    return re.sub(rf"/?sm{number}\b", "<ID>", text)


def _state(api: Api, identity: str) -> tuple[str, int | None]:
    answer = api("GET", f"/containers/{identity}/json")
    if answer.status == 404:
        return "gone", None
    return answer.json["State"]["Status"], answer.json["State"]["ExitCode"]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case['state']}-{case['op']}" for case in CASES])
def test_an_operation_does_in_each_state_what_dockerd_was_measured_to_do(machine: Machine, number: int) -> None:
    case = CASES[number]
    key = (case["state"], case["op"])
    identity = machine.containers[number]
    with machine.api.events() as found:
        try:
            answer = machine.request(number)
        except TimeoutError:
            answer = Answer(0, {}, b"")
        events = _events(found, identity, len(case["events"]))
    if key in KEPT:
        return
    assert answer.status == case["status"], answer
    if case["contentType"] and case["status"]:
        assert answer.headers["content-type"] == case["contentType"]
    if case["status"] and case["message"] is not None:
        assert _masked(answer.message, machine, number) == case["message"]
    if key in RACES:
        return
    expected = [[kind, action, {k: v.replace("sm20", "X") if k == "oldName" else v for k, v in attributes.items()}]
                for kind, action, attributes in case["events"]]  # fmt: skip
    for event in (*expected, *events):
        if "oldName" in event[2]:
            event[2]["oldName"] = "X"
        event[1] = event[1].strip()
    assert events == expected
    state, code = _state(machine.api, identity)
    assert state == case["next"]
    if state in ("exited", "running", "created"):
        assert code == case["exitCode"]
