"""Image references in the project's own words."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.oci.errors import InvalidReference
from pydockmagic.oci.reference import (
    Reference,
    familiar_match,
    parse,
    parse_any,
    parse_docker,
    parse_normalized,
    path_match,
    sort_references,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
LOWER = string.ascii_lowercase + string.digits
PART = st.text(LOWER, min_size=1, max_size=8)
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
DOMAIN = st.sampled_from(["docker.io", "localhost", "localhost:5000", "example.com", "[::1]:80", "UPPER"])
TAG = st.one_of(st.just(""), st.text(LOWER + "_.-", min_size=1, max_size=10).filter(lambda t: t[0] not in ".-"))


@pytest.mark.parametrize(
    ("typed", "normalized", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("library/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1", "busybox:1"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("a.b/c@" + DIGEST, "a.b/c@" + DIGEST, "a.b/c@" + DIGEST),
        ("Upper/case", "Upper/case", "Upper/case"),
    ],
)
def test_what_is_typed_is_normalized_and_shown_short(typed, normalized, familiar):
    reference = parse_normalized(typed)
    assert str(reference) == normalized
    assert reference.familiar == familiar


@given(DOMAIN, PATH, TAG, st.sampled_from(["", DIGEST]))
def test_writing_and_reading_is_the_identity(domain, path, tag, digest):
    reference = Reference(domain, path, tag, digest)
    assert parse(str(reference)) == reference
    if domain != "docker.io" or "/" in path:
        assert parse_normalized(str(reference)) == reference
        assert parse_normalized(reference.familiar) == reference or domain == "docker.io"


@given(PATH, TAG)
def test_the_familiar_form_means_the_same(path, tag):
    reference = parse_normalized(path + (f":{tag}" if tag else ""))
    assert parse_normalized(reference.familiar) == reference


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_an_error(text):
    try:
        reference = parse_docker(text)
    except InvalidReference:
        return
    assert parse_normalized(str(reference)) == reference
    assert reference.tag or reference.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"),
        ("a b", "invalid reference format"),
        ("busybox:", "invalid reference format"),
        ("busybox:-x", "invalid reference format"),
        ("busybox:" + "t" * 129, "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("busybox\n", "invalid reference format"),
        ("", "invalid reference format"),
        ("f" * 64, f"invalid repository name ({'f' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        ("busybox@md5:" + "0" * 32, "unsupported digest algorithm"),
        ("busybox@sha256:" + "0" * 63, "invalid checksum digest length"),
        ("busybox@sha256:" + "A" * 64, "invalid checksum digest format"),
    ],
)
def test_errors_are_dockers(text, words):
    with pytest.raises(InvalidReference) as caught:
        parse_normalized(text)
    assert str(caught.value) == words


def test_latest_is_the_tag_of_those_who_say_nothing():
    assert parse_docker("busybox").tag == "latest"
    assert parse_docker("busybox:1").tag == "1"
    assert parse_docker("busybox:1@" + DIGEST) == parse_normalized("busybox@" + DIGEST)
    assert parse_normalized("busybox").is_name_only
    assert parse_normalized("busybox:1").without_suffix() == parse_normalized("busybox")


def test_ids_are_known_by_their_length():
    assert parse_any("f" * 64) == Reference(digest="sha256:" + "f" * 64)
    assert str(parse_any(DIGEST)) == DIGEST
    assert parse_any("f" * 63).path == "library/" + "f" * 63


def test_tags_and_digests_are_replaced():
    reference = parse_normalized("busybox").with_tag("1").with_digest(DIGEST)
    assert str(reference) == f"docker.io/library/busybox:1@{DIGEST}"
    with pytest.raises(InvalidReference, match="invalid tag format"):
        reference.with_tag("a/b")
    with pytest.raises(InvalidReference, match="invalid digest format"):
        reference.with_digest("sha256:short")


def test_the_most_exact_sorts_first():
    names = ["b", "a", "a:1", f"a@{DIGEST}", f"a:1@{DIGEST}", "not one!"]
    assert sort_references(names) == [
        f"docker.io/library/a:1@{DIGEST}", "docker.io/library/a:1", f"docker.io/library/a@{DIGEST}",
        "docker.io/library/a", "docker.io/library/b", "not one!",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "abc", True), ("*", "a/c", False), ("a?c", "abc", True), ("a?c", "a/c", False), ("", "", True),
        ("[a-c]x", "bx", True), ("[^a-c]x", "bx", False), ("[^a]", "b", True), ("\\*", "*", True), ("\\*", "a", False),
        ("[\\]]", "]", True), ("a[", None, False), ("[]a]", None, False), ("[-]", None, False), ("a\\", None, False),
        ("[z-a]", "b", False), ("[^z-a]", "b", True), ("a.c", "abc", False), ("*b*", "abc", True), ("é", "é", True),
    ],
)  # fmt: skip
def test_patterns_match_as_gos_do(pattern, name, fits):
    if name is None:
        with pytest.raises(InvalidReference, match="syntax error in pattern"):
            path_match(pattern, "b")
    else:
        assert path_match(pattern, name) == fits


def test_filters_look_at_the_familiar_name_with_and_without_tag():
    reference = parse_normalized("busybox:1")
    assert familiar_match("busybox", reference)
    assert familiar_match("busy*:1", reference)
    assert not familiar_match("busybox:2", reference)
    assert not familiar_match("docker.io/library/busybox", reference)
