from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.commands import units
from pydockmagic.commands.format.table import align, ellipsis
from pydockmagic.commands.format.times import go_time, nanoseconds
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.handlers.keys import DetachKeys, parse_keys
from pydockmagic.commands.handlers.moments import timestamp
from pydockmagic.commands.options import pairs, ports

# -- ports


@pytest.mark.parametrize(
    ("text", "mappings"),
    [
        ("80", [("80/tcp", "", "")]),
        ("8080:80/udp", [("80/udp", "", "8080")]),
        ("127.0.0.1:8080:80", [("80/tcp", "127.0.0.1", "8080")]),
        ("[::1]::80", [("80/tcp", "::1", "")]),
        ("8080-8081:80-81", [("80/tcp", "", "8080"), ("81/tcp", "", "8081")]),
        ("8080-8090:80", [("80/tcp", "", "8080-8090")]),
    ],
)
def test_ports_are_read(text, mappings):
    assert ports.parse_spec(text) == mappings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", "invalid containerPort: abc"),
        ("99999:80", "invalid hostPort: 99999"),
        ("8080-8082:80-81", "invalid ranges specified for container and host Ports: 80-81 and 8080-8082"),
        ("host:80:80", "invalid IP address: host"),
        ("80/foo", "invalid proto: foo"),
        ("", "no port specified: <empty>"),
    ],
)
def test_bad_ports_are_told_as_docker_does(text, message):
    with pytest.raises(ValueProblem) as caught:
        ports.parse_spec(text)
    assert str(caught.value) == message


@given(st.text(alphabet="0123456789.:-/[]tcp", max_size=20))
def test_no_port_breaks_the_reader(text):
    try:
        mappings = ports.parse_spec(text)
    except ValueProblem:
        return
    assert mappings
    assert all(mapping.port.endswith(("/tcp", "/udp", "/sctp")) for mapping in mappings)


# -- sizes, durations, moments


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("64m", 64 << 20), ("1.5g", 3 << 29), ("10kb", 10240), ("1 MiB", 1 << 20), ("7b", 7)]
)
def test_sizes_are_read(text, size):
    assert units.parse_size(text) == size


@given(st.integers(0, 1 << 49))  # docker reads sizes up to petabytes
def test_a_size_that_is_written_can_be_read_again_nearly(size):
    again = units.parse_size(units.human_size(size), 1000)
    assert abs(again - size) <= max(1, size * 0.001)


@given(st.integers(-(1 << 62), 1 << 62))
def test_a_duration_that_is_written_can_be_read_again(nanos):
    assert units.parse_duration(units.format_duration(nanos)) == nanos


@pytest.mark.parametrize("text", ["", "x", "1", "1x", "-", ".s", "1h30"])
def test_what_is_no_duration_is_told_in_gos_words(text):
    with pytest.raises(ValueError, match=r"^time: (invalid|missing unit in|unknown unit)"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", "999400.000000000"),
        ("1970-01-12T00:00:00Z", "950400.000000000"),
        ("1970-01-12T01:00:00.5+01:00", "950400.500000000"),
        ("1136073600.5", "1136073600.5"),
    ],
)
def test_moments_are_durations_before_now_dates_or_seconds(text, moment):
    assert timestamp(text, 1_000_000) == moment


def test_what_is_no_moment_is_told():
    with pytest.raises(ValueError, match='failed to parse value as time or duration: "x"'):
        timestamp("x", 0)


def test_times_are_written_as_go_does(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert go_time(0) == "1970-01-01 00:00:00 +0000 UTC"
    assert nanoseconds("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert nanoseconds("0001-01-01T00:00:00Z") == 0


# -- pairs


def test_files_of_pairs_drop_comments_and_look_names_up(tmp_path):
    (tmp_path / "env").write_text("# no\n\n  A=1\nB\nC\n", encoding="utf-8-sig")
    assert pairs.environment(["env"], ["D=4", "E"], tmp_path, {"B": "2"}) == ["A=1", "B=2", "D=4", "E"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A B=1\n", "invalid env file (env): variable 'A B' contains whitespaces"),
        (b"=1\n", "invalid env file (env): no variable name on line '=1'"),
        (b"ok=1\nx=\xff\n", "invalid env file (env): invalid utf8 bytes at line 2: [120 61 255]"),
    ],
)
def test_bad_files_of_pairs_are_told_as_docker_does(tmp_path, content, message):
    (tmp_path / "env").write_bytes(content)
    with pytest.raises(ValueProblem) as caught:
        pairs.environment(["env"], [], tmp_path, {})
    assert str(caught.value) == message


# -- columns


def test_columns_are_at_least_ten_wide_with_three_blanks_between():
    assert align("A\tB\tC\nlong-long-name\tb\tc") == "A                B         C\nlong-long-name   b         c"


def test_a_line_without_tabs_ends_a_block_of_columns():
    assert align("aaaaaaaaaaaaaaa\tb\nplain\nc\td") == "aaaaaaaaaaaaaaa   b\nplain\nc         d"


@given(st.text(max_size=30), st.integers(0, 40))
def test_what_is_cut_fits(text, width):
    cut = ellipsis(text, width)
    assert len(cut) <= max(width, 0)
    assert cut == text or width <= 1 or cut.endswith("…")


# -- keys


def feed_all(pieces, keys):
    passed, found = b"", False
    for piece in pieces:
        data, found = keys.feed(piece)
        passed += data
        if found:
            break
    return passed, found


@given(st.binary(max_size=20), st.lists(st.integers(1, 5), max_size=20))
def test_the_detach_keys_are_found_however_they_arrive(before, cuts):
    before = before.replace(b"\x10", b"")
    data = before + b"\x10\x11" + b"after"
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(data[start : start + cut])
        start += cut
    pieces.append(data[start:])
    assert feed_all(pieces, DetachKeys()) == (before, True)


def test_half_a_sequence_is_passed_on_after_all():
    assert feed_all([b"\x10", b"x\x10\x10", b"y"], DetachKeys()) == (b"\x10x\x10\x10y", False)


def test_key_sequences_are_read():
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_keys("a,ctrl-[") == b"a\x1b"
    with pytest.raises(ValueProblem, match="Unknown character: 'zz'"):
        parse_keys("ctrl-a,zz")
