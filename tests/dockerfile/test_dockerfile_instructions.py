"""From nodes to records: arguments, flags, stages, and the sentences for what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pydockmagic.dockerfile as language
from pydockmagic.dockerfile import (
    ArgPair,
    Copy,
    DockerfileError,
    Healthcheck,
    InlineFile,
    Instruction,
    InstructionError,
    Onbuild,
    Run,
    SubstitutionError,
    expand,
    parse_dockerfile,
)
from pydockmagic.dockerfile.flags import duration, suggestion


def only(line: str) -> Instruction:
    return parse_dockerfile("FROM scratch\n" + line).stages[0].commands[0]


def refused(line: str) -> InstructionError:
    with pytest.raises(InstructionError) as caught:
        only(line)
    assert caught.value.first_line == 2
    return caught.value


def test_stages_have_names_and_own_their_instructions():
    whole = parse_dockerfile("ARG V=1\nFROM a:$V AS Build\nRUN x\nFROM build\nCOPY --from=build /a /b\n")
    assert [a.args for a in whole.meta_args] == [(ArgPair("V", "1"),)]
    assert [(s.stage_name, s.base, len(s.commands)) for s in whole.stages] == [("build", "a:$V", 1), ("", "build", 1)]
    assert whole.stages[1].commands[0].from_ == "build"
    assert whole.stages[1].first_line == 4


def test_instruction_before_from_has_no_stage():
    with pytest.raises(DockerfileError) as caught:
        parse_dockerfile("RUN x\nFROM a")
    assert str(caught.value) == caught.value.classic == "no build stage in current context"
    assert caught.value.first_line == 1


def test_unknown_instruction_has_a_modern_and_a_classic_sentence():
    error = refused("FNTRYPOINT x")
    assert str(error) == "dockerfile parse error on line 2: unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)"
    assert error.classic == "dockerfile parse error line 2: unknown instruction: FNTRYPOINT"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a as 1x", 'invalid name for build stage: "1x", name can\'t start with a number or contain symbols'),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("COPY --from=a --from=b c d", "duplicate flag specified: --from"),
        ("COPY --from a b", "missing a value on flag: --from"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("ADD --keep-git-dir= a b", "missing a value on flag: --keep-git-dir"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV =x", "ENV names can not be blank"),
        ("ARG =x", "ARG names can not be blank"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK PING x", 'unknown type "PING" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --interval=1 CMD x", 'time: missing unit in duration "1"'),
        ("HEALTHCHECK --retries=x CMD y", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("HEALTHCHECK --retries=-1 CMD y", "--retries cannot be negative (-1)"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("SHELL bash", "SHELL requires the arguments to be in JSON form: SHELL bash"),
        ("RUN --mount=from=$x,target=/y z", "'from' doesn't support variable expansion, define alias stage instead"),
        ("RUN --network=moon z", 'invalid network mode "moon"'),
    ],
)
def test_wrong_arguments_have_their_sentence(line, reason):
    assert refused(line).reason == reason


def test_healthcheck_reads_durations():
    record = only("HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD curl x")
    assert isinstance(record, Healthcheck)
    assert record.test == ("CMD-SHELL", "curl x")
    assert (record.interval, record.timeout, record.retries) == (90 * 10**9, 1_500_000_000, 3)


def test_copy_takes_heredocs_as_files():
    record = only('COPY a <<-"one" <<two /dst/\n\tx $y\none\n$y\ntwo\n')
    assert isinstance(record, Copy)
    assert record.sources == ("a",)
    assert record.contents == (InlineFile("one", "x $y\n", False), InlineFile("two", "$y\n"))
    expanded = expand(record, {"y": "why 'not'"})
    assert [inline.content for inline in expanded.contents] == ["x $y\n", "why 'not'\n"]


def test_run_keeps_its_mounts_and_heredoc():
    record = only("RUN --mount=type=cache,target=/c,ro --network=none <<EOF\necho\nEOF\n")
    assert isinstance(record, Run)
    assert record.mounts[0].kind == "cache"
    assert record.mounts[0].options == (("target", "/c"), ("ro", "true"))
    assert record.files == (InlineFile("EOF", "echo\n"),)
    assert record.command == ("<<EOF",)


def test_onbuild_keeps_the_heredoc_for_later():
    record = only("onbuild  RUN <<EOF\necho\nEOF\n")
    assert isinstance(record, Onbuild)
    assert record.expression == "RUN <<EOF\necho\nEOF"


def test_expansion_reaches_the_right_fields_only():
    env = {"a": "A", "ports": "1 2"}
    assert expand(only("ENV x=$a y='$a'"), env).pairs[0].value == "A"
    assert expand(only("ENV x=$a y='$a'"), env).pairs[1].value == "$a"
    assert expand(only("EXPOSE $ports 3"), env).ports == ("1", "2", "3")
    assert expand(only("RUN echo $a"), env).command == ("echo $a",)
    assert expand(only("COPY --chown=$a $a/b /$a"), env).sources == ("A/b",)
    with pytest.raises(SubstitutionError, match="unsupported modifier") as caught:
        expand(only("WORKDIR ${a!}"), env)
    assert caught.value.first_line == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1h2m3s", 3723 * 10**9), ("1.5ms", 1_500_000), (".5s", 5 * 10**8), ("-2s", -2 * 10**9), ("1us", 1000)],
)
def test_durations(text, value):
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "-", "s", "1", "1x", "1.s.", "x1s", "1s2", "9999999999h"])
def test_bad_durations_have_gos_sentence(text):
    with pytest.raises(ValueError, match=r"^time: "):
        duration(text)


@given(st.integers(0, 10**15))
def test_a_duration_in_any_unit_is_the_same(ns):
    assert duration(f"{ns}ns") == ns
    assert duration(f"{ns // 10**9}s{ns % 10**9}ns") == ns


def test_suggestions_keep_the_writers_case():
    assert suggestion("fron", ["from", "run"]) == " (did you mean from?)"
    assert suggestion("FRON", ["from", "run"]) == " (did you mean FROM?)"
    assert suggestion("from", ["from"]) == ""
    assert suggestion("elephant", ["from"]) == ""


def test_public_names_are_there():
    assert sorted(language.__all__) == language.__all__
    assert all(hasattr(language, name) for name in language.__all__)
