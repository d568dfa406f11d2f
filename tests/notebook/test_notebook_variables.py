import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.commands import Result, TableResult
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.variables import expand


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("{name}", "web"),
        ("{name}:{tag}", "web:2"),
        ("--name={name}", "--name=web"),
        ("{{.Names}}", "{{.Names}}"),
        ("{{name}}", "{{name}}"),
        ("table {{.ID}}\t{{.Names}}", "table {{.ID}}\t{{.Names}}"),
        ("$HOME ${name} $(name)", "$HOME ${name} $(name)"),
        ('{"a": 1}', '{"a": 1}'),
        ("{a,b} {1} {} { name }", "{a,b} {1} {} { name }"),
    ],
)
def test_only_braces_around_one_plain_name_are_expanded(word, expanded):
    assert expand([word], {"name": "web", "tag": 2}) == [expanded]


def test_a_value_with_blanks_stays_one_word():
    assert expand(["echo", "{text}"], {"text": "a b; c"}) == ["echo", "a b; c"]


def test_a_line_end_at_the_end_of_a_result_is_dropped():
    assert expand(["{id}"], {"id": "abc\n"}) == ["abc"]


def test_a_value_is_not_expanded_again():
    assert expand(["{a}"], {"a": "{b}", "b": "no"}) == ["{b}"]


def test_an_unknown_name_is_an_error_that_says_what_braces_mean():
    with pytest.raises(DockerError, match="name 'nosuch' is not defined") as caught:
        expand(["{nosuch}"], {})
    assert "{{...}}" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["a b", 2], ["a b", "2"]),
        (("one",), ["one"]),
        ([], []),
        (Result(stdout="abc\ndef\n"), ["abc", "def"]),
        (Result(stdout="abc\r\n"), ["abc"]),
        (Result(), []),
        (TableResult(stdout="1\n2\n", rows=[{"ID": "1"}, {"ID": "2"}]), ["1", "2"]),
        (pd.Series(["x", "y"]), ["x", "y"]),
        ("a\nb", ["a\nb"]),
    ],
)
def test_a_list_alone_in_its_word_stands_for_as_many_words(value, words):
    assert expand(["rm", "{it}", "-f"], {"it": value}) == ["rm", *words, "-f"]


def test_a_list_within_a_word_stays_in_it():
    assert expand(["--label=ids={ids}"], {"ids": Result(stdout="abc\ndef\n")}) == ["--label=ids=abc\ndef"]


def test_a_table_is_no_word_and_that_is_said():
    table = TableResult(stdout="NAMES\nweb\n", rows=[{"Names": "web"}], columns=[("Names", "NAMES")])
    with pytest.raises(DockerError, match="boxes is a table, and no word") as caught:
        expand(["rm", "{boxes}"], {"boxes": table})
    assert "ls -q" in caught.value.hint


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(NAMES, st.text(), st.sampled_from(["", "a", "-p=", "x:"]), st.sampled_from(["", ":b", "/c"]))
def test_a_name_in_braces_becomes_its_value_wherever_it_stands(name, value, before, after):
    word = f"{before}{{{name}}}{after}"
    assert expand([word], {name: value}) == [f"{before}{value.removesuffix(chr(10))}{after}"]


@given(NAMES, st.sampled_from(["{{{{{}}}}}", "{{{{.{}}}}}", "${{{}}}", "{{{{ {} }}}}", '{{"{}": 1}}', "${}", "$({})"]))
def test_what_belongs_to_docker_json_or_a_shell_is_left_alone(name, form):
    word = form.format(name)
    assert expand([word], {name: "wrong"}) == [word]


@given(NAMES)
def test_an_unknown_name_is_named(name):
    with pytest.raises(DockerError, match=f"name '{name}' is not defined"):
        expand([f"a{{{name}}}"], {})


@given(st.text())
def test_without_braces_nothing_changes(text):
    word = text.replace("{", "")
    assert expand([word], {}) == [word]
