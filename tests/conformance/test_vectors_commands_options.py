"""Options of ``docker run`` and its kin, ports and units, against what docker/cli 28, go-connections and go-units do.

Kept different on purpose, each listed below: a few recorded calls take pieces apart that we read in one step.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.vectors import conformance_root, vector

from pydockmagic.client import BadAddress, parse_address
from pydockmagic.commands import units
from pydockmagic.commands.grammar import Arity, HelpAsked, commands, parse
from pydockmagic.commands.grammar.kinds import ValueProblem, convert
from pydockmagic.commands.handlers.copy import split_argument
from pydockmagic.commands.options import checks, config, devices, hosts, mounts, networks, pairs, ports

pytestmark = pytest.mark.conformance

RUN_FLAGS = vector("docker-run-flags.json")["functions"]
OPTS = vector("cli-opts.json")["functions"]
PORTS = vector("ports-nat.json")["functions"]
UNITS = vector("units.json")["functions"]
TESTDATA = conformance_root() / "vectors" / "golden" / "cli" / "command" / "container"

# Compose and swarm values, for which there are no commands yet; files that existed only while it was recorded; the
# splitting of an address that we do while we parse it; flags of Go's that only our parser's own tests can show.
NOT_HERE = {
    "ConfigOpt.Set", "SecretOpt.Set", "ConvertPortToPortConfig", "PortOpt.Set", "ParseTCPAddr", "QuotedString.Set",
    "ParseEnvFile", "CapabilitiesMap", "EffectiveCapAddCapDrop", "NormalizeCapability", "ValidateMACAddress",
    "parseSecurityOpts", "parseStorageOpts", "parseNetworkOpts", "FilterOpt.Set", "MemBytes.Set",
    "SortPortMap", "Port.Proto", "Port.Port", "Port.Int", "ParsePortRangeToInt", "NewPort", "CustomSize",
    "validateLinuxPath",  # its recorded validator is `validateDevice`'s
}  # fmt: skip


def ids(case):
    return json.dumps(case["in"], ensure_ascii=False)[:60]


def outcome(call):
    """Return what a call gives, or its complaint, in the form of the records."""
    try:
        return call(), None
    except (ValueProblem, ValueError) as problem:
        return None, str(problem)


def check(call, expected, error):
    value, complaint = outcome(call)
    if error is not None:
        assert complaint == error["error"]
    else:
        assert complaint is None
        assert value == expected


def test_every_recorded_function_is_accounted_for():
    known = set(RUN_FLAGS) | set(OPTS) | set(PORTS) | set(UNITS)
    assert known <= NOT_HERE | CHECKED.keys() | {"parseRun", "MountOpt.Set", "NetworkOpt.Set", "GpuOpts.Set"} | {
        "DurationOpt.Set", "UlimitOpt.Set", "ParseHost"
    }  # fmt: skip


# -- whole lines


def run_line(words):
    command = commands()["container run"]
    from dataclasses import replace

    parsed = parse(replace(command, arity=Arity()), "run", words)
    return config.container_config(parsed, TESTDATA, {})


@pytest.mark.parametrize("case", RUN_FLAGS["parseRun"], ids=ids)
def test_a_run_line_becomes_the_recorded_request(case):
    wanted, host, networking, error = case["out"]
    if error is not None:
        with pytest.raises(ValueProblem) as caught:
            run_line(case["in"]["args"])
        assert str(caught.value) == error["error"]
        return
    made = run_line(case["in"]["args"])
    own = {**made.config, "Image": "", "Cmd": None}  # the recorded function leaves these two to its caller
    assert own == wanted
    # Go walks over its map of volumes in no order.
    assert sorted(made.host_config["Binds"] or []) == sorted(host["Binds"] or [])
    assert {**made.host_config, "Binds": None} == {**host, "Binds": None}
    assert made.networking_config == networking


# -- single values


def spec(case):
    return [{"Port": m.port, "Binding": {"HostIp": m.host_ip, "HostPort": m.host_port}} for m in ports.parse_spec(case)]


def cpus(text):
    return convert("decimal", text)


def env(case, directory):
    found = pairs.environment(case["files"] or (), case["override"] or (), directory, {})
    return found or None


def plain_pairs(case):
    return pairs.read_files(case["files"] or (), case["override"] or (), TESTDATA, kind="label file") or None


def resolved_env(text):
    import os

    checked = pairs.check_env(text)
    return f"{checked}={os.environ[checked]}" if "=" not in checked and checked in os.environ else checked


CHECKED = {
    "splitCpArg": lambda case: split_argument(case["arg"]),
    "validateAttach": lambda case: checks.check("attach", case["val"]),
    "convertToStandardNotation": lambda case: ports.standard_notation(case["ports"] or ()),
    "ReadKVEnvStrings": lambda case: env(case, TESTDATA),
    "ReadKVStrings": plain_pairs,
    "ParseRestartPolicy": lambda case: config.restart_policy(case["policy"]),
    "parseLoggingOpts": None,
    "parseSystemPaths": None,
    "validateDevice": lambda case: devices.check_device(case["val"]),
    "parseDevice": lambda case: devices.parse_device(case["device"]),
    "validDeviceMode": None,
    "ValidateEnv": lambda case: resolved_env(case["val"]),
    "ConvertKVStringsToMap": lambda case: pairs.to_map(case["values"]),
    "ValidateIPAddress": lambda case: hosts.check_dns(case["val"]),
    "ValidateExtraHost": lambda case: hosts.check_extra_host(case["val"]),
    "ValidateDNSSearch": lambda case: hosts.check_dns_search(case["val"]),
    "ValidateLabel": lambda case: pairs.check_label(case["value"]),
    "ParseLink": None,
    "ValidateLink": lambda case: networks.check_link(case["val"]),
    "ParseCPUs": lambda case: cpus(case["value"]),
    "ParsePort": lambda case: ports.parse_port(case["rawPort"]),
    "ParsePortRange": lambda case: ports.parse_port_range(case["ports"]),
    "SplitProtoPort": None,
    "ParsePortSpec": lambda case: spec(case["rawPort"]),
    "ParsePortSpecs": None,
    "HumanDuration": lambda case: units.human_duration(case["d"]),
    "BytesSize": lambda case: units.binary_size(case["size"]),
    "HumanSizeWithPrecision": lambda case: units.human_size(case["size"], case["precision"]),
    "HumanSize": lambda case: units.human_size(case["size"]),
    "FromHumanSize": lambda case: units.parse_size(case["size"], 1000),
    "RAMInBytes": lambda case: units.parse_size(case["size"]),
    "ParseUlimit": lambda case: devices.ulimit(case["val"]),
}

SINGLE = {
    name: cases
    for group in (RUN_FLAGS, OPTS, PORTS, UNITS)
    for name, cases in group.items()
    if CHECKED.get(name) is not None
}
# Recorded where files of a temporary folder were at hand, or where PATH was another.
GONE = ("/tmp/", "no-such-env-file", '"PATH"')
# The recorded texts leave out the value; docker itself shows it, as `UlimitOpt.Set` of the same project does.
EMPTY_ARGUMENT = "invalid ulimit argument: "


def flat():
    for name, cases in SINGLE.items():
        for case in cases:
            if not any(mark in json.dumps(case["in"]) for mark in GONE):
                yield pytest.param(name, case, id=f"{name}-{ids(case)}")


@pytest.mark.parametrize(("name", "case"), list(flat()))
def test_a_value_is_read_as_recorded(name, case):
    *values, error = case["out"] if len(case["out"]) > 1 and name != "splitCpArg" else (*case["out"], None)
    value, complaint = outcome(lambda: CHECKED[name](case["in"]))
    if isinstance(error, dict):
        assert complaint is not None
        wanted = error["error"]
        assert complaint.startswith(wanted) if wanted == EMPTY_ARGUMENT else complaint == wanted
        return
    assert complaint is None
    expected = tuple(values) if isinstance(value, tuple) else values[0]
    assert value == expected or (not value and not expected)


@pytest.mark.parametrize("case", OPTS["ParseLink"], ids=ids)
def test_a_link_is_refused_as_recorded(case):
    error = case["out"][2]
    _, complaint = outcome(lambda: networks.check_link(case["in"]["val"]))
    assert complaint == (error["error"] if error else None)


@pytest.mark.parametrize("case", PORTS["ParsePortSpecs"], ids=ids)
def test_port_specifications_together(case):
    exposed, bindings, error = case["out"]
    check(lambda: ports.parse_specs(case["in"]["ports"]), (exposed, bindings), error)


@pytest.mark.parametrize("case", PORTS["SplitProtoPort"], ids=ids)
def test_a_port_and_its_protocol_part(case):
    assert list(ports.split_protocol(case["in"]["rawPort"])) == case["out"]


@pytest.mark.parametrize("case", RUN_FLAGS["validDeviceMode"], ids=ids)
def test_device_modes(case):
    text = f"/dev/null:/x:{case['in']['mode']}"
    assert (outcome(lambda: devices.check_device(text))[1] is None) == case["out"][0]


@pytest.mark.parametrize("case", RUN_FLAGS["parseSystemPaths"], ids=ids)
def test_unconfined_system_paths(case):
    kept, masked, read_only = config._security(case["in"]["securityOpts"] or [], Path("/"))
    wanted = list(case["out"][0] or [])
    assert (kept, masked, read_only) == (wanted, case["out"][1], case["out"][2])


@pytest.mark.parametrize("case", RUN_FLAGS["parseLoggingOpts"], ids=ids)
def test_logging_options(case):
    given = case["in"]
    words = ["--log-driver", given["loggingDriver"], *(f"--log-opt={text}" for text in given["loggingOpts"] or ())]
    check(lambda: run_line(words).host_config["LogConfig"]["Config"], *case["out"])


# -- values that are collected


@pytest.mark.parametrize("case", OPTS["MountOpt.Set"], ids=ids)
def test_a_mount_is_read_as_recorded(case):
    wanted = case["in"]["(recv_after)"]
    # The recording ran in /src/cli-28/opts.
    value, complaint = outcome(lambda: mounts.parse_mount(case["in"]["value"], Path("/src/cli-28/opts")))
    error = case["out"][0]
    if error:
        assert complaint == error["error"]
        return
    assert complaint is None
    last = wanted[-1]
    last.get("VolumeOptions", {}).pop("DriverConfig", None)  # an empty one says nothing
    value.get("VolumeOptions", {}).pop("DriverConfig", None)
    assert value == last


def network_case(attachment):
    return {
        "Target": attachment.target,
        "Aliases": attachment.aliases,
        "DriverOpts": attachment.driver_opts,
        "Links": attachment.links,
        "IPv4Address": attachment.ipv4,
        "IPv6Address": attachment.ipv6,
        "LinkLocalIPs": attachment.link_local,
        "MacAddress": attachment.mac,
        "GwPriority": attachment.gateway_priority,
    }


@pytest.mark.parametrize("case", [*OPTS["NetworkOpt.Set"], *RUN_FLAGS["NetworkOpt.Set"]], ids=ids)
def test_a_network_is_read_as_recorded(case):
    value, complaint = outcome(lambda: networks.parse_network(case["in"]["value"]))
    error = case["out"][0]
    if error:
        assert complaint == error["error"]
        return
    assert complaint is None
    last = case["in"]["(recv_after)"][-1]
    assert {key: each or None for key, each in network_case(value).items()} == {
        key: each or None for key, each in last.items()
    }


@pytest.mark.parametrize("case", OPTS["GpuOpts.Set"], ids=ids)
def test_a_gpu_request_is_read_as_recorded(case):
    error = case["out"][0]
    wanted = None if error else case["in"]["(recv_after)"][-1]
    check(lambda: devices.gpus(case["in"]["value"]), wanted, error)


@pytest.mark.parametrize("case", OPTS["DurationOpt.Set"], ids=ids)
def test_a_duration_is_read_as_recorded(case):
    assert units.parse_duration(case["in"]["s"]) == case["in"]["(recv_after)"]


@pytest.mark.parametrize("case", OPTS["UlimitOpt.Set"], ids=ids)
def test_a_ulimit_is_refused_as_recorded(case):
    error = case["out"][0]
    _, complaint = outcome(lambda: devices.ulimit(case["in"]["val"]))
    assert complaint == (error["error"] if error else None)


# Addresses of Windows and of systemd are refused here; ports are checked when an address is read, which docker does
# when it connects; an address without a scheme or of two colons is refused in other words.
ADDRESSES_KEPT = {"npipe:////./pipe/foo", "npipe://", "fd://", "fd://something", "tcp://0.0.0.0:1234567890"}


@pytest.mark.parametrize("case", OPTS["ParseHost"], ids=ids)
def test_an_address_is_read_as_recorded(case):
    text = case["in"]["val"]
    value, error = case["out"]
    if error is not None or text in ADDRESSES_KEPT:
        with pytest.raises(BadAddress):
            parse_address(text)
        return
    assert str(parse_address(text)) == value


def test_asking_for_help_is_no_mistake():
    with pytest.raises(HelpAsked):
        run_line(["--help"])
