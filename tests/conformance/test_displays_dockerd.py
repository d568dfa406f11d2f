"""The displays of one little world, on the mini-engine and on a real dockerd: what they show is the same."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.dockerd import available, dockerd
from support.engine import engine
from support.replay.images import busybox_tar

from pydockmagic.client import Client, parse_address
from pydockmagic.notebook.board import read_board
from pydockmagic.notebook.comparing import compare_images
from pydockmagic.notebook.insides import read_inside
from pydockmagic.notebook.maps import image_tree, network_map, volume_map
from pydockmagic.notebook.widgets.inside import inside_sheet
from pydockmagic.notebook.widgets.sheet import Sheet, cell_text

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.skipif(not available(), reason="no dockerd that could be run here (docker.io, root)"),
    pytest.mark.timeout(300),
]

WORLD = """
network create shop
network create --internal vault
volume create pages
volume create spare
run -d --name web --network shop -p 80 -v pages:/www -m 64m --cap-drop NET_RAW busybox sh -c "sleep 900 & sleep 999"
run -d --name db --network shop busybox sleep 1000
network connect vault db
run -d --name safe --network vault -v pages:/copy:ro busybox sleep 1000
run -d --name side --network container:db busybox sleep 1000
run -d --name far busybox sleep 1000
run --name old busybox true
create --name fresh busybox true
pause far
"""
DOCKERFILES = {
    "base": "FROM busybox\nRUN echo one > /one && echo two > /two\n",
    "left": "FROM base\nRUN rm /one\nENV A=1\n",
    "right": "FROM base\nRUN echo more > /two\n",
}


def docker(host: str, *words: str, text: str = "") -> None:
    environ = {**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_HOST": host}
    done = subprocess.run(["docker", *words], input=text, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """Give clients of a real dockerd and of a mini-engine, with the same world on both."""
    folder = tmp_path_factory.mktemp("displays")
    (folder / "dockerd").mkdir()
    with dockerd(folder / "dockerd") as theirs, engine(folder) as ours:
        for host in (theirs, ours):
            command = ["docker", "-H", host, "import", "-", "busybox:latest"]
            subprocess.run(command, input=busybox_tar(), check=True, capture_output=True)
            for line in WORLD.strip().splitlines():
                words = re.findall(r'"([^"]*)"|(\S+)', line)
                docker(host, *(quoted or plain for quoted, plain in words))
            for name, source in DOCKERFILES.items():
                docker(host, "build", "-q", "-t", name, "-", text=source)
        with Client(parse_address(theirs)) as one, Client(parse_address(ours)) as other:
            yield one, other
        for host in (theirs, ours):
            docker(host, "rm", "-f", "-v", "web", "db", "safe", "side", "far", "old", "fresh")


def rows(sheet: Sheet, title: str) -> list[list[str]]:
    """Give a table without the addresses and ports, which are each daemon's own."""
    found = next(section for section in sheet.sections if section.title == title)
    texts = [[cell_text(cell) for cell in row] for row in found.rows]
    return [[re.sub(r"(\d+\.){3}\d+(/\d+)?|port \d+", "<N>", text) for text in row] for row in texts]


def both(clients: tuple[Client, Client], look: Callable[[Client], Any]) -> None:
    theirs, ours = (look(client) for client in clients)
    assert ours == theirs


def test_who_can_reach_whom(clients: tuple[Client, Client]) -> None:
    both(clients, lambda client: rows(network_map(client, ()), "Who can reach whom"))
    both(clients, lambda client: sorted(rows(network_map(client, ()), "Networks")))


def test_who_mounts_what(clients: tuple[Client, Client]) -> None:
    both(clients, lambda client: str(volume_map(client, ())))


def test_images_by_layers_and_their_comparison(clients: tuple[Client, Client]) -> None:
    both(clients, lambda client: [row[:3] for row in rows(image_tree(client, ()), "Tree")])
    both(clients, lambda client: str(compare_images(client, "left", "right")))


def test_the_board_and_what_may_be_done(clients: tuple[Client, Client]) -> None:
    both(clients, lambda client: [(row.name, row.state, row.allowed) for row in read_board(client, ()).rows])


def test_what_is_inside(clients: tuple[Client, Client]) -> None:
    def look(client: Client) -> dict[str, Any]:
        seen = read_inside(client, "web")
        sheet = inside_sheet(seen)
        known = {row[0]: row[2] for row in rows(sheet, "Namespaces") if "not known" not in row[2]}
        within = [each for each in seen.processes if each.within]
        return {
            "programs": sorted(each.command for each in within),
            "first": [each.command for each in within if each.inner_pid == 1],
            "namespaces": {kind: said for kind, said in known.items() if kind != "time"},
            "capabilities": rows(sheet, "Capabilities"),
            "users": rows(sheet, "User ids"),
            "limit": seen.cgroup.memory_limit,
            "root": next(mount.type for mount in seen.mounts if mount.target == "/"),
            "notes": [section.notes for section in sheet.sections if section.title == "Capabilities"],
        }

    both(clients, look)
