"""Every difference from the records that is kept, each with its reason."""

from __future__ import annotations

from typing import NamedTuple


class Kept(NamedTuple):
    """Why a record's text or exit code may differ; ``sometimes`` where it depends on timing or the machine."""

    reason: str
    sometimes: bool = False


_WORLD = Kept("lists images, counts or contexts of records that are not part of this replay")
_MACHINE = Kept("shows figures or plugins of the machine it was recorded on", sometimes=True)
_OURS = Kept("names the engine, its version and its parts, which are not dockerd's")
_API_150 = Kept("the command shows the options of API 1.50 where it hid those that the recorded daemon did not know")
_DOCKERD_28 = Kept("the sentence or exit code of dockerd 28, which is newer than the recorded daemon")
_NO_HUB = Kept("no registry answers: Docker's sentence, and then which starter images there are")
_STARTER = Kept("the image is a starter, put together here, where the recorded one came from a stand-in for the Hub")
_ORDER = Kept("the command lists the names of one image in no certain order", sometimes=True)
_KNOWN_LAYER = Kept("a layer that is here already, by its content, is not downloaded")
_REPRODUCIBLE = Kept("the same inputs give the same image here, so that two builds have one id")

EVERYWHERE: dict[str, Kept] = {
    "cli-002": _OURS,
    "cli-003": _OURS,
    "cli-004": _OURS,
    "cli-005": _WORLD,
    "cli-006": _MACHINE,
    "cli-007": _MACHINE,
    "cli-014": _API_150,
    "cli-032": _NO_HUB,
    "run-001": _STARTER,
    "run-002": _STARTER,
    "run-003": _STARTER,
    "run-004": _STARTER,
    "run-047": _DOCKERD_28,
    "run-058": _DOCKERD_28,
    "run-087": _DOCKERD_28,
    "run-098": _DOCKERD_28,
    "run-103": _DOCKERD_28,
    "run-104": _DOCKERD_28,
    "run-105": _DOCKERD_28,
    "run-113": _DOCKERD_28,
    "run-151": _MACHINE,
    "run-192": Kept("a first digit that two ids share, which is drawn anew", sometimes=True),
    "run-201": _WORLD,
    "run-202": Kept("lists the containers of records that are not part of this replay", sometimes=True),
    "run-217": _NO_HUB,
    "run-220": _REPRODUCIBLE,
    "image-002": _KNOWN_LAYER,
    **{f"image-0{number}": _ORDER for number in (14, 15, 16, 18, 19, 26, 64)},
    "image-079": Kept("the machine has a folder of that name", sometimes=True),
    "opt-086": Kept("the recorded machine lacked capabilities that --privileged asks for"),
    "ns-003": _DOCKERD_28,  # which masks /proc/interrupts as well
    "vol-006": Kept("the anonymous volume's name is drawn anew, and volumes are listed by name", sometimes=True),
    "vol-026": Kept("from API 1.42 on a prune takes anonymous volumes only"),
    "vol-028": Kept("the volume that such a prune left"),
    "cleanup-004": Kept("the images of this replay were built here, not pulled, and dockerd 28 names what is wrong"),
    "cleanup-011": Kept("from API 1.42 on a prune takes anonymous volumes only"),
    "rest-002": _DOCKERD_28,
    "rest-004": _OURS,
    "rest-021": _DOCKERD_28,
    "rest-024": _DOCKERD_28,
    "rest-028": Kept("a malformed filter is the client's fault: 400, with the place where it goes wrong"),
    "rest-029": _OURS,
    "ns-001": Kept("a race between ps and the rest of its pipeline", sometimes=True),
    "net-016": Kept("which of the two answers comes first", sometimes=True),
    "net-032": _API_150,
    "net-062": Kept("shows a name that is drawn anew"),
    "commit-012": Kept("counts dangling images that commands left out of the records had made or removed"),
    "build-010": _WORLD,
    "build-011": _WORLD,
    "build-045": _NO_HUB,
    "pipeline-004": _KNOWN_LAYER,
    "build-059": _WORLD,
    "build-060": _WORLD,
}

_LOW_PORT = Kept("an ordinary user may not take ports below 1024; the sentence says which ones are free")

_NO_CGROUP = Kept("no cgroup is delegated to an ordinary user here: limits are discarded with Docker's warning")
_NO_HOST_RIGHTS = Kept("an ordinary user may not do it on the host")
_USER_NAMESPACE = Kept("containers live in the engine's user namespace, whose root is the ordinary user")

# What an ordinary user's engine cannot do as root's does, or does otherwise.
ROOTLESS: dict[str, Kept] = {
    "run-097": _NO_CGROUP,
    "opt-057": _NO_HOST_RIGHTS,
    "opt-064": _NO_CGROUP,
    "opt-065": _NO_CGROUP,
    "opt-069": _NO_CGROUP,
    "opt-070": _NO_CGROUP,
    "opt-071": _NO_CGROUP,
    "opt-075": _NO_CGROUP,
    "opt-076": _NO_CGROUP,
    "opt-077": _NO_CGROUP,
    "opt-078": _NO_CGROUP,
    "opt-079": _NO_CGROUP,
    "opt-080": Kept("in a user namespace the kernel refuses mknod itself, not only the opening"),
    "opt-081": Kept("the host's device is bound in, whose owner has no id in the user namespace"),
    "ns-003": Kept("no cgroups are mounted, and masked paths are other mounts"),
    "ns-009": _USER_NAMESPACE,
    "ns-010": _NO_CGROUP,
    "ns-011": _USER_NAMESPACE,
    "ns-012": _USER_NAMESPACE,
    "ns-022": _USER_NAMESPACE,
    "cow-029": _NO_CGROUP,
    "net-007": Kept("no ping leaves the sandbox: raw packets would need the host's privileges"),
    "net-066": _LOW_PORT,
    "net-070": _LOW_PORT,
}

_ONE_ID = Kept("with one id every user of a container is its root, and a warning says so")

ONE_ID: dict[str, Kept] = {
    "run-140": _ONE_ID,
    "opt-008": _ONE_ID,
}

_REMAP = "was recorded on a daemon with --userns-remap, which the engine has not"

# Records that are not played, by name: they count in no table.
NOT_COMPARABLE: dict[str, str] = {
    "userns-001": f"{_REMAP}: its containers see the host's ids as root, and the user's own as an ordinary user",
    "userns-002": f"{_REMAP}: loads the image of the next records",
    "userns-003": f"{_REMAP}: ns-009 asks for the same map in the tables",
    "userns-004": f"{_REMAP}: 0 here as well, which says nothing without the map",
    "userns-006": f"{_REMAP}: ns-022 asks for the owner on the host in the tables",
    "userns-007": f"{_REMAP}: there is nothing to opt out of; --userns host is accepted",
    "userns-008": f"{_REMAP}: an ordinary user's engine is its user on the host, and writes what the user may write",
    "userns-009": f"{_REMAP}: the network of the host can be had",
    "userns-011": f"{_REMAP}: removes what the others made",
}


def kept(cast: str) -> dict[str, Kept]:
    """Give the differences that are kept when ``cast`` plays (``root``, ``subordinate ids`` or ``one id``)."""
    return EVERYWHERE | (ROOTLESS if cast != "root" else {}) | (ONE_ID if cast == "one id" else {})
