from __future__ import annotations

import time

import pytest
from support.commanding import Shown, context_for, docker, failing
from support.daemon import FakeDaemon

from pydockmagic.commands import CommandError

ID = "0123456789ab" + "c" * 52
NOW = int(time.time())
CONTAINER = {
    "Id": ID,
    "Names": ["/web"],
    "Image": "busybox",
    "ImageID": "sha256:" + "d" * 64,
    "Command": "httpd -f -p 80 -h /var/www/html",
    "Created": NOW - 7200,
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
    "State": "running",
    "Status": "Up 2 hours",
    "Labels": {"a": "b"},
    "Mounts": [],
    "NetworkSettings": {"Networks": {"bridge": {}}},
}
IMAGE = {
    "Id": "sha256:" + "d" * 64,
    "RepoTags": ["busybox:latest", "mine:1"],
    "RepoDigests": [],
    "Created": NOW - 86400 * 3,
    "Size": 1984172,
    "SharedSize": -1,
    "Containers": -1,
}


@pytest.fixture
def daemon():
    return FakeDaemon().on("GET", "/containers/json", [CONTAINER]).on("GET", "/images/json", [IMAGE])


@pytest.fixture
def context(daemon, tmp_path):
    return context_for(daemon.client(), tmp_path)


def test_ps_is_dockers_table(context):
    assert docker("ps", context).stdout == (
        "CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS       PORTS                  NAMES\n"
        '0123456789ab   busybox   "httpd -f -p 80 -h /…"   2 hours ago   Up 2 hours   0.0.0.0:8080->80/tcp   web\n'
    )


def test_a_list_is_rows_with_the_fields_of_its_templates(context):
    result = docker("ps", context)
    assert len(result) == 1
    assert [row["Names"] for row in result] == ["web"]
    assert result[0]["State"] == "running"
    assert result.columns[0] == ("ID", "CONTAINER ID")
    assert bool(result)


def test_a_list_becomes_a_data_frame_of_values_what_docker_shows_first(context):
    import pandas as pd

    result = docker("ps", context)
    frame = result.to_pandas()
    assert list(frame.columns[:7]) == ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"]
    assert frame["Names"][0] == "web"
    assert frame["CreatedAt"].dtype.kind == "M"
    assert isinstance(frame["Labels"][0], dict)
    assert list(pd.DataFrame(result)["Names"]) == result["Names"] == ["web"]
    assert set(docker("ps -q", context).to_pandas().columns) == set(frame.columns)


def test_records_are_the_rows_with_values_to_calculate_with(context):
    from datetime import UTC, datetime

    row, record = docker("images", context).rows[0], docker("images", context).records[0]
    assert (row["Size"], record["Size"]) == ("1.98MB", 1984172)
    assert record["CreatedAt"] == datetime.fromtimestamp(IMAGE["Created"], UTC)
    assert (row["Containers"], record["Containers"]) == ("N/A", None)
    assert record["Tag"] == row["Tag"] == "latest"
    assert docker("ps", context).records[0]["Labels"] == {"a": "b"}


def test_without_pandas_a_data_frame_is_refused_with_a_sentence(context, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="a data frame needs pandas, which is not installed: %pip install pandas"):
        docker("ps", context).to_pandas()


def test_a_list_shows_itself_as_a_table_in_html(context):
    html = docker("ps", context)._repr_html_()
    assert "<th" in html
    assert "<style" not in html
    assert "&quot;httpd -f -p 80 -h /…&quot;" in html


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ps -q", "0123456789ab\n"),
        ("ps -q --no-trunc", f"{ID}\n"),
        ("ps --format '{{.Names}}: {{.Status}}'", "web: Up 2 hours\n"),
        (r"ps --format 'table {{.Names}}\t{{.Image}}'", "NAMES     IMAGE\nweb       busybox\n"),
        ("ps --format '{{.Label \"a\"}} {{.Networks}} {{upper .State}}'", "b bridge RUNNING\n"),
        ("images -q", "dddddddddddd\ndddddddddddd\n"),
        ("images --format '{{.Repository}}:{{.Tag}} {{.Size}}'", "busybox:latest 1.98MB\nmine:1 1.98MB\n"),
    ],
)
def test_formats(context, line, text):
    assert docker(line, context).stdout == text


def test_json_lines_have_every_field(context):
    import json

    row = json.loads(docker("ps --format json", context).stdout)
    assert row["ID"] == "0123456789ab"
    assert list(row) == sorted(row)


