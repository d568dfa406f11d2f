from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.commands.template import (
    FUNCTIONS,
    GoMap,
    NilList,
    Struct,
    Template,
    TemplateExecutionError,
    TemplateSyntaxError,
    to_json,
)
from pydockmagic.commands.template.fmt import sprintf

DATA = {"Name": "web", "Count": 3, "List": ["a", "b"], "Map": {"y": 2, "x": 1}, "None": None, "Yes": True, "F": 1.5}


def fill(source, data=DATA, **details):
    return Template(source).fill(data, **details)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{.Count}} {{.Yes}} {{.F}} {{.None}}", "3 true 1.5 <nil>"),
        ("{{.List}} {{.Map}}", "[a b] map[x:1 y:2]"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("{{if .Yes}}y{{else}}n{{end}}{{if .None}}y{{else if .List}}l{{end}}", "yl"),
        ("{{range .List}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $i, $e := .List}}{{$i}}{{$e}}{{end}}", "0a1b"),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}} {{end}}", "x=1 y=2 "),
        ("{{range .None}}x{{else}}empty{{end}}", "empty"),
        ("{{range .List}}{{.}}{{break}}{{end}}", "a"),
        ("{{with .Name}}{{.}}{{end}}{{with .None}}{{else}}no{{end}}", "webno"),
        ("{{$x := .Count}}{{$x = 5}}{{$x}}", "5"),
        ('{{define "t"}}[{{.}}]{{end}}{{template "t" .Name}}', "[web]"),
        ('{{block "b" .Count}}{{.}}{{end}}', "3"),
        ('{{.Name | upper | printf "%s!"}}', "WEB!"),
        ('{{index .Map "x"}} {{index .List 1}} {{index .Map "zz"}}', "1 b <no value>"),
        ('{{slice .Name 1 2}} {{len .List}} {{len "é"}}', "e 2 2"),
        ("{{and .Yes .Name}} {{or .None .Count}} {{not .Yes}}", "web 3 false"),
        ('{{eq .Count 1 2 3}} {{ne .Name "x"}} {{lt 1 2}} {{ge 2 2}}', "true true true true"),
        ("{{json .Map}} {{json .Name}} {{json .None}}", '{"x":1,"y":2} "web" null'),
        ('{{join .List "-"}} {{split "a,b" ","}} {{title "two words"}} {{lower "ABC"}}', "a-b [a b] Two Words abc"),
        ('{{pad "x" 1 2}}|{{truncate "abcdef" 3}}', " x  |abc"),
        ("{{println .Name .Count}}", "web 3\n"),
        ('{{print "a" "b" 1 2}}', "ab1 2"),
        ("{{(index .List 0)}}{{(.Map).x}}", "a1"),
        ("{{`raw \\n`}} {{\"\\t\\x41\"}} {{'x'}}", "raw \\n \tA 120"),
        ("{{1_000}} {{0x1F}} {{-1.5e3}}", "1000 31 -1500"),
        ('{{html "<a>"}} {{js "\'"}} {{urlquery "a b"}}', "&lt;a&gt; \\' a+b"),
    ],
)
def test_templates_are_filled_in(source, text):
    assert fill(source) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.Bad", "template: :1: unclosed action"),
        ("a\n{{.Bad\n", "template: :3: unclosed action started at :2"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{if .X}}", "template: :1: unexpected EOF"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ('{{"abc}}', "template: :1: unterminated quoted string"),
        ("{{.A | 3}}", "template: :1: non executable command in pipeline stage 2"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
    ],
)
def test_what_cannot_be_read_is_told_in_gos_words(source, message):
    with pytest.raises(TemplateSyntaxError) as caught:
        Template(source)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.Name.X}}", ':1:7: executing "" at <.Name.X>: can\'t evaluate field X in type string'),
        ("\n{{index .List 9}}", ':2:2: executing "" at <index .List 9>: error calling index: index out of range: 9'),
        ("{{upper 3}}", ':1:8: executing "" at <3>: expected string; found 3'),
        ("{{len 3}}", ':1:2: executing "" at <len 3>: error calling len: len of type int'),
        ('{{lt 1 "a"}}', ':1:2: executing "" at <lt 1 "a">: error calling lt: incompatible types for comparison'),
        ('{{template "x"}}', ':1:11: executing "" at <{{template "x"}}>: template "x" not defined'),
        ("{{range .Name}}{{end}}", ":1:2: executing"),
    ],
)
def test_what_cannot_be_filled_in_names_its_place(source, message):
    with pytest.raises(TemplateExecutionError) as caught:
        fill(source)
    assert f"template: {message}" in str(caught.value)


