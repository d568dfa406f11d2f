"""``--format`` templates and tables against Go's text/template and docker/cli 28.

Kept different on purpose:
- Go's fixtures that are not plain data (functions, methods, unsigned numbers of Go's own types) are left out.
- An expression may be nested 100 deep here, 10,000 in Go; Go's tests lower that limit for themselves.
- Docker's Windows and swarm lists have no command here yet.
"""

from __future__ import annotations

import json

import pytest
from support.vectors import conformance_root, vector

from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.format import containers, images, system
from pydockmagic.commands.format.listing import Options
from pydockmagic.commands.format.table import ellipsis
from pydockmagic.commands.handlers.events import line
from pydockmagic.commands.handlers.info import server_lines
from pydockmagic.commands.template import FUNCTIONS, Function, FunctionError, Struct, Template, TemplateError
from pydockmagic.commands.template.functions import _js
from pydockmagic.commands.template.parser import parse
from pydockmagic.commands.template.values import type_name

pytestmark = pytest.mark.conformance

TABLES = vector("go-template.json")["tables"]
FORMATS = vector("cli-format.json")["cases"]
GOLDEN = conformance_root() / "vectors" / "golden" / "cli" / "command"


def die():
    raise FunctionError("dead")


FIXTURES = {
    **FUNCTIONS,
    "typeOf": Function(type_name, ("any",)),
    "die": Function(die, ()),
    "oneArg": Function(lambda text: f"oneArg={text}", ("string",)),
    "mapOfThree": Function(lambda: {"three": 3}, ()),
}
NUMBERS = {"Uthree": 3, "Ufour": 4, "Three": 3, "Four": 4}


def is_data(case):
    text = json.dumps(case)
    return "$go" not in text and "$call" not in text


def cases(index, keys):
    table = TABLES[index]
    found = [case for case in table["cases"] if is_data(case) and keys <= set(case)]
    return [pytest.param(case, id=str(case.get("name") or case.get("expr") or case.get("in"))) for case in found]


# A number that JSON cannot hold, written as text by the recorder; a Go struct, which JSON cannot tell from a map.
NOT_JSON = {"dot complex", "dot struct"}
EXECUTED = [
    param
    for index in (0, 9)
    for param in cases(index, {"input", "output", "ok"})
    if param.values[0]["name"] not in NOT_JSON
]


@pytest.mark.parametrize("case", EXECUTED)
def test_go_fills_a_template_in_like_this(case):
    try:
        text, good = Template(case["input"], functions=FIXTURES).fill(case["data"]), True
    except TemplateError as error:
        text, good = str(error), False
    assert good == case["ok"], text
    if good:
        assert text == case["output"]


# Compared with Go types that JSON has not (signed with unsigned, pointers, interfaces).
BEYOND_JSON = ("Neg", "Ptr", "Nil", ".U", ".I", ".V", ".Iface", ".Map", ".Bool")
COMPARISONS = [
    param for param in cases(2, {"expr", "ok"}) if not any(mark in param.values[0]["expr"] for mark in BEYOND_JSON)
]


@pytest.mark.parametrize("case", COMPARISONS)
def test_go_compares_like_this(case):
    try:
        text = Template(f"{{{{if {case['expr']}}}}}true{{{{else}}}}false{{{{end}}}}").fill(NUMBERS)
    except TemplateError:
        assert not case["ok"]
    else:
        assert case["ok"]
        assert text == case["truth"]


@pytest.mark.parametrize("case", cases(1, {"in", "exp"}))
def test_go_escapes_for_javascript_like_this(case):
    assert _js(case["in"]) == case["exp"]


DEEP = "exceeds limit"


@pytest.mark.parametrize("case", [p for i in (17, 19) for p in cases(i, {"input", "ok"}) if DEEP not in str(p.id)])
def test_go_reads_a_template_like_this(case):
    name = case.get("name", "")
    complaint = None
    try:
        parse(case["input"], FIXTURES, name)
    except TemplateError as error:
        complaint = str(error)
    assert (complaint is None) == case["ok"], complaint
    if complaint is not None and "{{" not in case["result"]:  # else it is the source: the test expects no sentence
        assert case["result"] in complaint


# -- lists


