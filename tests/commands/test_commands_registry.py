"""login, logout, and the credentials that go with pulls, pushes and builds."""

from __future__ import annotations

import json
import os
from base64 import b64encode, urlsafe_b64decode
from pathlib import Path

import pytest
from support.commanding import Shown, context_for, docker, failing
from support.daemon import FakeDaemon

from pydockmagic.commands.credentials import HUB_KEY, Credentials, CredentialsError, CredentialsFile, host_of

HELPER = """#!/bin/sh
echo "$1" >> "$HELPER_LOG"
case $1 in
get) read server; [ "$server" = known:1 ] && echo '{"Username":"student","Secret":"s3cret"}' \
    || { echo "credentials not found in native keychain"; exit 1; } ;;
list) echo '{"known:1":"student"}' ;;
*) cat >> "$HELPER_LOG"; echo >> "$HELPER_LOG" ;;
esac
"""


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon().on("POST", "/auth", {"Status": "Login Succeeded", "IdentityToken": ""})


@pytest.fixture
def context(daemon: FakeDaemon, tmp_path: Path):
    return context_for(daemon.client(), tmp_path, environ={"DOCKER_CONFIG": str(tmp_path / "config")})


@pytest.fixture
def helper(tmp_path: Path) -> dict[str, str]:
    """A helper program ``docker-credential-fake``, and the environment that finds it."""
    program = tmp_path / "docker-credential-fake"
    program.write_text(HELPER)
    program.chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "HELPER_LOG": str(tmp_path / "log"),
        "DOCKER_CONFIG": str(tmp_path / "config"),
    }  # fmt: skip


def config(tmp_path: Path, document: object = None) -> dict:
    path = tmp_path / "config" / "config.json"
    if document is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
    return json.loads(path.read_text())


def header(daemon: FakeDaemon, name: str) -> dict:
    request = [each for each in daemon.asked if each.url.path != "/_ping"][-1]
    return json.loads(urlsafe_b64decode(request.headers[name]))


def test_a_login_keeps_the_password_and_warns(daemon: FakeDaemon, context, tmp_path: Path) -> None:
    context.stdin = b"s3cret\n"
    result = docker("login -u student --password-stdin 127.0.0.1:5000", context)
    assert result.stdout == "Login Succeeded\n"
    assert result.stderr == (
        f"\nWARNING! Your credentials are stored unencrypted in '{tmp_path}/config/config.json'.\n"
        "Configure a credential helper to remove this warning. See\n"
        "https://docs.docker.com/go/credential-store/\n\n"
    )
    assert daemon.body() == {"username": "student", "password": "s3cret", "serveraddress": "127.0.0.1:5000"}
    text = (tmp_path / "config" / "config.json").read_text()
    assert text == '{\n\t"auths": {\n\t\t"127.0.0.1:5000": {\n\t\t\t"auth": "c3R1ZGVudDpzM2NyZXQ="\n\t\t}\n\t}\n}'
    assert (tmp_path / "config" / "config.json").stat().st_mode & 0o777 == 0o600
    again = docker("login -u student -p s3cret http://127.0.0.1:5000/v2/", context)
    assert again.stderr == "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n"


def test_an_identity_token_is_kept_in_place_of_the_password(context, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon._answers.clear()
    daemon.on("POST", "/auth", {"Status": "Login Succeeded", "IdentityToken": "token"})
    result = docker("login -u student -p s3cret", context)
    assert "unencrypted" not in result.stderr
    assert daemon.body()["serveraddress"] == HUB_KEY
    kept = config(tmp_path)["auths"][HUB_KEY]
    assert kept == {"auth": b64encode(b"student:").decode(), "identitytoken": "token"}
    daemon.on("GET", "/images/search", [])
    docker("search x", context)
    assert header(daemon, "x-registry-auth")["identitytoken"] == "token"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("login 127.0.0.1:5000", "Error: Cannot perform an interactive login from a non TTY device"),
        ("login -p x 127.0.0.1:5000", "Error: Cannot perform an interactive login from a non TTY device"),
        ("login --password-stdin", "the --password-stdin option requires --username to be set"),
        ("login -u x --password-stdin", "password is empty"),
        (
            "login -u x -p y --password-stdin",
            "conflicting options: cannot specify both --password and --password-stdin",
        ),
    ],
)
def test_a_login_that_cannot_be_says_so(context, line: str, sentence: str) -> None:
    assert failing(line, context).message == sentence


