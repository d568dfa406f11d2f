"""JSON as Go reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.containers.config import CreateRequest, HostConfig
from pydockmagic.engine.containers.execs import ExecConfig
from pydockmagic.engine.containers.gojson import fold_keys, syntax_error
from pydockmagic.engine.containers.requests import decode
from pydockmagic.engine.errors import InvalidParameter


def test_keys_come_in_any_case():
    assert decode({"detachKeys": "ctrl-p", "TTY": True, "Cmd": ["a"]}, ExecConfig).detach_keys == "ctrl-p"
    request = decode({"image": "x", "hostConfig": {"portbindings": {"80/tcp": [{"HOSTPORT": "8"}]}}}, CreateRequest)
    assert request.image == "x"
    (binding,) = request.host_config.port_bindings["80/tcp"]
    assert binding.host_port == "8"


def test_keys_of_maps_are_the_clients_own():
    labels = decode({"LABELS": {"A": "1", "a": "2"}}, CreateRequest).labels
    assert labels == {"A": "1", "a": "2"}


@pytest.mark.parametrize("body", [{"Image": "this", "image": "that"}, {"image": "that", "Image": "this"}])
def test_the_exact_key_counts(body):
    assert decode(body, CreateRequest).image == "this"


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_unknown_keys_stay(body):
    known = {name.lower() for name in HostConfig.__struct_encode_fields__}
    body = {key: value for key, value in body.items() if key.lower() not in known}
    assert fold_keys(body, HostConfig) == body


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"Tty": "x"}, "json: cannot unmarshal string into Go struct field CreateRequest.Tty of type bool"),
        ({"Env": [1]}, "json: cannot unmarshal number into Go struct field CreateRequest.Env of type string"),
        (
            {"HostConfig": {"Memory": "1"}},
            "json: cannot unmarshal string into Go struct field HostConfig.HostConfig.Memory of type int64",
        ),
        (
            {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}},
            (
                "json: cannot unmarshal number into Go struct field "
                "PortBinding.HostConfig.PortBindings.HostPort of type string"
            ),
        ),
    ],
)
def test_a_wrong_type_is_told_in_gos_words(body, sentence):
    with pytest.raises(InvalidParameter) as caught:
        decode(body, CreateRequest)
    assert str(caught.value) == f"invalid JSON: {sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("junk", "invalid character 'j' looking for beginning of value"),
        ("{'a'", "invalid character '\\'' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        ('{"}{": [1 2]}', "invalid character '2' after array element"),
        ('{"a": trux}', "invalid character 'x' in literal true (expecting 'e')"),
        ('{"a": "\n"}', "invalid character '\\n' in string literal"),
        ('{"a": 1', "unexpected EOF"),
        ("{", "unexpected EOF"),
        ('{"a', "unexpected EOF"),
        ("{} x", "invalid character 'x' after top-level value"),
    ],
)
def test_bad_syntax_is_told_in_gos_words(text, sentence):
    assert syntax_error(text.encode()) == sentence


@given(st.binary(max_size=40) | st.text(alphabet='{}[]:,"atrufnle1. \n\\', max_size=20).map(str.encode))
def test_every_text_has_a_sentence(raw):
    try:
        json.loads(raw)
    except ValueError:
        assert syntax_error(raw)
