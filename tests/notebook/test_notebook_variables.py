import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text())
def test_without_braces_nothing_changes(text):
    word = text.replace("{", "")
    assert expand([word], {}) == [word]
