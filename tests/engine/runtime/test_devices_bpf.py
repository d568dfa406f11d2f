"""Device rules of cgroup v2: the program is tried with a little interpreter, and in the kernel."""

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.runtime import cgroups, devices_bpf
from pydockmagic.engine.runtime.cgroups_base import DEFAULT_DEVICES
from pydockmagic.engine.runtime.cgroups_v2 import CgroupV2

BITS = {"m": 1, "r": 2, "w": 4}
KINDS = {"b": 1, "c": 2}
rule = st.builds(
    lambda kind, major, minor, access: f"{kind} {major}:{minor} {''.join(sorted(access))}",
    st.sampled_from("abc"),
    st.sampled_from(["*", "0", "1", "3", "254"]),
    st.sampled_from(["*", "0", "3", "11"]),
    st.sets(st.sampled_from("rwm"), min_size=1),
)


def interpret(code, kind, wanted, major, minor):
    """Run a program as the kernel does (the few instructions that it has), with the context of one access."""
    context = struct.pack("=III", wanted << 16 | kind, major, minor)
    registers = [None] * 11
    place = 0
    instructions = list(struct.iter_unpack("=BBhi", code))
    for _ in range(len(instructions)):
        opcode, pair, offset, value = instructions[place]
        destination, source = pair & 15, pair >> 4
        place += 1
        match opcode:
            case 0x61:
                (registers[destination],) = struct.unpack_from("=I", context, offset)
            case 0x54:
                registers[destination] &= value
            case 0x74:
                registers[destination] >>= value
            case 0xBC:
                registers[destination] = registers[source]
            case 0xB7:
                registers[destination] = value
            case 0x55:
                place += offset if registers[destination] != value else 0
            case 0x5D:
                place += offset if registers[destination] != registers[source] else 0
            case 0x95:
                return registers[0]
            case _:
                pytest.fail(f"unknown instruction {opcode:#x}")
    return pytest.fail("the program does not end")


def allows(text, kind, wanted, major, minor):
    """Say what cgroup v1's documentation says that a rule allows."""
    its_kind, numbers, access = text.split()
    its_major, its_minor = numbers.split(":")
    return (
        its_kind in ("a", kind)
        and its_major in ("*", str(major))
        and its_minor in ("*", str(minor))
        and wanted & ~sum(BITS[letter] for letter in access) == 0
    )


@given(
    st.lists(rule, max_size=6), st.sampled_from("bc"), st.integers(1, 7),
    st.sampled_from([0, 1, 3, 254]), st.sampled_from([0, 3, 11]),
)  # fmt: skip
def test_the_program_allows_what_one_of_the_rules_allows(rules, kind, wanted, major, minor):
    answer = interpret(devices_bpf.program(rules), KINDS[kind], wanted, major, minor)
    assert answer == any(allows(text, kind, wanted, major, minor) for text in rules)


@pytest.mark.parametrize("text", ["", "c 1:3", "x 1:3 rwm", "c 1:3 q", "c one:3 r", "c 1 r"])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises((ValueError, KeyError)):
        devices_bpf.program([text])


@pytest.mark.root
@pytest.mark.skipif(bool(devices_bpf.refusal()), reason="this kernel takes no BPF program from us")
def test_the_kernel_keeps_a_v2_cgroup_from_other_devices():
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    tops = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not tops:
        pytest.skip("cgroup v2 is not mounted here")
    group = CgroupV2.create(tops[0], "", f"pydock-test-bpf-{os.getpid()}")
    (directory,) = group.paths().values()
    script = 'echo $$ > "$0/cgroup.procs"; head -c1 /dev/zero | wc -c; head -c1 /dev/full | wc -c; : > /dev/null'
    try:
        group.allow_devices([])
        assert group.guards_devices
        run = subprocess.run(["sh", "-c", script, directory], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["1", "1"]
        group.allow_devices([])  # a second program can only forbid more
    finally:
        group.kill()
        group.remove()
    strict = CgroupV2.create(tops[0], "", f"pydock-test-bpf-{os.getpid()}")
    try:
        devices_bpf.attach(directory, [rule for rule in DEFAULT_DEVICES if " 1:7 " not in rule])
        run = subprocess.run(["sh", "-c", script, directory], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["1", "0"]
        assert "Operation not permitted" in run.stderr
    finally:
        strict.kill()
        strict.remove()


def test_where_nothing_guards_devices_it_is_known():
    group = cgroups.NullCgroup({})
    group.allow_devices([])
    assert not group.guards_devices
    group.allow_devices(["a *:* rwm"])
    assert group.guards_devices