EXECUTING = """template: template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type"""
FILTERS = "%7B%22status%22%3A%7B%22exited%22%3Atrue%7D%2C%22name%22%3A%7B%22x%22%3Atrue%7D%7D"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ps --format '{{.Bad'", "failed to parse template: template: :1: unclosed action"),
        (
            "ps --format '{{.Nope}}'",
            f"failed to execute {EXECUTING} *formatter.ContainerContext",
        ),
        (
            "images --format '{{.Nope}}'",
            f"template parsing error: {EXECUTING.removeprefix('template: ')} *formatter.imageContext",
        ),
    ],
)
def test_a_bad_template_is_told_in_gos_words(context, line, message):
    assert failing(line, context).message == message


@pytest.mark.parametrize(
    ("line", "query"),
    [
        ("ps", ""),
        ("ps -a", "?all=1"),
        ("ps -l", "?all=1&limit=1"),
        ("ps -n 3", "?all=1&limit=3"),
        ("ps -s", "?size=1"),
        ("ps --format '{{.Size}}'", "?size=1"),
        ("ps -f status=exited -f name=x", f"?filters={FILTERS}"),
    ],
)  # fmt: skip
def test_ps_asks_what_docker_asks(daemon, context, line, query):
    docker(line, context)
    assert daemon.lines == [f"GET /v1.50/containers/json{query}"]


def test_images_of_one_repository_are_asked_for_by_reference(daemon, context):
    docker("images busybox", context)
    assert daemon.asked[-1].url.params["filters"] == '{"reference":{"busybox":true}}'


def test_an_untagged_image_is_a_row_without_a_name(tmp_path):
    bare = {**IMAGE, "RepoTags": [], "RepoDigests": []}
    daemon = FakeDaemon().on("GET", "/images/json", [bare])
    text = docker("images", context_for(daemon.client(), tmp_path)).stdout.splitlines()[1]
    assert text.split()[:3] == ["<none>", "<none>", "dddddddddddd"]


def test_an_empty_list_is_its_heading(tmp_path):
    daemon = FakeDaemon().on("GET", "/containers/json", [])
    result = docker("ps", context_for(daemon.client(), tmp_path))
    assert result.stdout == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    assert not result


def test_a_list_is_not_shown_while_it_is_made(context):
    result = docker("ps", context)
    assert not result.streamed
    assert context.output.texts == []


def test_a_terminal_is_shown_everything_at_once(daemon, tmp_path):
    shown = Shown()
    result = docker("ps -q", context_for(daemon.client(), tmp_path, output=shown, echo=True))
    assert result.streamed
    assert shown.text() == "0123456789ab\n"


# -- inspect


INSPECTED = {
    "Id": ID,
    "Name": "/web",
    "State": {"Status": "running", "Running": True, "ExitCode": 0},
    "Config": {"Cmd": ["httpd", "-f"], "Labels": {"a": "<b>"}, "Env": None, "ExposedPorts": {"80/tcp": {}}},
    "HostConfig": {"Binds": None, "NetworkMode": "default"},
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}, "Networks": {"bridge": {}}},
}


@pytest.fixture
def inspecting(tmp_path):
    daemon = FakeDaemon().on("GET", "/containers/web/json", INSPECTED).on("GET", "/images/busybox/json", {"Id": "i"})
    for kind, message in (
        ("containers", "No such container: x"), ("images", "No such image: x:latest"),
        ("networks", "network x not found"), ("volumes", "get x: no such volume"),
    ):  # fmt: skip
        end = "/json" if kind in {"containers", "images"} else ""
        for name in ("x", "busybox"):
            if (kind, name) != ("images", "busybox"):
                daemon.refuse("GET", f"/{kind}/{name}{end}", 404, message)
    return context_for(daemon.client(), tmp_path)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.State.Status}} {{.Name}} {{.Config.Cmd}}", "running /web [httpd -f]"),
        ("{{.HostConfig.Binds}} {{json .HostConfig.Binds}} {{.Config.Env}}", "[] null []"),
        ("{{json .Config.Labels}}", '{"a":"<b>"}'),
        ('{{index .Config.Labels "a"}}|{{index .Config.Labels "z"}}|', "<b>||"),
        ("{{.Config.Labels.z}}", "<no value>"),
        ("{{.Config.ExposedPorts}}", "map[80/tcp:{}]"),
        ('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}", "bridge "),
        ("{{with .State.Health}}{{.Status}}{{else}}none{{end}}", "none"),
        ("{{.ID}}", ID),
        ("{{if eq .State.ExitCode 0}}good{{end}}", "good"),
    ],
)
def test_inspect_fills_templates_in_as_docker_does(inspecting, template, text):
    assert docker(f"inspect -f '{template}' web", inspecting).stdout == f"{text}\n"


def test_inspect_gives_the_data(inspecting):
    result = docker("inspect web busybox", inspecting)
    assert result["State"]["Running"] is True
    assert [each["Id"] for each in result] == [ID, "i"]
    assert result.stdout.startswith('[\n    {\n        "Id": "0123')
    assert "<details>" in result._repr_html_()


