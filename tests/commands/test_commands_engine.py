"""The commands against the mini-engine itself: what the pieces promise, together."""

from __future__ import annotations

import threading

import pytest
from support.commanding import Shown, context_for, docker, failing
from support.engine import engine

from pydockmagic.client import Client, parse_address
from pydockmagic.commands import Interrupted

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("engine")) as address, Client(parse_address(address)) as made:
        yield made


@pytest.fixture
def context(client, tmp_path):
    made = context_for(client, tmp_path)
    yield made
    for each in client.containers(all=True):
        client.container_remove(each["Id"], force=True)


def test_a_container_says_hello_in_both_streams(context):
    result = docker("run --rm busybox sh -c 'echo out; echo err >&2; exit 3'", context)
    assert (result.stdout, result.exit_code) == ("out\n", 3)
    assert result.stderr.endswith("err\n")
    assert docker("ps -aq", context).stdout == ""


def test_input_goes_through_a_container(context):
    from dataclasses import replace

    lines = b"".join(b"line %d\n" % number for number in range(20000))
    result = docker("run --rm -i busybox cat", replace(context, stdin=lines))
    assert result.stdout.encode() == lines


def test_the_life_of_a_container(context):
    made = docker("run -d --name web -l a=b busybox sleep 1000", context)
    assert len(made.id) == 64
    (row,) = docker("ps", context)
    assert (row["Names"], row["State"], row["Image"]) == ("web", "running", "busybox")
    assert docker("exec web sh -c 'echo hi; exit 4'", context).exit_code == 4
    assert docker("pause web", context).stdout == "web\n"
    assert "(Paused)" in docker("ps", context).stdout
    assert "is paused" in failing("exec web true", context).message
    docker("unpause web", context)
    assert docker("kill web", context).stdout == "web\n"
    assert docker("wait web", context).stdout == "137\n"
    assert docker("inspect -f '{{.State.Status}} {{.State.ExitCode}}' web", context).stdout == "exited 137\n"
    assert docker("start web", context).stdout == "web\n"
    assert "stop the container" in failing("rm web", context).message.lower()
    assert docker("rm -f web", context).stdout == "web\n"
    assert failing("rm web", context).message == "Error response from daemon: No such container: web"


def test_commands_that_cannot_be_run_have_dockers_exit_codes(context):
    assert failing("run --rm busybox nosuchcmd", context).exit_code == 127
    assert failing("run --rm busybox /etc", context).exit_code == 126
    assert failing("run --rm --network nosuch busybox true", context).exit_code == 125


def test_logs_are_followed_until_the_end(context):
    docker("run -d --name talk busybox sh -c 'for i in 1 2 3; do echo $i; done; echo e >&2'", context)
    result = docker("logs -f talk", context)
    assert (result.stdout, result.stderr) == ("1\n2\n3\n", "e\n")
    assert docker("logs --tail 1 talk", context).stdout in {"3\n", ""}


def test_a_build_and_its_cache(context, tmp_path):
    (tmp_path / "f").write_text("data\n")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN cat /f && \\\n    echo said\n")
    first = docker("build -t b:1 .", context)
    assert [step.state for step in first.steps] == ["done", "done", "done"]
    assert first.steps[2].output == "data\nsaid\n"
    assert (first.steps[2].first_line, first.steps[2].last_line) == (3, 4)
    assert first.tags == ["b:1"]
    again = docker("build -t b:1 .", context)
    assert again.id == first.id
    assert [step.cached for step in again.steps[1:]] == [True, True]
    assert docker("run --rm b:1 cat /f", context).stdout == "data\n"


def test_a_step_that_fails_is_named_with_its_lines(context, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\n\nRUN echo before && exit 7\n")
    error = failing("build .", context)
    assert error.exit_code == 7
    assert error.message == "The command '/bin/sh -c echo before && exit 7' returned a non-zero code: 7"
    failed = error.result.steps[-1]
    assert (failed.state, failed.first_line, failed.exit_code, failed.output) == ("failed", 3, 7, "before\n")


def test_files_are_copied_out_and_in(context, tmp_path):
    docker("create --name copied busybox true", context)
    (tmp_path / "in.txt").write_text("hello")
    docker("cp in.txt copied:/tmp/in.txt", context)
    docker("cp copied:/tmp/in.txt out.txt", context)
    assert (tmp_path / "out.txt").read_text() == "hello"
    assert {"Type": "A", "Path": "/tmp/in.txt"} in docker("diff copied", context).rows


def test_images_travel_as_archives(context, tmp_path):
    docker("create --name copied busybox true", context)
    docker("commit copied mine:1", context)
    docker("save -o mine.tar mine:1", context)
    docker("rmi mine:1", context)
    assert "Loaded image: mine:1" in docker("load -i mine.tar", context).stdout
    assert docker("image inspect -f '{{.RepoTags}}' mine:1", context).stdout == "[mine:1]\n"
    docker("rmi mine:1", context)


def test_events_tell_what_happened(context):
    docker("run --rm --name told busybox true", context)
    text = docker("events --since 1m --until 0s --filter container=told --format '{{.Action}}'", context).stdout
    assert [line for line in text.splitlines() if line in {"create", "start", "die", "destroy"}] == [
        "create", "start", "die", "destroy",
    ]  # fmt: skip


class Pressing(Shown):
    """A person who interrupts when the program is ready."""

    def write(self, stream, text):
        super().write(stream, text)
        if "ready" in text:
            raise KeyboardInterrupt


def test_an_interrupt_reaches_the_program(context):
    from dataclasses import replace

    program = "run --name int busybox sh -c 'trap \"echo caught; exit 9\" INT; echo ready; while :; do sleep 0.1; done'"
    with pytest.raises(Interrupted) as caught:
        docker(program, replace(context, output=Pressing()))
    assert caught.value.exit_code == 9
    assert "caught" in caught.value.result.stdout
    assert "container int ended with exit code 9" in caught.value.message


def test_a_program_that_ignores_the_interrupt_is_killed(context):
    from dataclasses import replace

    with pytest.raises(Interrupted) as caught:
        docker("run --name deaf busybox sh -c 'echo ready; exec sleep 1000'", replace(context, output=Pressing()))
    assert "so it is killed" in caught.value.result.stdout
    assert caught.value.message.startswith("interrupted: container deaf ended with exit code 137")
    assert docker("inspect -f '{{.State.Running}}' deaf", context).stdout == "false\n"


def test_an_attached_container_is_left_running_when_its_stream_is_closed(context, client):
    docker("run -d --name bg busybox sleep 1000", context)
    stream = client.container_attach("bg")
    threading.Thread(target=stream.close).start()
    assert stream.read() == b""
    assert docker("inspect -f '{{.State.Running}}' bg", context).stdout == "true\n"


def test_the_doctor_lists_capabilities(context):
    result = docker("engine doctor", context)
    assert {row["Capability"] for row in result} >= {"overlay", "user namespaces"}
    assert {row["Available"] for row in result} <= {"yes", "no"}


def test_names_are_completed_from_the_daemon(context):
    from pydockmagic.commands import complete

    docker("create --name completed busybox true", context)
    assert [each.text for each in complete("start comp", context=context)] == ["completed"]
    assert "busybox" in [each.text for each in complete("run ", context=context)]
