"""``docker context`` on docker's own files, beside the real docker command where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from support.commanding import Shown, docker, failing

from pydockmagic.client import Client, parse_address
from pydockmagic.commands import Connection, Context


@pytest.fixture
def environ(tmp_path):
    return {"DOCKER_CONFIG": str(tmp_path / "config"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}


@pytest.fixture
def context(environ, tmp_path):
    return Context(directory=tmp_path, connection=Connection(), environ=environ, output=Shown())


@pytest.fixture
def theirs(environ):
    """Run the real docker command on the same files."""
    if shutil.which("docker") is None and not os.environ.get("CI"):
        pytest.skip("needs the docker command")

    def run(*words):
        return subprocess.run(["docker", "context", *words], env=environ, capture_output=True, text=True, check=False)

    return run


def certificates(folder):
    for name in ("ca", "cert", "key"):
        (folder / f"{name}.pem").write_text(f"{name} of the test")
    return ",".join(f"{name}={folder}/{name}.pem" for name in ("ca", "cert", "key"))


def test_a_context_made_here_is_dockers_too(context, theirs, tmp_path):
    pieces = certificates(tmp_path)
    made = docker(f"context create lab --description 'the lab' --docker host=tcp://lab:2376,{pieces}", context)
    assert (made.stdout, made.stderr) == ("lab\n", 'Successfully created context "lab"\n')
    assert docker("context inspect lab", context).stdout == theirs("inspect", "lab").stdout
    key = tmp_path / "config/contexts/tls"
    assert [path.stat().st_mode & 0o777 for path in key.glob("*/docker/*.pem")] == [0o600] * 3


def test_a_context_made_by_docker_is_ours_too(context, theirs):
    theirs("create", "far", "--docker", "host=ssh://me@far", "--description", "far away")
    listed = docker("context ls", context)
    assert "<td" in (page := listed._repr_html_())
    assert ">far<" in page
    rows = {row["Name"]: row for row in listed}
    assert rows["far"]["DockerEndpoint"] == "ssh://me@far"
    assert rows["far"]["Description"] == "far away"
    assert docker("context inspect -f '{{.Endpoints.docker.Host}}' far", context).stdout == "ssh://me@far\n"


@pytest.mark.parametrize(
    "words",
    [
        "create a",
        "create default",
        "create ok --docker hst=1",
        "create ok --docker host=ssh://x:y@h",
        "create ok --docker host=tcp://x,ca=/nope",
        "inspect nosuch",
        "rm nosuch",
        "rm default",
        "use nosuch",
        "update nosuch --description x",
    ],
)
def test_mistakes_are_told_in_dockers_words(words, context, theirs):
    peer = theirs(*words.split())
    error = failing(f"context {words}", context)
    told = error.stderr.removesuffix("\n")
    assert peer.returncode == error.exit_code == 1
    if "ssh" in words:  # docker names the layer that noticed it as well
        assert told.rpartition(": ")[2] == peer.stderr.strip().rpartition(": ")[2]
    else:
        assert told == peer.stderr.strip()


def test_the_embedded_engine_is_listed_and_in_use_at_first(context):
    rows = docker("context ls", context)
    assert [(row["Name"], row["Current"]) for row in rows] == [("embedded", True), ("default", False)]
    assert docker("context show", context).stdout == "embedded\n"
    assert "embedded *" in rows.stdout


def test_an_address_given_directly_is_shown_as_it_is(context):
    context.connection.use("tcp://there:2375")
    assert docker("context show", context).stdout == "tcp://there:2375\n"
    assert docker("context ls", context)[0]["DockerEndpoint"] == "tcp://there:2375"


def test_a_context_travels_in_an_archive_both_ways(context, theirs, tmp_path):
    docker(f"context create lab --docker host=tcp://lab:2376,{certificates(tmp_path)}", context)
    assert 'Written file "lab.dockercontext"' in docker("context export lab", context).stderr
    assert failing("context export lab", context).message == "open lab.dockercontext: file exists"
    assert theirs("import", "theirs", str(tmp_path / "lab.dockercontext")).returncode == 0
    assert theirs("export", "theirs", str(tmp_path / "back.tar")).returncode == 0
    assert docker("context import again back.tar", context).stdout == "again\n"
    found = json.loads(docker("context inspect again", context).stdout)[0]
    assert found["Endpoints"]["docker"]["Host"] == "tcp://lab:2376"
    assert found["TLSMaterial"] == {"docker": ["ca.pem", "cert.pem", "key.pem"]}
    (tmp_path / "junk").write_text("junk")
    assert "neither a tar nor a zip" in failing("context import junk junk", context).message


def test_removing_takes_the_certificates_along(context, tmp_path):
    docker(f"context create lab --docker host=tcp://lab:2376,{certificates(tmp_path)}", context)
    docker("context update lab --description new", context)
    assert docker("context rm lab", context).stdout == "lab\n"
    assert not list((tmp_path / "config/contexts").glob("*/*"))
    assert docker("context rm -f lab", context).stdout == "lab\n"


def test_using_a_context_that_does_not_answer_changes_nothing(context, tmp_path, environ, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", environ["DOCKER_CONFIG"])
    docker(f"context create gone --docker host=unix://{tmp_path}/nobody", context)
    assert "Cannot connect to the Docker daemon" in failing("context use gone", context).message
    assert docker("context show", context).stdout == "embedded\n"


def test_a_terminals_choice_would_not_last_and_that_is_said(environ, tmp_path):
    context = Context(directory=tmp_path, environ=environ, output=Shown(), echo=True)
    docker("context create lab --docker host=tcp://lab:2375", context)
    error = failing("context use lab", context)
    assert "DOCKER_CONTEXT=lab" in error.hint


def test_a_context_in_use_is_followed_by_the_commands(environ, tmp_path):
    context = Context(directory=tmp_path, environ=environ, output=Shown(), connection=Connection(factory=answering))
    docker("context create lab --docker host=tcp://lab:2375", context)
    used = docker("context use lab", context)
    assert used.stderr == 'Current context is now "lab"\n'
    assert docker("context show", context).stdout == "lab\n"
    assert failing("context rm lab", context).message == 'context "lab" is in use, set -f flag to force remove'


def answering(_target):
    import httpx

    answers = httpx.MockTransport(lambda _request: httpx.Response(200, json={"Version": "1", "ApiVersion": "1.50"}))
    return Client(parse_address("tcp://lab:2375"), transport=answers)