def test_a_missing_key_of_a_map_is_no_value_unless_one_is_strict():
    assert fill("{{.Nope}} {{.Nope.More}}") == "<no value> <no value>"
    with pytest.raises(TemplateExecutionError, match='map has no entry for key "Nope"'):
        fill("{{.Nope}}", strict=True)


def test_an_unknown_field_of_a_struct_is_an_error_and_an_absent_optional_one_is_nil():
    data = Struct({"Id": "x"}, "*types.Thing", frozenset({"Health"}))
    assert fill("{{.Health}} {{.Id}} {{.ID}}", data) == "<nil> x x"
    with pytest.raises(TemplateExecutionError, match=r"can't evaluate field Nope in type \*types.Thing"):
        fill("{{.Nope}}", data)


def test_structs_print_their_values_and_maps_their_keys():
    assert fill("{{.}}", Struct({"a": 1, "b": Struct({"c": "x"})})) == "{1 {x}}"
    assert fill("{{.}}", {"b": [1, None], "a": {}}) == "map[a:map[] b:[1 <nil>]]"


def test_nil_lists_and_maps_print_empty_and_are_null_in_json():
    data = Struct({"L": NilList(), "M": GoMap({}, nil=True)})
    assert fill("{{.L}} {{.M}} {{json .L}} {{json .M}} {{json .}}", data) == '[] map[] null null {"L":null,"M":null}'


def test_a_map_of_texts_gives_an_empty_text_for_what_it_has_not():
    assert fill('{{index .M "x"}}|', Struct({"M": GoMap({}, "")})) == "|"


def test_endless_templates_end():
    with pytest.raises(TemplateExecutionError, match="exceeded maximum template depth"):
        fill('{{define "t"}}{{template "t"}}{{end}}{{template "t"}}')
    with pytest.raises(TemplateSyntaxError, match="max expression depth exceeded"):
        Template("{{" + "(" * 500 + "1" + ")" * 500 + "}}")


@given(st.text(alphabet="{}.|()$\"'`-: \nabfirndx0", max_size=30))
def test_no_text_breaks_the_reader(source):
    complaint = "template: "
    try:
        Template(source).fill({"a": 1}, strict=True)
    except (TemplateSyntaxError, TemplateExecutionError) as error:
        complaint = str(error)
    assert complaint.startswith("template: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_json_that_is_written_is_json(value):
    assert json.loads(to_json(value)) == value
    assert json.loads(Template("{{json .}}").fill(value)) == value


@pytest.mark.parametrize(
    ("form", "arguments", "text"),
    [
        ("%s|%5s|%-5s|", ["a", "b", "c"], "a|    b|c    |"),
        ("%d %05d %+d %x", [1, 42, 7, 255], "1 00042 +7 ff"),
        ("%q %v %t %T", ["a\n", [1], True, "x"], '"a\\n" [1] true string'),
        ("%.2f %6.1f %g", [1.005, 2.25, 1e21], "1.00    2.2 1e+21"),
        ("%.2s%%", ["abc"], "ab%"),
        ("%d", ["x"], "%!d(string=x)"),
        ("%s %s", ["a"], "a %!s(MISSING)"),
        ("%s", ["a", 1], "a%!(EXTRA int=1)"),
        ("%*d", [4, 7], "   7"),
    ],
)
def test_printf_formats_and_complains_as_go_does(form, arguments, text):
    assert sprintf(form, arguments) == text


def test_dockers_functions_are_there():
    assert {"json", "split", "join", "title", "lower", "upper", "pad", "truncate"} <= FUNCTIONS.keys()
