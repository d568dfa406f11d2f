from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pydockmagic.commands as public
from pydockmagic.commands import CommandError, Context, UsageError, WordsError, complete, execute, help_text, split
from pydockmagic.commands.grammar import Arity, commands, groups, parse
from pydockmagic.commands.grammar.load import read
from pydockmagic.commands.handlers import HANDLERS

RUN = commands()["container run"]
PS = commands()["container ls"]


def usage_error(words):
    with pytest.raises(UsageError) as caught:
        execute(words, Context())
    return caught.value


def test_exported_names_exist():
    assert public.__all__ == sorted(public.__all__, key=lambda name: (not name[0].isupper(), name))
    assert all(hasattr(public, name) for name in public.__all__)


def test_every_handler_carries_out_a_command_of_the_grammar():
    from importlib import import_module

    assert HANDLERS.keys() <= commands().keys()
    for place in HANDLERS.values():
        module, _, function = place.partition(":")
        assert callable(getattr(import_module(f"pydockmagic.commands.handlers.{module}"), function))


def test_every_noun_has_commands():
    assert all(any(path.startswith(f"{noun} ") for path in commands()) for noun in groups())


# -- pflag's rules


def test_options_end_at_the_image():
    parsed = parse(RUN, "run", ["-it", "--rm", "busybox", "ls", "-l", "--rm=false"])
    assert parsed.arguments == ["busybox", "ls", "-l", "--rm=false"]
    assert parsed.flag("interactive")
    assert parsed.flag("tty")
    assert parsed.flag("rm")


def test_options_may_follow_arguments_elsewhere():
    parsed = parse(commands()["container rm"], "rm", ["a", "-f", "b"])
    assert parsed.arguments == ["a", "b"]
    assert parsed.flag("force")


@pytest.mark.parametrize(
    "words", [["-p80:80"], ["-p", "80:80"], ["-p=80:80"], ["--publish=80:80"], ["--publish", "80:80"]]
)
def test_a_value_may_be_written_in_five_ways(words):
    assert parse(RUN, "run", [*words, "image"]).list("publish") == ["80:80"]


def test_repeated_options_add_up_and_single_ones_take_the_last():
    parsed = parse(RUN, "run", ["-e", "A=1", "--env=B=2", "--name", "x", "--name", "y", "image"])
    assert parsed.list("env") == ["A=1", "B=2"]
    assert parsed.text("name") == "y"


@pytest.mark.parametrize(
    ("word", "value"), [("--rm=false", False), ("--rm=0", False), ("--rm=t", True), ("--rm", True)]
)
def test_booleans_take_a_value_only_after_an_equals_sign(word, value):
    assert parse(RUN, "run", [word, "image"]).flag("rm") is value


def test_two_dashes_end_options():
    assert parse(PS_LENIENT, "ps", ["--", "-a"]).arguments == ["-a"]


PS_LENIENT = commands()["container rm"]


def test_a_lone_dash_is_an_argument():
    assert parse(commands()["image build"], "build", ["-"]).arguments == ["-"]


def test_old_names_of_options_are_known():
    assert parse(RUN, "run", ["--net", "host", "image"]).list("network") == ["host"]
    stop = parse(commands()["container stop"], "stop", ["--time", "3", "c"])
    assert stop.number("timeout") == 3
    assert stop.notes == ["Flag --time has been deprecated, use --timeout instead"]


@given(st.lists(st.text(alphabet="-abit=: 1", max_size=6), max_size=6))
def test_no_words_break_the_parser(words):
    with suppress(CommandError, public.grammar.HelpAsked):
        parse(RUN, "run", words)


def told(sentence, usage, name, word="Run"):
    """Give docker's whole text: the sentence, the usage line, the way to more help."""
    return f"{sentence}\n\nUsage:  docker {usage}\n\n{word} 'docker{name} --help' for more information\n"


# Recorded with the docker command 28.2.2 (conformance records, groups cli, run and opt).
RECORDED = [
    ("ps -z", 125, told("unknown shorthand flag: 'z' in -z", "ps [OPTIONS]", " ps")),
    (
        "run -name web nginx",
        125,
        told("unknown shorthand flag: 'n' in -name", "run [OPTIONS] IMAGE [COMMAND] [ARG...]", " run"),
    ),
    (
        "exec x",
        1,
        told(
            "docker: 'docker exec' requires at least 2 arguments",
            "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
            " exec",
            "See",
        ),
    ),
    ("pull", 1, told("docker: 'docker pull' requires 1 argument", "pull [OPTIONS] NAME[:TAG|@DIGEST]", " pull")),
    (
        "commit",
        1,
        told(
            "docker: 'docker commit' requires at least 1 and at most 2 arguments",
            "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
            " commit",
        ),
    ),
    ("ps x", 1, told("docker: 'docker ps' accepts no arguments", "ps [OPTIONS]", " ps")),
    (
        "run -m 10x b",
        125,
        told(
            """invalid argument "10x" for "-m, --memory" flag: invalid suffix: 'x'""",
            "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
            " run",
        ),
    ),
    (
        "cp x",
        1,
        told(
            "docker: 'docker cp' requires 2 arguments",
            "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
            " cp",
        ),
    ),
    ("--foo", 125, told("unknown flag: --foo", "[OPTIONS] COMMAND [ARG...]", "")),
    (
        "container foo",
        1,
        told("docker: unknown command: docker container foo", "container", " container"),
    ),
]