def listing_of(case):
    data = case["data"]
    function = case["func"]
    if function == "ContainerWrite":
        return containers.CONTAINERS, data["containers"] or []
    if function == "ImageWrite":
        return images.IMAGES, list(images.image_rows(data["images"], digests=bool(case["context"].get("Digest"))))
    if function == "VolumeWrite":
        return system.VOLUMES, data["volumes"]
    if function == "HistoryWrite":
        return images.HISTORY, data["histories"]
    if function == "statsFormatWrite" and data["osType"] == "linux":
        return containers.STATS, data["stats"]
    if function == "DiffFormatWrite":
        return containers.CHANGES, next(iter(data.values()))
    if function == "FormatWrite" and "networks" in data:
        return system.NETWORKS, data["networks"]
    if function == "DiskUsageContext.Write" and not case["context"].get("Verbose"):
        return system.DISK_USAGE, system.disk_usage_rows(case["context"])
    return None


WRITTEN = [case for case in FORMATS if case.get("stdout") is not None and listing_of(case) is not None]


RECORDED = 1795256625  # when, in seconds since 1970


def moment_of(case):
    """Return about when a case was recorded: ages are relative to that, and each names a creation 24 hours before."""
    created = [
        item["Created"]
        for items in case["data"].values()
        if isinstance(items, list)
        for item in items
        if isinstance(item, dict) and isinstance(item.get("Created"), int) and item["Created"] > 0
    ]
    if not created or max(created) < RECORDED - 30 * 86400:
        return RECORDED
    hours = 24 if "24 hours" in case["stdout"] else 0
    minutes = 1.5 if "About a minute" in case["stdout"] else 0
    return max(created) + hours * 3600 + minutes * 60 + 1


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: f"{case['func']}-{case['context']['Format'][:40]}")
def test_docker_writes_a_list_like_this(case):
    listing, items = listing_of(case)
    context = case["context"]
    options = Options(
        trunc=context.get("Trunc", False) or case["data"].get("trunc", False),
        digests=bool(context.get("Digest")),
        human=case["data"].get("human", True),
        now=moment_of(case),
    )
    try:
        text, error = listing.render(items, context["Format"], options).text, None
    except CommandError as failure:
        text, error = "", failure.message
    # `docker ps` tries its template before it asks the daemon, and has words of its own for what is wrong with it.
    wanted = (case.get("error") or "").removeprefix("template parsing error: ")
    assert (error or "").removeprefix("failed to execute template: ").removeprefix(
        "failed to parse template: "
    ).removeprefix("template parsing error: ") == wanted
    if error is None:
        assert text == case["stdout"]


@pytest.mark.parametrize("case", [case for case in FORMATS if case["func"] == "Ellipsis"], ids=lambda c: c["in"]["s"])
def test_docker_cuts_like_this(case):
    assert [ellipsis(case["in"]["s"], case["in"]["maxDisplayWidth"])] == case["out"]


@pytest.mark.parametrize(
    "case", [case for case in FORMATS if case["func"] == "DisplayablePorts"], ids=lambda c: str(c["out"])
)
def test_docker_writes_ports_like_this(case):
    assert [containers.displayable_ports(case["in"]["ports"])] == case["out"]


# -- golden texts


def golden(name):
    return (GOLDEN / name).read_text()


@pytest.mark.parametrize("name", ["docker-info-no-swarm", "docker-info-with-devices"])
def test_docker_writes_info_like_this(name):
    path = GOLDEN / "system" / "testdata" / f"{name}.json.golden"
    server = json.loads(path.read_text())
    text = "".join(f"{each}\n" for each in server_lines(server))
    wanted = golden(f"system/testdata/{name}.golden").partition("Server:\n")[2]
    assert text == wanted.removesuffix("\n") or text == wanted


def test_docker_writes_events_like_this():
    lines = golden("system/testdata/docker-events-json.golden").splitlines()
    events = [json.loads(each) for each in lines]
    wanted = golden("system/testdata/docker-events-default.golden")
    assert "".join(f"{line(each)}\n" for each in events) == wanted


def test_a_template_fills_in_an_event():
    event = json.loads(golden("system/testdata/docker-events-json.golden").splitlines()[0])
    assert Template("{{.Type}} {{.Action}}").fill(Struct(event)) == "container create"