def test_a_person_is_asked_for_what_is_missing(context, daemon: FakeDaemon) -> None:
    asked = []

    def answer(question: str) -> str:
        asked.append(question)
        return {"Username: ": "student", "Password: ": "s3cret"}[question]

    context.ask = context.secret = answer
    assert docker("login 127.0.0.1:5000", context).stdout == "Login Succeeded\n"
    assert asked == ["Username: ", "Password: "]
    context.ask = lambda _question: ""
    assert failing("login other:1", context).message == "Error: Non-null Username Required"


def test_known_credentials_are_tried_again_first(context, daemon: FakeDaemon, tmp_path: Path) -> None:
    config(tmp_path, {"auths": {"https://known:1": {"auth": b64encode(b"student:s3cret").decode()}}})
    result = docker("login known:1", context)
    assert "Authenticating with existing credentials... [Username: student]\n" in result.stderr
    assert result.stdout == "Login Succeeded\n"
    daemon._answers.clear()
    daemon.refuse("POST", "/auth", 401, "no")
    error = failing("login known:1", context)
    assert error.result is not None
    assert "Stored credentials invalid or expired\n" in error.result.stderr


def test_a_refused_login_keeps_nothing(context, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon._answers.clear()
    daemon.refuse("POST", "/auth", 401, "login attempt failed")
    assert failing("login -u x -p y a:1", context).message == "Error response from daemon: login attempt failed"
    assert not (tmp_path / "config").exists()


def test_a_logout_forgets_every_form_of_the_name_and_nothing_else(context, tmp_path: Path) -> None:
    auths = {name: {"auth": "eDp5"} for name in ("a:1", "http://a:1", "https://a:1", "b:1", HUB_KEY)}
    config(tmp_path, {"auths": auths, "currentContext": "mine", "credHelpers": {}})
    assert docker("logout http://a:1", context).stdout == "Removing login credentials for a:1\n"
    assert list(config(tmp_path)["auths"]) == ["b:1", HUB_KEY]
    assert config(tmp_path)["currentContext"] == "mine"
    assert docker("logout", context).stdout == f"Removing login credentials for {HUB_KEY}\n"
    assert list(config(tmp_path)["auths"]) == ["b:1"]


def test_pulls_pushes_and_builds_take_their_credentials_along(context, daemon: FakeDaemon, tmp_path: Path) -> None:
    config(tmp_path, {"auths": {"a:1": {"auth": b64encode(b"student:s3cret").decode()}, HUB_KEY: {"auth": "eDp5"}}})
    known = {"username": "student", "password": "s3cret", "serveraddress": "a:1"}
    daemon.on("POST", "/images/create", raw=b"{}").on("POST", "/images/a:1/app/push", raw=b"{}")
    docker("pull -q a:1/app", context)
    assert header(daemon, "x-registry-auth") == known
    docker("push -q a:1/app", context)
    assert header(daemon, "x-registry-auth") == known
    docker("pull -q b:1/app", context)
    assert header(daemon, "x-registry-auth") == {}
    docker("pull -q app", context)
    assert header(daemon, "x-registry-auth")["serveraddress"] == HUB_KEY
    daemon.on("POST", "/build", raw=b"{}")
    (tmp_path / "Dockerfile").write_text("FROM a:1/app\n")
    docker("build .", context)
    assert set(header(daemon, "x-registry-config")) == {"a:1", HUB_KEY}


def test_a_helper_keeps_what_is_told_it(daemon: FakeDaemon, helper: dict[str, str], tmp_path: Path) -> None:
    config(tmp_path, {"credsStore": "fake", "auths": {}})
    context = context_for(daemon.client(), tmp_path, environ=helper)
    result = docker("login -u student -p s3cret other:1", context)
    assert "unencrypted" not in result.stderr
    assert config(tmp_path) == {"auths": {"other:1": {}}, "credsStore": "fake"}
    said = (tmp_path / "log").read_text()
    assert 'store\n{"ServerURL":"other:1","Username":"student","Secret":"s3cret"}\n' in said
    docker("logout other:1", context)
    assert config(tmp_path)["auths"] == {}
    assert "erase\nother:1\n" in (tmp_path / "log").read_text()
    file = CredentialsFile(helper)
    assert file.get("known:1") == Credentials("known:1", "student", "s3cret")
    assert not file.get("unknown:1")
    assert "known:1" in json.loads(urlsafe_b64decode(file.header_for_all()))


def test_a_helper_for_one_registry_alone(helper: dict[str, str], tmp_path: Path) -> None:
    config(tmp_path, {"credHelpers": {"known:1": "fake"}, "auths": {"b:1": {"auth": "eDp5"}}})
    file = CredentialsFile(helper)
    assert file.get("known:1").username == "student"
    assert file.get("b:1").username == "x"


def test_a_helper_that_is_not_there_is_told_when_something_is_kept(context, tmp_path: Path) -> None:
    config(tmp_path, {"credsStore": "none"})
    error = failing("login -u student -p s3cret a:1", context)
    assert error.message == (
        "Error saving credentials: error storing credentials - err: "
        'exec: "docker-credential-none": executable file not found in $PATH, out: ``'
    )
    assert not CredentialsFile(context.environ).get("a:1")
    result = docker("logout a:1", context)
    assert "WARNING: could not erase credentials:\na:1: error erasing credentials - err: " in result.stderr


def test_a_broken_file_is_told(context, daemon: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text("{nonsense")
    assert "config.json: " in failing("login -u a -p b c:1", context).message
    with pytest.raises(CredentialsError):
        CredentialsFile(context.environ).get("c:1")
    daemon.on("POST", "/images/create", raw=b"{}")
    docker("pull -q app", context)  # what is public can be had all the same
    assert header(daemon, "x-registry-auth") == {}


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").symlink_to(tmp_path / "real.json")
    CredentialsFile({"DOCKER_CONFIG": str(tmp_path / "config")}).store(Credentials("a:1", "x", "y"))
    assert (tmp_path / "config" / "config.json").is_symlink()
    assert "a:1" in (tmp_path / "real.json").read_text()


@pytest.mark.parametrize("address", ["a:1", "http://a:1", "https://a:1/v2/"])
def test_an_address_has_a_host(address: str) -> None:
    assert host_of(address) == "a:1"


def test_progress_of_a_push_is_shown_line_by_line(context, daemon: FakeDaemon) -> None:
    messages = [
        {"status": "The push refers to repository [a:1/app]"},
        {"status": "Preparing", "progressDetail": {}, "id": "abc"},
        {"status": "Pushing", "progressDetail": {"current": 1, "total": 2}, "progress": "[>]", "id": "abc"},
        {"status": "Pushed", "progressDetail": {}, "id": "abc"},
        {"status": "latest: digest: sha256:x size: 1"},
        {"progressDetail": {}, "aux": {"Tag": "latest"}},
    ]
    daemon.on("POST", "/images/a:1/app/push", raw="".join(map(json.dumps, messages)).encode())
    assert isinstance(context.output, Shown)
    assert docker("push a:1/app", context).stdout == (
        "Using default tag: latest\nThe push refers to repository [a:1/app]\nabc: Preparing\nabc: Pushed\n"
        "latest: digest: sha256:x size: 1\n"
    )
