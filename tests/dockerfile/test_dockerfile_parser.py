"""From text to nodes: lines, continuations, comments, directives, heredocs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.dockerfile import DockerfileError, ParseError, SubstitutionError, parse


def test_a_node_knows_its_lines_with_comments_inside_a_continuation():
    tree = parse("FROM a\n\nRUN one \\\n# why\n    two \\\n\n    three\nUSER x\n")
    run = tree.nodes[1]
    assert run.args == ("one     two     three",)
    assert (run.first_line, run.last_line) == (3, 7)
    assert tree.nodes[2].first_line == 8
    assert tree.warnings == (("Empty continuation line found in: RUN one     two     three", 3),)


def test_windows_line_ends_and_a_byte_order_mark_do_not_show():
    tree = parse("\ufeffFROM a\r\nRUN x \\\r\n y\r\n")
    assert [n.args for n in tree.nodes] == [("a",), ("x  y",)]


def test_escape_directive_turns_the_backslash_into_a_plain_character():
    tree = parse("# escape=`\nFROM a\nRUN dir c:\\ `\n more\n")
    assert tree.escape == "`"
    assert tree.nodes[1].args == ("dir c:\\  more",)


def test_directives_after_a_comment_are_comments():
    tree = parse("# hello\n# escape=`\nFROM a\n")
    assert tree.escape == "\\"
    assert tree.nodes[0].comments == ("hello", "escape=`")


@pytest.mark.parametrize(
    ("text", "sentence", "line"),
    [
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", 1),
        ("# escape=`\n# escape=`\nFROM a", "only one escape parser directive can be used", 2),
        ("", "file with no instructions", 1),
        ("# only\n\n", "file with no instructions", 2),
        ("FROM a\nENV x", "ENV must have two arguments", 2),
        ("FROM a\nENV x=1 y", 'Syntax error - can\'t find = in "y". Must be of the form: name=value', 2),
        ("FROM a\nRUN <<EOF\nx\n", "unterminated heredoc", 2),
        ('FROM a\nCMD ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only", 2),
    ],
)
def test_what_is_no_dockerfile_is_refused_with_its_line(text, sentence, line):
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert str(caught.value) == sentence
    assert caught.value.first_line == line


def test_open_quote_in_a_heredoc_line_names_the_lines():
    with pytest.raises(SubstitutionError, match="single-quote") as caught:
        parse("FROM a\nRUN cat <<'EOF\nEOF\n")
    assert caught.value.first_line == 2


def test_heredocs_in_one_line_follow_each_other():
    node = parse("FROM a\nCOPY <<one <<-'two' /dst/\n1 $x\none\n\t2 $x\n\ttwo\nUSER u").nodes[1]
    assert [(h.name, h.content, h.expand, h.chomp) for h in node.heredocs] == [
        ("one", "1 $x\n", True, False),
        ("two", "\t2 $x\n", False, True),
    ]
    assert (node.first_line, node.last_line) == (2, 6)


def test_json_form_holds_no_heredoc():
    tree = parse('FROM a\nRUN ["cat", "<<EOF"]\nUSER EOF')
    assert tree.nodes[1].heredocs == ()
    assert len(tree.nodes) == 3


def test_onbuild_wraps_its_instruction():
    node = parse("FROM a\nONBUILD COPY --chown=1 a b").nodes[1]
    assert node.sub is not None
    assert (node.sub.value, node.sub.flags, node.sub.args) == ("COPY", ("--chown=1",), ("a", "b"))


def test_flags_may_be_quoted_and_end_at_two_dashes():
    nodes = parse("FROM a\nCOPY --chown='me too' -- --from=x y\nCOPY --exclude=a\\ b c d").nodes
    assert (nodes[1].flags, nodes[1].args) == (("--chown=me too",), ("--from=x", "y"))
    assert nodes[2].flags == ("--exclude=a b",)


@given(st.text(alphabet=st.sampled_from("FROM RUNaCPY<>\"'\\`$={}[]#\n\t-:,.EOF"), max_size=80))
def test_any_text_parses_or_is_refused_with_a_line(text):
    try:
        tree = parse(text)
    except DockerfileError as error:
        assert 1 <= error.first_line <= error.last_line <= max(text.count("\n") + 1, 1)  # noqa: PT017 - either is right
        return
    last = 0
    for node in tree.nodes:
        assert last < node.first_line <= node.last_line
        last = node.last_line
    assert last <= text.count("\n") + 1


@given(st.lists(st.sampled_from(["RUN a \\\n b", "USER x", "# c", "", "COPY <<E /x\n1\nE", "ENV a=b"]), max_size=12))
def test_line_ranges_cut_the_very_lines_out(pieces):
    text = "\n".join(["FROM a", *pieces])
    lines = text.split("\n")
    for node in parse(text).nodes:
        own = parse("\n".join(lines[node.first_line - 1 : node.last_line])).nodes
        assert [n.args for n in own] == [node.args]
