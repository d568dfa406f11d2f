"""The .dockerignore file and its patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.dockerfile import Ignored, IgnorePatternError, read_ignore_file


def test_the_file_is_tidied():
    text = "\ufeff# comment\n  *.log  \n\n/a/../b/\n! /keep/it\n #not a comment\n"
    assert read_ignore_file(text) == ["*.log", "b", "!keep/it", "#not a comment"]


def test_a_matched_directory_takes_all_below_it():
    ignored = Ignored(["build"])
    assert ignored.ignores("build")
    assert ignored.ignores("build/a/b")
    assert not ignored.ignores("rebuild")


def test_the_last_matching_pattern_decides():
    ignored = Ignored(["*.md", "!README.md", "README*"])
    assert ignored.ignores("README.md")
    assert not Ignored(["*.md", "!README.md"]).ignores("README.md")
    assert Ignored(["*.md", "!README.md"]).has_exceptions


def test_stars_stay_in_one_directory_and_double_stars_do_not():
    assert not Ignored(["*.go"]).ignores("a/b.go")
    assert Ignored(["**/*.go"]).ignores("b.go")
    assert Ignored(["**/*.go"]).ignores("a/b/c.go")
    assert Ignored(["a/**/z"]).ignores("a/z")
    assert not Ignored(["a?c"]).ignores("a/c")


def test_classes():
    assert Ignored(["[a-c]x"]).ignores("bx")
    assert not Ignored(["[^a-c]x"]).ignores("bx")
    assert not Ignored(["a[^b]c"]).ignores("a/c")
    assert Ignored(["[[]x"]).ignores("[x")
    assert Ignored(["[a&&b]x"]).ignores("&x")


@pytest.mark.parametrize("pattern", ["[", "a[", "[]a]", "[-x]", "a\\", "[a-]"])
def test_malformed_patterns_are_refused(pattern):
    with pytest.raises(IgnorePatternError, match="syntax error in pattern"):
        Ignored([pattern])


def test_an_exclamation_mark_alone_is_refused():
    with pytest.raises(IgnorePatternError, match='illegal exclusion pattern: "!"'):
        Ignored(["!"])


NAME = st.text(alphabet="abc.", min_size=1, max_size=4).filter(lambda n: n not in (".", ".."))
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)


@given(PATH)
def test_a_plain_path_matches_itself_and_double_star_everything(path):
    assert Ignored([path]).ignores(path)
    assert Ignored([path]).ignores(path + "/below")
    assert Ignored(["**"]).ignores(path)
    assert not Ignored(["**", "!" + path]).ignores(path)


@given(st.lists(st.text(alphabet="ab*?[]^-\\/!.", max_size=6), max_size=4), PATH)
def test_any_patterns_match_or_are_refused(patterns, path):
    try:
        ignored = Ignored(patterns)
    except IgnorePatternError as error:
        assert 1 <= error.first_line <= len(patterns)  # noqa: PT017 - either outcome is right
    else:
        ignored.ignores(path)
