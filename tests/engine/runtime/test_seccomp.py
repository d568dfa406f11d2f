"""The seccomp compiler, its programs run by a small model of the kernel's machine."""

import errno
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydockmagic.engine.runtime import defaults, seccomp, syscalls
from pydockmagic.engine.runtime.seccomp_default import PROFILE

ALLOW = "allow"


def verdict(program, name, *arguments, architecture="x86_64", number=None):
    """Run a program on one system call; give "allow", an errno, or the raw action."""
    if number is None:
        number = syscalls.numbers(architecture)[name]
    data = struct.pack("<IIQ6Q", number, syscalls.AUDIT_ARCH[architecture], 0, *arguments, *[0] * (6 - len(arguments)))
    code = list(struct.iter_unpack("HBBI", program))
    accumulator, at = 0, 0
    for _ in range(len(code) + 1):
        operation, if_true, if_false, operand = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x05:
            at += operand
        elif operation == 0x06:
            if operand == 0x7FFF0000:
                return ALLOW
            return operand & 0xFFFF if operand >> 16 == 5 else hex(operand)
        else:
            holds = {0x15: accumulator == operand, 0x25: accumulator > operand, 0x35: accumulator >= operand}[operation]
            at += if_true if holds else if_false
    raise AssertionError("the program does not end")


@pytest.fixture(autouse=True)
def x86(monkeypatch):
    monkeypatch.setattr("pydockmagic.engine.runtime.linux.MACHINE", "x86_64")
    monkeypatch.setattr(seccomp, "_cache", {})


def default(capabilities=defaults.CAPABILITIES, **options):
    return seccomp.program("default", capabilities, **options)


@pytest.mark.parametrize(
    "name", ["read", "execve", "openat", "mknod", "chown", "ptrace", "futex", "chroot", "fchmodat2"]
)
def test_ordinary_calls_are_allowed(name):
    assert verdict(default(), name) == ALLOW


@pytest.mark.parametrize(
    "name",
    ["mount", "unshare", "setns", "bpf", "keyctl", "reboot", "swapon", "init_module", "io_uring_setup", "userfaultfd"],
)
def test_calls_that_reach_the_host_are_forbidden(name):
    assert verdict(default(), name) == errno.EPERM


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("SYS_ADMIN", "mount"),
        ("SYS_BOOT", "reboot"),
        ("SYS_TIME", "clock_settime"),
        ("SYSLOG", "syslog"),
        ("SYS_ADMIN", "clone3"),
    ],
)
def test_a_capability_brings_its_calls(capability, name):
    assert verdict(default(), name) != ALLOW
    assert verdict(default(defaults.CAPABILITIES | {f"CAP_{capability}"}), name) == ALLOW


def test_chroot_goes_with_its_capability():
    assert verdict(default(frozenset()), "chroot") == errno.EPERM


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", [0x01200011], ALLOW),
        ("clone", [0x10000000], errno.EPERM),  # CLONE_NEWUSER
        ("clone", [0x7E020000], errno.EPERM),
        ("clone3", [], errno.ENOSYS),
        ("personality", [0], ALLOW),
        ("personality", [0x20008], ALLOW),
        ("personality", [0xFFFFFFFF], ALLOW),
        ("personality", [0xFFFFFFFFFFFFFFFF], errno.EPERM),
        ("personality", [0x0040000], errno.EPERM),
        ("socket", [2], ALLOW),
        ("socket", [40], errno.EPERM),
        ("socket", [40 + (1 << 32)], ALLOW),
    ],
)
def test_arguments_decide(name, arguments, answer):
    assert verdict(default(), name, *arguments) == answer


def test_unknown_newer_calls_do_not_exist_so_that_programs_fall_back():
    assert verdict(default(), "", number=1000) == errno.ENOSYS
    assert verdict(default(), "", number=0x40000000) == errno.ENOSYS  # the x32 interface


def test_programs_for_32_bits_are_filtered_too():
    assert verdict(default(), "read", architecture="i386") == ALLOW
    assert verdict(default(), "mount", architecture="i386") == errno.EPERM
    assert verdict(default(), "socketcall", architecture="i386") == ALLOW


def test_other_architectures_are_killed():
    assert verdict(default(), "read", architecture="aarch64") == "0x80000000"


def test_the_arm_filter_knows_its_own_numbers(monkeypatch):
    monkeypatch.setattr("pydockmagic.engine.runtime.linux.MACHINE", "aarch64")
    assert verdict(default(), "openat", architecture="aarch64") == ALLOW
    assert verdict(default(), "mount", architecture="aarch64") == errno.EPERM


