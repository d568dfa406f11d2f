import httpx
import pytest
from support.markup_check import check_static

from pydockmagic.client import Client, parse_address
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.maps import network_map
from pydockmagic.notebook.widgets.comparison import Side, compare_sheet
from pydockmagic.notebook.widgets.image_tree import ImageLayer, ImageSeen, tree_sheet
from pydockmagic.notebook.widgets.network_map import Attached, Network, network_sheet
from pydockmagic.notebook.widgets.records import FileColumns, FileTable, Layer
from pydockmagic.notebook.widgets.volume_map import MountUse, User, Volume, volume_sheet

NETWORKS = [
    {
        "Name": "bridge",
        "Id": "1a",
        "Driver": "bridge",
        "Created": "1",
        "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]},
    },
    {"Name": "none", "Id": "2b", "Driver": "null", "Created": "2", "IPAM": {"Config": None}},
    {"Name": "shop", "Id": "3c", "Driver": "bridge", "Created": "3", "IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}},
    {"Name": "vault", "Id": "4d", "Driver": "bridge", "Created": "4", "Internal": True},
    {
        "Name": "apart",
        "Id": "5e",
        "Driver": "bridge",
        "Created": "5",
        "Options": {"com.docker.network.bridge.enable_icc": "false"},
    },
]


def container(name, networks, state="running", mode="", ports=()):
    return {
        "Id": name * 8,
        "Names": [f"/{name}"],
        "State": state,
        "HostConfig": {"NetworkMode": mode or next(iter(networks), "")},
        "NetworkSettings": {"Networks": {key: {"IPAddress": value} for key, value in networks.items()}},
        "Ports": [{"IP": ip, "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"} for ip in ports],
    }


CONTAINERS = [
    container("old", {"bridge": ""}, "exited"),
    container("two", {"apart": "172.20.0.3"}),
    container("one", {"apart": "172.20.0.2"}),
    container("side", {}, mode="container:webwebwebwebwebwebwebweb"),
    container("safe", {"vault": "172.19.0.2"}),
    container("db", {"shop": "172.18.0.3", "vault": "172.19.0.3"}),
    container("far", {"bridge": "172.17.0.3"}),
    container("web", {"bridge": "172.17.0.2", "shop": "172.18.0.2"}, ports=["0.0.0.0", "::"]),
]


def answer(request):
    path = request.url.path.removeprefix("/v1.41")
    if path == "/_ping":
        return httpx.Response(200, headers={"Api-Version": "1.41"})
    answers = {"/networks": NETWORKS, "/containers/json": CONTAINERS}
    return httpx.Response(200, json=answers[path]) if path in answers else httpx.Response(404, json={"message": "no"})


@pytest.fixture
def client():
    with Client(parse_address("tcp://127.0.0.1:1"), transport=httpx.MockTransport(answer)) as made:
        yield made


def reach(sheet):
    rows = next(each for each in sheet.sections if each.title == "Who can reach whom").rows
    return {row[0]: [cell if isinstance(cell, str) else cell.text for cell in row[1:]] for row in rows}


def test_by_name_only_on_networks_that_somebody_made(client):
    told = reach(network_map(client, ()))
    assert told["far"][0] == "web (172.17.0.2)\nside (172.17.0.2)"
    assert "web (web or 172.18.0.2)" in told["db"][0]
    assert "far" in told["db"][1]


def test_who_shares_a_network_of_another_reaches_it_as_localhost_and_others_as_it(client):
    told = reach(network_map(client, ()))
    assert "web as localhost" in told["side"][0]
    assert "db (db or 172.18.0.3)" in told["side"][0]


def test_internal_networks_have_no_way_out_and_published_ports_lead_in(client):
    told = reach(network_map(client, ()))
    assert told["safe"][3] == "no, its network is internal"
    assert told["db"][3] == "yes"
    assert told["web"][2] == "by port 8080 of this machine (80/tcp)"
    assert told["db"][2] == "by nobody, no port is published"


def test_containers_of_a_network_without_talk_do_not_reach_each_other(client):
    assert "two" in reach(network_map(client, ()))["one"][1]


def test_every_box_tells_in_words_what_the_picture_shows(client):
    sheet = network_map(client, ())
    words = {box.node.key: box.node.words for box in sheet.graph.nodes}
    assert words["container old"] == "old is exited: nobody can reach it."
    assert words["host machine"] == "From outside: port 8080 leads to web, 80/tcp."
    assert "network none" not in words
    check_static(sheet.html())
    assert sheet.sentence.startswith("4 networks, 7 running containers; 1 container not running")


def test_one_network_is_shown_with_its_containers_alone(client):
    sheet = network_map(client, ["vault"])
    assert set(reach(sheet)) == {"safe", "db"}
    with pytest.raises(DockerError, match="network nope not found"):
        network_map(client, ["nope"])


DATA, SPARE = Volume("data"), Volume("f" * 64)
SIZED = [Volume("data", size=2_500_000), Volume("f" * 64, size=0)]
USERS = [
    User("one", "running", (MountUse("volume", "data", "/data"), MountUse("bind", "/srv", "/in", writable=False))),
    User("two", "exited", (MountUse("volume", "data", "/copy", writable=False),)),
    User("three", "running"),
]


def test_who_mounts_a_volume_and_what_becomes_of_one_that_nobody_mounts():
    sheet = volume_sheet([DATA, SPARE], USERS)
    text = check_static(sheet.html())
    assert sheet.sentence == "2 volumes, mounted by 2 containers; 1 volume mounted by nobody."
    assert "one at /data (read-write)" in text
    assert "two at /copy (read-only)" in text
    assert "docker volume prune removes it" in text
    words = {box.node.key: box.node.words for box in sheet.graph.nodes}
    assert words["volume data"].endswith("They see the same files.")
    assert words["bind /srv"] == "/srv (folder of this machine) is mounted by one."
    assert "container three" not in words


def test_what_volumes_take_is_told_where_the_daemon_has_counted_it():
    sheet = volume_sheet(SIZED, USERS)
    assert "2.5MB in all" in check_static(sheet.html())
    words = {box.node.key: box.node for box in sheet.graph.nodes}
    assert words["volume data"].about == "volume, 2.5MB"
    assert words["volume data"].words.endswith("It takes 2.5MB.")
    assert [row[1] for row in sheet.sections[0].rows] == ["2.5MB", "0B"]
    assert "size" not in volume_sheet([DATA, SPARE], USERS).sections[0].head


BASE, MORE, WEB, API = (
    ImageLayer("sha256:" + letter, size, made)
    for letter, size, made in (
        ("a", 1000, "ADD base"),
        ("b", 100, "RUN more"),
        ("c", 10, "COPY web"),
        ("d", 1, "COPY <api>"),
    )
)


def test_images_stand_under_those_they_are_built_on_and_shared_layers_count_once():
    images = [
        ImageSeen(("web:latest", "web:1"), (BASE, MORE, WEB)),
        ImageSeen(("api:latest",), (BASE, MORE, API)),
        ImageSeen(("base:latest",), (BASE,)),
        ImageSeen(("again:latest",), (BASE,)),
    ]
    sheet = tree_sheet(images)
    rows = [[cell if isinstance(cell, str) else cell.text for cell in row] for row in sheet.sections[0].rows]
    assert [row[0] for row in rows] == [
        "base:latest, again:latest",
        "└─ (layers of no image of their own)",
        "   └─ web:latest, web:1",
        "   └─ api:latest",
    ]
    assert [row[1] for row in rows] == ["1kB", "100B", "10B", "1B"]
    assert sheet.sentence == "4 images in 1.11kB of layers; without sharing they would take 4.21kB."
    assert "COPY <api>" in check_static(sheet.html())
    assert {(line.source == rows, line.arrow) for line, _ in sheet.graph.lines} == {(False, True)}


def side(name, *layers, config=None):
    table = FileTable(
        total=2,
        columns=FileColumns(path=["etc/x", "bin/"], kind=["file", "dir"], size=[len(name), 0], change=["C", "A"]),
    )
    return Side(name, layers, config or {}, {layer.chain_id: table for layer in layers if layer.files})


LOW = Layer(chain_id="sha256:1", size=1000, instruction="FROM x")
TOP = Layer(chain_id="sha256:2", size=10, instruction="RUN a", files=2)
ELSE = Layer(chain_id="sha256:3", size=20, instruction="RUN b", files=2)


def test_two_images_share_what_lies_at_the_bottom_of_both():
    sheet = compare_sheet(
        side("one", LOW, TOP, config={"CMD": "a", "USER": "u"}), side("other", LOW, ELSE, config={"CMD": "b"})
    )
    text = check_static(sheet.html())
    assert sheet.sentence == "They share the lowest layer (1kB); one adds 1 layer (10B), other adds 1 layer (20B)."
    assert [each.title for each in sheet.sections] == [
        "Shared layers", "Only in one", "Only in other", "What differs in the configuration",
        "Files that differ above the shared layers",
    ]  # fmt: skip
    assert "changed, 3B" in text
    assert "/bin/" not in text
    assert "not set" in text


def test_the_same_and_wholly_different_images_are_told_so():
    assert compare_sheet(side("one", LOW), side("two", LOW)).sentence == "They have the same 1 layer (1kB)."
    assert compare_sheet(side("one", TOP), side("two", ELSE)).sentence.startswith("They share no layer;")


def test_of_too_much_there_is_no_picture_but_all_of_the_words():
    volumes = [Volume(f"v{at}") for at in range(60)]
    sheet = volume_sheet(volumes, [])
    assert sheet.graph is None
    assert "60 boxes are too many" in check_static(sheet.html())
    assert len(sheet.sections[0].rows) == 60


def test_many_neighbours_are_counted():
    network = Network("shop", "bridge")
    many = [Attached(f"c{at}", "running", {"shop": f"10.0.0.{at}"}) for at in range(20)]
    row = network_sheet([network], many).sections[0].rows[0]
    assert row[1].text.splitlines()[-1] == "and 7 more"
