"""What a plain Docker daemon, which has no extension of ours, lets the displays show."""

import httpx
import pytest
from support.markup_check import check_static

from pydockmagic.client import Client, parse_address
from pydockmagic.notebook.views import layers_of, states_of

DIFF_IDS = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]
IMAGE = {"Id": "sha256:" + "1" * 64, "RepoTags": ["web:latest"], "RootFS": {"Layers": DIFF_IDS}}
HISTORY = [
    {"CreatedBy": '/bin/sh -c #(nop)  CMD ["sh"]', "Size": 0},
    {"CreatedBy": "/bin/sh -c echo hi > /x", "Size": 3},
    {"CreatedBy": "", "Comment": "Imported from -", "Size": 2_000_000},
]
CONTAINER = {
    "Id": "c" * 64,
    "Name": "/box",
    "Image": IMAGE["Id"],
    "Created": "2024-01-01T10:00:00.5Z",
    "SizeRw": 12,
    "State": {
        "Status": "exited",
        "StartedAt": "2024-01-01T10:00:01.123456789Z",
        "FinishedAt": "2024-01-01T10:00:09Z",
        "ExitCode": 137,
        "OOMKilled": True,
    },
}


def answer(request):
    path = request.url.path
    if path == "/_ping":
        return httpx.Response(200, headers={"Api-Version": "1.41"})
    answers = {
        "/v1.41/images/web/json": IMAGE,
        f"/v1.41/images/{IMAGE['Id']}/json": IMAGE,
        "/v1.41/images/web/history": HISTORY,
        f"/v1.41/images/{IMAGE['Id']}/history": HISTORY,
        "/v1.41/images/json": [],
        "/v1.41/containers/box/json": CONTAINER,
    }
    if path in answers:
        return httpx.Response(200, json=answers[path])
    return httpx.Response(404, json={"message": "page not found"})


@pytest.fixture
def client():
    with Client(parse_address("unix:///nowhere.sock"), transport=httpx.MockTransport(answer)) as client:
        yield client


def test_layers_come_from_the_history(client):
    view, container = layers_of(client, "web")
    assert container == ""
    assert [(layer.diff_id, layer.size, layer.empty) for layer in view.layers] == [
        ("", 0, True),
        (DIFF_IDS[1], 3, False),
        (DIFF_IDS[0], 2_000_000, False),
    ]
    text = check_static(view.html())
    assert "Imported from -" in text
    assert "This daemon does not list files" in text  # it has no /images/get


def test_a_containers_writable_layer_has_the_size_that_docker_tells(client):
    view, container = layers_of(client, "box")
    assert container == "box"
    assert (view.layers[0].writable, view.layers[0].size) == (True, 12)


def test_states_come_from_inspect(client):
    view = states_of(client, ["box"])
    assert view.sentence() == "box is exited (exit code 137, out of memory)"
    assert [step.to for step in view.containers[0].history] == ["created", "running", "exited"]
    assert view.containers[0].history[1].time_nano % 1_000_000_000 == 123_456_789
    assert "no diagram" in check_static(view.html())
