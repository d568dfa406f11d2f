""".dockerignore against moby's pattern matcher."""

from __future__ import annotations

import itertools
import re

import pytest
from support.vectors import conformance_root, vector

from pydockmagic.dockerfile import Ignored, IgnorePatternError, read_ignore_file
from pydockmagic.dockerfile.dockerignore import IgnorePattern

pytestmark = pytest.mark.conformance

conformance_root()
VECTORS = vector("dockerignore.json")


def test_single_patterns():
    for case in VECTORS["single"]["cases"]:
        assert Ignored([case["pattern"]]).ignores(case["text"]) == case["pass"], case


def test_several_patterns():
    for case in VECTORS["multi"]["cases"]:
        assert Ignored(case["patterns"]).ignores(case["text"]) == case["pass"], case


def test_matching_and_bad_patterns():
    for case in VECTORS["matchTests"]["cases"]:
        if case["err"] is not None:
            with pytest.raises(IgnorePatternError):
                Ignored([case["pattern"]])
        else:
            assert Ignored([case["pattern"]]).ignores(case["s"]) == case["match"], case


def test_calls_recorded_from_the_upstream_tests():
    for case in VECTORS["calls"]:
        if case["func"] != "Matches":  # ReadAll's input is not in the record; `ignorefile` has it
            continue
        given, (expected, error) = case["in"], case["out"]
        if error is not None:
            with pytest.raises(IgnorePatternError) as caught:
                Ignored(given["patterns"])
            assert str(caught.value) == error["$error"]
        else:
            assert Ignored(given["patterns"]).ignores(given["file"]) == expected, case


def test_patterns_match_the_same_paths_as_the_compiled_expressions():
    names = ["", "a", "b", "file", "file.txt", ".x", "x.y", "docker", "[ab]", "a\\b", "\\", "*"]
    paths = ["/".join(parts) for depth in (1, 2, 3) for parts in itertools.product(names, repeat=depth)]
    for case in VECTORS["compileTests"]["cases"]:
        if not case["compiledRegexp"]:
            continue
        theirs = re.compile(case["compiledRegexp"])
        ours = IgnorePattern(case["pattern"])
        for path in paths:
            assert ours.matches(path) == bool(theirs.match(path)), (case["pattern"], path)


def test_ignore_file():
    lines = VECTORS["ignorefile"]["expected"]
    assert read_ignore_file(VECTORS["ignorefile"]["content"]) == lines