def test_what_is_missing_is_told_after_what_was_found(inspecting):
    error = failing("inspect web x", inspecting)
    assert error.message == "Error: No such object: x"
    assert error.result.data == [INSPECTED]
    error = failing("inspect x", inspecting)
    assert (error.result.stdout, error.exit_code) == ("[]\n", 1)


def test_an_unknown_field_and_an_unreadable_template_have_exit_codes_of_their_own(inspecting):
    error = failing("inspect -f '{{.Nope}}' web", inspecting)
    assert error.message == (
        'template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"'
    )
    assert (error.exit_code, error.result.stdout) == (1, "\n")
    assert failing("inspect -f '{{.Bad' web", inspecting).exit_code == 64


def test_an_unknown_type_is_refused(inspecting):
    assert failing("inspect --type foo web", inspecting).message.startswith(
        'unknown type: "foo": must be one of "config",'
    )


# -- several at once


def test_the_good_ones_are_done_and_the_complaints_come_together(tmp_path):
    daemon = FakeDaemon()
    for name in ("a", "b"):
        daemon.on("POST", f"/containers/{name}/stop", status=204)
    daemon.refuse("POST", "/containers/x/stop", 404, "No such container: x")
    daemon.refuse("POST", "/containers/y/stop", 404, "No such container: y")
    error = failing("stop -t 1 a x b y", context_for(daemon.client(), tmp_path))
    assert error.result.stdout == "a\nb\n"
    assert error.stderr == (
        "Error response from daemon: No such container: x\nError response from daemon: No such container: y\n"
    )
    assert daemon.lines[0] == "POST /v1.50/containers/a/stop?t=1"


def test_forced_removal_of_what_is_not_there_is_no_failure(tmp_path):
    daemon = FakeDaemon().refuse("DELETE", "/containers/x", 404, "No such container: x")
    context = context_for(daemon.client(), tmp_path)
    result = docker("rm -f x", context)
    assert (result.exit_code, result.stderr) == (0, "Error response from daemon: No such container: x\n")
    assert failing("rm x", context).exit_code == 1


def test_start_names_all_that_failed(tmp_path):
    daemon = FakeDaemon().on("POST", "/containers/a/start", status=204)
    daemon.refuse("POST", "/containers/x/start", 404, "No such container: x")
    error = failing("start a x", context_for(daemon.client(), tmp_path))
    assert error.stderr == "Error response from daemon: No such container: x\nError: failed to start containers: x\n"
    assert error.result.stdout == "a\n"


# -- questions


def pruning(tmp_path, **details):
    daemon = FakeDaemon().on("POST", "/containers/prune", {"ContainersDeleted": [ID], "SpaceReclaimed": 2048})
    return daemon, context_for(daemon.client(), tmp_path, **details)


def test_prune_asks_a_person(tmp_path):
    asked = []

    def ask(question):
        asked.append(question)
        return "y"

    _, context = pruning(tmp_path, ask=ask)
    assert docker("container prune", context).stdout == (
        f"Deleted Containers:\n{ID}\n\nTotal reclaimed space: 2.048kB\n"
    )
    assert asked == ["WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "]


@pytest.mark.parametrize("answer", [b"n\n", b"", b"maybe"])
def test_anything_but_yes_on_the_input_is_a_no(tmp_path, answer):
    daemon, context = pruning(tmp_path, stdin=answer)
    assert "Total" not in docker("container prune", context).stdout
    assert daemon.lines == []


def test_where_nobody_can_answer_the_way_without_the_question_is_told(tmp_path):
    daemon, context = pruning(tmp_path)
    error = failing("container prune", context)
    assert error.message == "WARNING! This will remove all stopped containers."
    assert "--force" in error.hint
    assert daemon.lines == []
    assert docker("container prune -f", context).exit_code == 0


# -- connections


def test_another_daemon_for_one_command(tmp_path):
    context = context_for(FakeDaemon().client(), tmp_path)
    error = failing(f"-H unix://{tmp_path}/none.sock ps", context)
    assert error.message == (
        f"Cannot connect to the Docker daemon at unix://{tmp_path}/none.sock. Is the docker daemon running?"
    )
    with pytest.raises(CommandError, match="specify only one -H"):
        docker("-H a -H b ps", context)


def test_version_tells_of_the_client_where_no_daemon_answers(tmp_path):
    error = failing(f"-H unix://{tmp_path}/none.sock version", context_for(FakeDaemon().client(), tmp_path))
    assert error.result.stdout.startswith("Client: pydockmagic\n Version: ")
    assert error.exit_code == 1
