"""Names, passwords and tokens."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.distribution import LOGIN, RegistryWorld
from support.registry import FakeRegistry

from pydockmagic.engine.distribution.challenge import challenges_of
from pydockmagic.engine.distribution.credentials import credentials_of, decode_header
from pydockmagic.engine.distribution.login import registry_domain
from pydockmagic.engine.errors import EngineError, NotFound, Unauthorized


def test_a_challenge_is_read_with_its_parameters() -> None:
    (one,) = challenges_of(['Bearer realm="https://a.example/token",service="s, t",scope="repository:x:pull"'])
    assert one.scheme == "bearer"
    assert one.parameters == {
        "realm": "https://a.example/token", "service": "s, t", "scope": "repository:x:pull",
    }  # fmt: skip
    two = challenges_of(['Basic realm="a \\"b\\"", Bearer realm=plain , error="invalid_token"', "Negotiate"])
    assert [c.scheme for c in two] == ["basic", "bearer", "negotiate"]
    assert two[0].parameters == {"realm": 'a "b"'}
    assert two[1].parameters == {"realm": "plain", "error": "invalid_token"}


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_header_is_read_without_complaint(headers: list[str]) -> None:
    challenges_of(headers)


@given(st.text(max_size=200))
def test_any_credentials_header_is_read_without_complaint(text: str) -> None:
    credentials_of(decode_header(text))


def test_credentials_come_in_several_forms() -> None:
    header = urlsafe_b64encode(b'{"username":"u","password":"p?>","serveraddress":"x"}').decode()
    for text in (header, header.rstrip("=")):
        assert credentials_of(decode_header(text)).password == "p?>"
    packed = credentials_of({"auth": b64encode(b"u:p:q").decode()})
    assert (packed.username, packed.password) == ("u", "p:q")
    assert not credentials_of({"auth": "?"}).basic


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("http://registry.example:5000/v2/", "registry.example:5000"),
    ],
)
def test_a_servers_address_means_a_domain(address: str, domain: str) -> None:
    assert registry_domain(address) == domain


def test_a_token_is_got_for_what_is_done_and_used_again(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("lab/app:1", {"a": "1"}, {"b": "2"})
    registry.auth = "token"
    world.pull("lab/app:1", auth=LOGIN)
    (asked,) = registry.asked("GET", "/token")
    assert asked.path == "/token?account=student&scope=repository%3Alab%2Fapp%3Apull&service=fake"
    assert asked.headers["authorization"].startswith("Basic ")
    assert registry.asked("GET", "/blobs/")[0].headers["authorization"] == "Bearer token-0"


def test_nobody_in_particular_gets_a_token_too(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.auth = "token"
    world.pull("app:1")
    assert "authorization" not in registry.asked("GET", "/token")[0].headers


def test_a_token_that_runs_out_in_the_middle_is_renewed(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"}, {"b": "2"})
    registry.auth = "token"

    def expired(_handler) -> bool:
        registry.tokens.clear()
        registry.tokens["another"] = ""  # so that the next one has another name
        return False

    registry.fault("GET", registry.layer_digests("app", "1")[1], expired)
    world.pull("app:1", auth=LOGIN)
    assert len(registry.asked("GET", "/token")) >= 2
    assert world.listed() == [world.name("app:1")]


def test_a_wrong_password_is_told(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.auth = "token"
    with pytest.raises(EngineError, match="unauthorized: incorrect username or password"):
        world.pull("app:1", auth={**LOGIN, "password": "wrong"})


def test_too_small_a_token_is_told_as_access_denied(world: RegistryWorld, registry: FakeRegistry) -> None:
    header = f'Bearer realm="http://{registry.host}/token",error="insufficient_scope"'

    def refuse(handler) -> bool:
        return handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=header)

    registry.fault("HEAD", "/manifests/", refuse)
    registry.fault("GET", "/manifests/", refuse)
    name = world.name("me/app")
    with pytest.raises(NotFound) as caught:
        world.pull("me/app")
    assert str(caught.value) == (
        f"pull access denied for {name}, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )


def test_an_identity_token_stands_for_the_password(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.auth = "token"
    world.pull("app:1", auth={"identitytoken": "identity"})
    (asked,) = registry.asked("POST", "/token")
    assert b"grant_type=refresh_token&refresh_token=identity" in asked.body
    assert registry.asked("GET", "/token") == []


def test_a_ready_token_is_shown_as_it_is(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.auth, registry.tokens["given"] = "token", ""
    world.pull("app:1", auth={"registrytoken": "given"})
    assert registry.asked("GET", "/token") == []


@pytest.mark.parametrize(
    ("auth", "password", "sentence"),
    [
        ("basic", "wrong", "login attempt to URL failed with status: 401 Unauthorized"),
        ("basic", "", 'Get "URL": no basic auth credentials'),
        ("token", "wrong", 'Get "URL": unauthorized: incorrect username or password'),
    ],
)
def test_a_login_that_fails_says_why(
    world: RegistryWorld, registry: FakeRegistry, auth: str, password: str, sentence: str
) -> None:
    registry.auth = auth
    with pytest.raises(EngineError) as caught:
        world.run(world.distribution.login(registry.host, {**LOGIN, "password": password}))
    assert str(caught.value) == sentence.replace("URL", f"http://{registry.host}/v2/")
    assert isinstance(caught.value, Unauthorized) == bool(password)


def test_a_login_gives_the_identity_token_if_there_is_one(world: RegistryWorld, registry: FakeRegistry) -> None:
    assert world.run(world.distribution.login(registry.host, LOGIN)) == ""
    registry.auth = "basic"
    assert world.run(world.distribution.login(registry.host, LOGIN)) == ""
    registry.auth = "token"
    assert world.run(world.distribution.login(f"http://{registry.host}/v2/", LOGIN)) == "identity"


def test_a_login_where_nobody_is_says_so(world: RegistryWorld) -> None:
    with pytest.raises(EngineError, match=r'^Get "http://127.0.0.1:9/v2/": dial tcp 127.0.0.1:9: connect: connection'):
        world.run(world.distribution.login("127.0.0.1:9", LOGIN))
