"""Completing and explaining Dockerfiles."""

from __future__ import annotations

import pytest
from support.commanding import Shown

from pydockmagic.commands import Connection, Context, complete_dockerfile, explain_instruction
from pydockmagic.dockerfile import parse_dockerfile
from pydockmagic.dockerfile.reference import INSTRUCTIONS


def offered(text, context=None):
    return {each.text for each in complete_dockerfile(text, None, context)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM busybox\nWOR", {"WORKDIR "}),
        ("from busybox\nwor", {"workdir "}),
        ("FROM scr", {"scratch"}),
        ("FROM busybox AS build\nFROM bui", {"build"}),
        ("FROM busybox AS build\nFROM busybox\nFROM scratch\nCOPY --from=", {"--from=build", "--from=1", "--from=2"}),
        ("FROM busybox\nHEALTHCHECK --ret", {"--retries="}),
        ("FROM busybox\nONBUILD COP", {"COPY "}),
        ("FROM busybox\nRUN true \\\n  WOR", set()),
        ("FROM busybox\nNOSUCH x", set()),
    ],
)
def test_what_may_stand_at_the_cursor(text, expected):
    assert offered(text) == expected


def test_copy_offers_the_files_of_the_context_and_none_outside(tmp_path):
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    (work / "src" / "app.py").touch()
    (tmp_path / "secret").touch()
    context = Context(directory=work, connection=Connection(), environ={}, output=Shown())
    assert offered("FROM busybox\nCOPY s", context) == {"src/"}
    assert offered("FROM busybox\nCOPY src/", context) == {"src/app.py"}
    assert offered("FROM busybox\nCOPY ../", context) == set()


def test_an_instruction_is_explained_also_on_its_later_lines():
    text = "FROM busybox\nRUN one \\\n  two"
    assert explain_instruction(text, len(text)).startswith("RUN COMMAND")
    assert "Makes a layer" in explain_instruction(text, len(text))
    assert explain_instruction(text, 3).startswith("FROM")
    assert explain_instruction("# nothing", 4) is None


def test_every_instruction_of_the_language_is_explained_and_no_other():
    from pydockmagic.dockerfile.instructions import _READERS

    assert set(INSTRUCTIONS) == {name.upper() for name in _READERS} | {"FROM"}


def test_every_flag_that_is_offered_is_taken():
    for name, found in INSTRUCTIONS.items():
        for flag in found.flags:
            values = {"--interval=": "1s", "--timeout=": "1s", "--start-period=": "1s", "--start-interval=": "1s"}
            value = values.get(flag, {"--retries=": "1", "--mount=": "type=tmpfs,target=/x", "--security=": "insecure",
                                      "--network=": "none"}.get(flag, "x" if flag.endswith("=") else ""))  # fmt: skip
            rest = "busybox" if name == "FROM" else "CMD true" if name == "HEALTHCHECK" else "a b"
            parse_dockerfile(("" if name == "FROM" else "FROM busybox\n") + f"{name} {flag}{value} {rest}\n")
