"""The Dockerfile parser against BuildKit's own test inputs and what BuildKit makes of them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from support.vectors import conformance_root, vector

from pydockmagic.dockerfile import (
    Add,
    Arg,
    Cmd,
    Copy,
    DockerfileError,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Node,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
    parse,
    parse_tree,
)
from pydockmagic.dockerfile.directives import find_directive, find_syntax, read_directives
from pydockmagic.dockerfile.errors import quote
from pydockmagic.dockerfile.heredoc import find_heredocs, read_heredoc
from pydockmagic.dockerfile.parser import _json_array
from pydockmagic.dockerfile.words import split_quoted

pytestmark = pytest.mark.conformance

ROOT = conformance_root() / "vectors" / "dockerfile"
FUNCTIONS = vector("dockerfile-parser-funcs.json")["functions"]
FILES = sorted(p for p in (ROOT / "parser").glob("*/*/Dockerfile"))


def dump(node: Node) -> str:
    words = [node.value.lower()]
    if node.flags:
        words.append("[" + " ".join(map(quote, node.flags)) + "]")
    words += [dump(node.sub)] if node.sub else map(quote, node.args)
    return "(" + " ".join(words) + ")"


def as_dict(node: Node) -> dict[str, Any]:
    out: dict[str, Any] = {
        "value": node.value,
        "args": list(node.args),
        "startLine": node.first_line,
        "endLine": node.last_line,
        "original": node.original,
    }
    if node.json:
        out["attributes"] = {"json": True}
    if node.flags:
        out["flags"] = list(node.flags)
    if node.heredocs:
        out["heredocs"] = [
            {"Name": h.name, "FileDescriptor": h.descriptor, "Expand": h.expand, "Chomp": h.chomp, "Content": h.content}
            for h in node.heredocs
        ]
    if node.comments:
        out["prevComment"] = list(node.comments)
    if node.sub is not None:
        out["sub"] = True
    return out


def command_json(record: Instruction) -> dict[str, Any]:  # noqa: PLR0911 - one shape for each instruction
    match record:
        case Env():
            return {"Env": [{"Key": p.key, "Value": p.value, "NoDelim": not p.delimited} for p in record.pairs]}
        case Label():
            return {"Labels": [{"Key": p.key, "Value": p.value, "NoDelim": not p.delimited} for p in record.pairs]}
        case Maintainer():
            return {"Maintainer": record.maintainer}
        case Add() | Copy():
            out = {
                "DestPath": record.destination,
                "SourcePaths": list(record.sources) or None,
                "SourceContents": [{"Path": f.name, "Data": f.content, "Expand": f.expand} for f in record.contents]
                or None,
                "Chown": record.chown,
                "Chmod": record.chmod,
                "Link": record.link,
                "ExcludePatterns": list(record.exclude) or None,
            }
            if isinstance(record, Copy):
                return {**out, "From": record.from_, "Parents": record.parents}
            return {
                **out,
                "KeepGitDir": record.keep_git_dir,
                "Checksum": record.checksum,
                "Unpack": record.unpack,
            }
        case Onbuild():
            return {"Expression": record.expression}
        case Workdir():
            return {"Path": record.path}
        case Run():
            return {**shell_json(record), "FlagsUsed": list(record.flags)}
        case Cmd() | Entrypoint():
            return shell_json(record)
        case Healthcheck():
            out = {"Test": list(record.test), "Interval": record.interval, "Timeout": record.timeout}
            out |= {"StartPeriod": record.start_period, "StartInterval": record.start_interval}
            out |= {"Retries": record.retries}
            return {"Health": {key: value for key, value in out.items() if value}}
        case Expose():
            return {"Ports": list(record.ports)}
        case User():
            return {"User": record.user}
        case Volume():
            return {"Volumes": list(record.volumes)}
        case StopSignal():
            return {"Signal": record.signal}
        case Arg():
            return {"Args": [{"Key": a.key, "Value": a.value, "DocComment": a.comment} for a in record.args]}
        case Shell():
            return {"Shell": list(record.shell)}
    raise AssertionError(record)


def shell_json(record: Run | Cmd | Entrypoint) -> dict[str, Any]:
    files = [(f.name, f.content) for f in record.files] or None
    return {"CmdLine": list(record.command), "Files": files, "PrependShell": record.prepend_shell}


def recorded_json(data: dict[str, Any]) -> dict[str, Any]:
    """BuildKit keeps ``<<-`` files with their tabs and a mark; our records have them stripped."""
    if data.get("Files"):
        data = dict(data)
        data["Files"] = [
            (f["Name"], re.sub(r"(?m)^\t+", "", f["Data"]) if f.get("Chomp") else f["Data"]) for f in data["Files"]
        ]
    if "CmdLine" in data:
        data = {**data, "CmdLine": data["CmdLine"] or []}
    return data


def check_whole(text: str, expected: dict[str, Any]) -> None:
    try:
        tree = parse(text)
    except DockerfileError as error:
        assert str(error) == expected["parseError"]  # noqa: PT017 - either outcome may be recorded
        assert error.first_line > 0  # noqa: PT017 - either outcome may be recorded
        return
    assert "parseError" not in expected
    assert "\n".join(map(dump, tree.nodes)) == expected["dump"]
    nodes = [as_dict(node) for node in tree.nodes]
    recorded = [{**n, "sub": True} if "sub" in n else n for n in expected["nodes"]]
    for ours, theirs in zip(nodes, recorded, strict=True):
        if "sub" in theirs:
            theirs["args"] = ours["args"]
        assert ours == theirs
    assert tree.escape == expected["escapeToken"]
    assert [w for w, _ in tree.warnings] == [w["short"] for w in expected.get("warnings", [])]
    try:
        whole = parse_tree(tree)
    except DockerfileError as error:
        assert str(error) == expected["instructionsError"]  # noqa: PT017 - either outcome may be recorded
        assert error.first_line > 0  # noqa: PT017 - either outcome may be recorded
        return
    assert "instructionsError" not in expected
    metas = [{"key": a.key, "value": a.value} for m in whole.meta_args for a in m.args]
    assert metas == expected["metaArgs"]
    assert len(whole.stages) == len(expected["stages"])
    for stage, theirs in zip(whole.stages, expected["stages"], strict=True):
        assert (stage.stage_name, stage.base, stage.platform) == (
            theirs["name"],
            theirs["baseName"],
            theirs["platform"],
        )
        assert stage.source.strip() == theirs["source"]
        assert [c.name for c in stage.commands] == [c["name"].upper() for c in theirs["commands"]]
        for command, recorded_command in zip(stage.commands, theirs["commands"], strict=True):
            assert command_json(command) == recorded_json(recorded_command["json"]), recorded_command["string"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.parent.name)
def test_parser_files_parse_as_in_buildkit(path):
    expected = vector("dockerfile/parser/ast-testfiles.json")
    check_whole(path.read_text(), expected[path.parent.name])
    result = path.with_name("result")
    if result.exists():
        assert "\n".join(map(dump, parse(path.read_text()).nodes)) == result.read_text().rstrip("\n")


@pytest.mark.parametrize("name", sorted(p.name for p in ROOT.glob("embedded-*.json")))
def test_dockerfiles_of_the_upstream_tests_parse_as_in_buildkit(name):
    failures = []
    for number, case in enumerate(vector(f"dockerfile/{name}")):
        try:
            check_whole(case["dockerfile"], case["result"])
        except AssertionError as error:
            failures.append(f"{number}: {case['dockerfile']!r}: {error}")
    assert not failures, f"{len(failures)}:\n" + "\n\n".join(failures[:8])


def test_line_ranges_of_the_line_file():
    nodes = parse((ROOT / "parser" / "testfile-line" / "Dockerfile").read_text()).nodes
    assert [(n.first_line, n.last_line) for n in nodes] == [(5, 5), (11, 12), (17, 31)]


def test_json_arrays():
    for case in FUNCTIONS["parseJSON"]:
        node, _, error = case["out"]
        text = case["in"]["rest"].lstrip()
        if error is None:
            expected = []
            while node is not None:
                expected.append(node["Value"])
                node = node["Next"]
            assert list(_json_array(text)) == [v for v in expected if v or text != "[]"], text
        elif "strings only" in error["error"]:
            with pytest.raises(DockerfileError, match="strings only"):
                _json_array(text)
        else:
            assert _json_array(text) is None, text


def test_words_with_quotes_left_in():
    for case in FUNCTIONS["parseWords"]:
        assert split_quoted(case["in"]["rest"], "\\") == (case["out"][0] or [])


def heredoc_json(heredoc: Any) -> Any:
    if heredoc is None:
        return None
    return {
        "Name": heredoc.name,
        "FileDescriptor": heredoc.descriptor,
        "Expand": heredoc.expand,
        "Chomp": heredoc.chomp,
        "Content": heredoc.content,
    }


def test_heredoc_words():
    for case in FUNCTIONS["ParseHeredoc"]:
        expected, error = case["out"]
        if error is None:
            assert heredoc_json(read_heredoc(case["in"]["src"])) == expected, case
        else:
            with pytest.raises(DockerfileError, match=re.escape(error["error"])):
                read_heredoc(case["in"]["src"])


def test_heredocs_of_lines():
    for case in FUNCTIONS["heredocsFromLine"]:
        assert [heredoc_json(h) for h in find_heredocs(case["in"]["line"])] == (case["out"][0] or []), case


def located(directive: Any) -> Any:
    if directive is None:
        return None
    return directive.name, directive.value, directive.line


def test_directives_of_a_text():
    for case in FUNCTIONS["DirectiveParser.ParseAll"]:
        text = base64.b64decode(case["in"]["data"]).decode()
        expected = [(d["Name"], d["Value"], d["Location"][0]["Start"]["Line"]) for d in case["out"][0] or []]
        # The record does not say which comment marker the reader had nor whether a #! line went before.
        readings = [
            [located(d) for d in read_directives(text, marker, first)] for marker in ("#", "//") for first in (1, 2)
        ]
        assert expected in readings, case


def test_syntax_directive_is_found_in_any_kind_of_file():
    for case in FUNCTIONS["DetectSyntax"]:
        text = base64.b64decode(case["in"]["dt"]).decode()
        name, whole, location, ok = case["out"]
        found = find_syntax(text)
        assert (found is not None) == ok, case
        if found is not None:
            directive = find_directive("syntax", text)
            assert (found.value, found.line) == (name, location[0]["Start"]["Line"])
            assert directive is not None
            assert directive.value == whole


def test_check_directive_is_found():
    for case in FUNCTIONS["ParseDirective"]:
        found = find_directive(case["in"]["key"], base64.b64decode(case["in"]["dt"]).decode())
        _, whole, location, ok = case["out"]
        assert (found is not None) == ok
        if found is not None:
            assert (found.value, found.line) == (whole, location[0]["Start"]["Line"])


def test_every_vector_of_the_parser_is_used():
    used = {
        "parseJSON", "parseWords", "ParseHeredoc", "heredocsFromLine", "DirectiveParser.ParseAll", "DetectSyntax",
        "ParseDirective", "Lex.ProcessWords",
    }  # fmt: skip
    assert set(FUNCTIONS) == used, json.dumps(sorted(FUNCTIONS))
