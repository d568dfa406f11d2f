from __future__ import annotations

import hashlib
import json

import pytest

from pydockmagic.client import BadAddress, choose, connect, parse_address


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("unix:///run/d.sock", "unix:///run/d.sock"),
        ("tcp://10.0.0.1", "tcp://10.0.0.1:2375"),
        ("tcp://[::1]:99", "tcp://[::1]:99"),
        ("https://example.com", "https://example.com:2376"),
        ("10.0.0.1:77", "tcp://10.0.0.1:77"),
    ],
)
def test_an_address_is_completed_as_docker_does(given, url):
    assert str(parse_address(given)) == url


@pytest.mark.parametrize("given", ["ftp://x", "tcp://x:port", "tcp://a b", "tcp://x:99999", "ssh://"])
def test_what_cannot_be_used_is_refused_with_a_sentence(given):
    with pytest.raises(BadAddress, match=r"unable to parse docker host|no host specified"):
        parse_address(given)


def test_what_is_named_comes_first_then_our_variable_then_dockers():
    environ = {"PYDOCK_HOST": "unix:///ours", "DOCKER_HOST": "unix:///dockers"}
    assert str(choose("unix:///named", environ)) == "unix:///named"
    assert str(choose(None, environ)) == "unix:///ours"
    assert choose(None, environ).source == "PYDOCK_HOST"
    assert str(choose(None, {"DOCKER_HOST": "unix:///dockers"})) == "unix:///dockers"
    assert choose(None, {}) is None
    assert str(choose(None, {"DOCKER_HOST": "unix:///dockers", "DOCKER_CONTEXT": "default"})) == "unix:///dockers"
    assert str(choose(None, {"DOCKER_CONTEXT": "default"})) == "unix:///var/run/docker.sock"
    assert choose("embedded", environ) is None


def context_in(config, name, endpoint):
    key = hashlib.sha256(name.encode()).hexdigest()
    folder = config / "contexts" / "meta" / key
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    return config / "contexts" / "tls" / key / "docker"


def test_a_docker_context_is_read_where_docker_keeps_it(tmp_path):
    tls = context_in(tmp_path, "lab", {"Host": "tcp://lab:2376", "SkipTLSVerify": True})
    tls.mkdir(parents=True)
    (tls / "ca.pem").write_text("")
    found = choose("lab", {"DOCKER_CONFIG": str(tmp_path)})
    assert str(found) == "tcp://lab:2376"
    assert found.source == "context lab"
    assert found.tls.ca == tls / "ca.pem"
    assert found.tls.cert is None
    assert not found.tls.verify


def test_a_context_that_is_not_there_is_told_in_dockers_words(tmp_path):
    with pytest.raises(BadAddress, match='context "nosuch": context not found'):
        choose("nosuch", {"DOCKER_CONFIG": str(tmp_path)})


def test_a_context_that_cannot_be_read_is_told(tmp_path):
    context_in(tmp_path, "odd", {})
    with pytest.raises(BadAddress, match='context "odd": cannot be read'):
        choose("odd", {"DOCKER_CONFIG": str(tmp_path)})


def test_certificates_of_the_environment_turn_tls_on(tmp_path):
    environ = {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    found = choose(None, environ)
    assert str(found) == "tcp://h:2376"
    assert found.tls is not None
    assert found.tls.verify


def test_certificates_that_cannot_be_read_are_told_when_connecting(tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    environ = {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    with pytest.raises(BadAddress, match="could not read the TLS certificates"):
        connect(environ=environ).info()