@pytest.mark.parametrize(("line", "exit_code", "text"), RECORDED, ids=[each[0] for each in RECORDED])
def test_mistakes_are_told_as_docker_does(line, exit_code, text):
    error = usage_error(line.split())
    assert error.exit_code == exit_code
    assert error.stderr == text


# Asked of the docker command 28.2.2.
ASKED = {
    "run --name": "flag needs an argument: --name",
    "run -e": "flag needs an argument: 'e' in -e",
    "run --=3 b": "bad flag syntax: --=3",
    "run ---x b": "bad flag syntax: ---x",
    "run -itz b": "unknown shorthand flag: 'z' in -z",
    "ps -n x": """invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax""",
    "run --rm=x b": """invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax""",
    "run --cpus x b": """invalid argument "x" for "--cpus" flag: failed to parse x as a rational number""",
    "run --blkio-weight 99999 b": (
        """invalid argument "99999" for "--blkio-weight" flag: strconv.ParseUint: parsing "99999": value out of range"""
    ),
    "run --health-interval x b": """invalid argument "x" for "--health-interval" flag: time: invalid duration "x\"""",
    "ps --filter x": """invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)""",
    "run --sysctl x b": """invalid argument "x" for "--sysctl" flag: sysctl 'x' is not allowed""",
    "run --mount type=foo b": """invalid argument "type=foo" for "--mount" flag: target is required""",
    "run -l =x b": """invalid argument "=x" for "-l, --label" flag: invalid label '=x': empty name""",
    "volume update": "docker: 'docker volume update' requires 1 argument",
    "pss": "docker: unknown command: docker pss",
}


@pytest.mark.parametrize("line", ASKED)
def test_the_first_sentence_is_dockers(line):
    assert usage_error(line.split()).message == ASKED[line]


def test_a_command_that_is_nearly_right_is_suggested():
    assert usage_error(["imagse"]).hint.startswith("Did you mean 'docker image' or 'docker images'?")
    assert "docker container ls" in usage_error(["container", "lss"]).hint


def test_a_command_that_is_not_carried_out_yet_says_so():
    with pytest.raises(CommandError, match="not available here yet"):
        execute(["swarm", "init"], Context())


# -- tables, help, completion


def test_a_table_reads_options_continuations_and_defaults():
    text = """\
group thing
  about Things
command thing do
  usage [OPTIONS] X
  about Do it
  arguments 1..2
  option -a, --all   Everything (default true)
  option --kind string   The kind
    | on two lines (default "x")
"""
    group, command = read(text)
    assert group.path == "thing"
    assert command.arity == Arity(1, 2)
    assert command.by_short["a"].default == "true"
    assert command.by_name["kind"].help == 'The kind\non two lines (default "x")'
    assert command.by_name["kind"].default == "x"


def test_help_names_the_command_as_it_was_typed():
    assert help_text(["ps"]).startswith(
        "Usage:  docker ps [OPTIONS]\n\nList containers\n\nAliases:\n  docker container ls,"
    )
    assert help_text(["container", "list"]).startswith("Usage:  docker container ls [OPTIONS]")


def test_help_is_a_result_and_no_failure():
    result = execute(["run", "--help"], Context())
    assert result.stdout == help_text(["run"])
    assert execute(["help", "run"], Context()).stdout == result.stdout
    assert execute(["container", "--help"], Context()).stdout == help_text(["container"])
    assert execute([], Context()).stderr == help_text([])


def test_an_unknown_help_topic_is_told():
    with pytest.raises(CommandError, match="unknown help topic: nosuch"):
        help_text(["nosuch"])


def test_no_line_of_help_is_wider_than_a_terminal():
    for path in commands():
        about, _, options = help_text(path.split()).partition("Options:\n")
        assert all(len(line) <= 82 for line in options.splitlines()), path  # pflag lets a short last word stick out
        assert about


def texts(line, **details):
    return [each.text for each in complete(line, **details)]


def test_completion_offers_what_may_come_next():
    assert "container" in texts("con")
    assert texts("container renam") == ["rename"]
    assert "--detach" in texts("run --de")
    assert texts("run busybox --de") == []
    assert texts("nosuch ") == []
    assert texts("'open quote ") == []


def test_completion_replaces_the_word_at_the_cursor():
    found = complete("container ren x", cursor=13)
    assert [(each.text, each.start, each.end, each.kind) for each in found] == [("rename", 10, 13, "command")]


# -- words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run a", ["run", "a"]),
        ("  a\t b \n", ["a", "b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ('"a\\"b" \'c\\d\'', ['a"b', "c\\d"]),
        ("a\\ b", ["a b"]),
        ("''", [""]),
        ("--format '{{.Names}}'", ["--format", "{{.Names}}"]),
        ("a'b'\"c\"d", ["abcd"]),
        ("$HOME *", ["$HOME", "*"]),
        ("a \\\n b", ["a", "b"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_a_shell_does(line, words):
    assert split(line) == words


@pytest.mark.parametrize(
    ("line", "told"), [("a 'b", "the ' at column 3"), ('a "b', 'the " at column 3'), ("a\\", "backslash")]
)
def test_an_open_quote_is_told_with_its_place(line, told):
    with pytest.raises(WordsError, match=told):
        split(line)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), max_size=5))
def test_what_a_shell_would_quote_comes_back(words):
    import shlex

    assert split(shlex.join(words)) == words