def test_unconfined_is_no_filter_at_all():
    assert seccomp.program("unconfined", ()) == b""


@pytest.mark.parametrize("profile", ["default", "unconfined"])
def test_with_one_id_changing_ids_answers_well(profile):
    program = seccomp.program(profile, defaults.CAPABILITIES, single_uid=True)
    for name in ("chown", "fchownat", "setuid", "setgroups", "capset", "setxattr", "setresgid"):
        assert verdict(program, name) == 0
    assert verdict(program, "mknod", 0, 0o020666) == 0
    assert verdict(program, "mknod", 0, 0o010666) == ALLOW  # a named pipe
    assert verdict(program, "mknodat", 0, 0, 0o060666) == 0
    assert verdict(program, "read") == ALLOW


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        ("{", "Decoding seccomp profile failed"),
        ("[]", "Decoding seccomp profile failed"),
        ('{"defaultAction": "SCMP_ACT_NOSUCH"}', "invalid seccomp action"),
        (
            '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"name": "read", "action":"SCMP_ACT_KILL", "args": [{}]}]}',
            "invalid seccomp operator",
        ),
    ],
)
def test_wrong_profiles_are_named(profile, complaint):
    with pytest.raises(seccomp.SeccompError, match=complaint):
        seccomp.program(profile, ())


def test_the_actions_are_the_kernels():
    profile = {
        "defaultAction": "SCMP_ACT_LOG",
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42},
            {"names": ["write"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"name": "open", "action": "SCMP_ACT_TRAP"},
            {"names": ["close"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"}},
            {"names": ["stat"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
            {"names": ["lstat"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_KILL"]}},
        ],
    }
    program = seccomp.program(json.dumps(profile), ("CAP_KILL",))
    found = [verdict(program, name) for name in ("read", "write", "open", "close", "stat", "lstat", "fstat")]
    assert found == [42, "0x80000000", "0x30000", *["0x7ffc0000"] * 4]


OPERATORS = {
    "EQ": lambda argument, value, _: argument == value,
    "NE": lambda argument, value, _: argument != value,
    "LT": lambda argument, value, _: argument < value,
    "LE": lambda argument, value, _: argument <= value,
    "GT": lambda argument, value, _: argument > value,
    "GE": lambda argument, value, _: argument >= value,
    "MASKED_EQ": lambda argument, value, second: argument & value == second,
}
WORDS = st.one_of(
    st.sampled_from([0, 1, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1)
)


@settings(deadline=None)
@given(
    conditions=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(sorted(OPERATORS)), WORDS, WORDS), min_size=1, max_size=4
    ),
    arguments=st.lists(WORDS, min_size=6, max_size=6),
    equal=st.integers(-1, 3),
)
def test_comparisons_are_those_of_64_bit_numbers(conditions, arguments, equal):
    if 0 <= equal < len(conditions):  # else equality hardly ever happens
        arguments[conditions[equal][0]] = conditions[equal][2]
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {
                "names": ["read"],
                "action": "SCMP_ACT_ALLOW",
                "args": [
                    {"index": index, "op": f"SCMP_CMP_{name}", "value": value, "valueTwo": second}
                    for index, name, value, second in conditions
                ],
            }
        ],
    }
    seccomp._cache.clear()
    program = seccomp.program(json.dumps(profile), ())
    held = [OPERATORS[name](arguments[index], value, second) for index, name, value, second in conditions]
    repeated = len({index for index, *_ in conditions}) < len(conditions)
    assert (verdict(program, "read", *arguments) == ALLOW) == (any(held) if repeated else all(held))


@settings(deadline=None)
@given(st.sets(st.sampled_from(sorted(syscalls.numbers("x86_64"))), min_size=1))
def test_every_call_gets_its_answer_wherever_it_stands(allowed):
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 7,
        "syscalls": [{"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"}],
    }
    seccomp._cache.clear()
    program = seccomp.program(json.dumps(profile), ())
    for name in (*sorted(allowed)[:20], *("read", "io_setup", "futex", "statx", "listmount")):
        assert verdict(program, name) == (ALLOW if name in allowed else 7)


def test_every_name_in_the_default_profile_is_a_system_call_somewhere():
    known = set().union(*(syscalls.numbers(architecture) for architecture in syscalls.AUDIT_ARCH))
    names = {name for entry in PROFILE["syscalls"] for name in entry["names"]}
    assert names - known <= {
        "epoll_ctl_old",
        "epoll_wait_old",
        "fadvise64_64",
        "getsid",
        "recv",
        "send",
        "sync_file_range2",
        "uretprobe",
    }
