"""Where the suite plays: a network of its own, with a registry that stands in for the Hub, and one daemon."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.api import Api
from support.docker_py import kit
from support.engine import engine

PLUGIN = Path(__file__).parent / "plugin"
MIRROR = "http://127.0.0.1:5000"

# What the tests want of alpine: a user, a directory; and each name an image of its own, as on the Hub.
_ALPINE = """\
FROM busybox
RUN mkdir -p /var/opt && echo 'postgres:x:70:70::/var/lib/postgresql:/bin/sh' >>/etc/passwd
RUN echo {tag} >/etc/alpine-release
CMD ["/bin/sh"]
"""
NAMES = ("alpine:3.10", "alpine:latest", "busybox:latest", "hello-world:latest")

# Not of the daemon under test, or apart by the issue: swarm (with what lives on it) and plugins.
APART = (
    "api_config_test.py", "api_plugin_test.py", "api_secret_test.py", "api_service_test.py", "api_swarm_test.py",
    "models_nodes_test.py", "models_services_test.py", "models_swarm_test.py",
    "api_network_test.py::TestNetworks::test_create_network_attachable",
    "api_network_test.py::TestNetworks::test_create_network_ingress",
    "api_network_test.py::TestNetworks::test_create_inspect_network_with_scope",
)  # fmt: skip


@contextmanager
def network() -> Iterator[list[str]]:
    """Make a network namespace with nothing but a loopback; give the command that runs another inside it."""
    command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "up\n"
        yield ["nsenter", f"--net=/proc/{keeper.pid}/ns/net"]
        keeper.communicate("")


@contextmanager
def registry(folder: Path, inside: Sequence[str], archive: Path) -> Iterator[None]:
    """Serve the images of an archive as the Hub does, on the loopback of that network."""
    folder.mkdir()
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\nhttp: {addr: '127.0.0.1:5000'}\n"
        f"storage: {{filesystem: {{rootdirectory: '{folder}/data'}}}}\n"
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*inside, "docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        for name in NAMES:
            copy = ["skopeo", "copy", "--quiet", "--retry-times=5", "--dest-tls-verify=false"]
            source = f"docker-archive:{archive}:docker.io/library/{name}"
            subprocess.run([*inside, *copy, source, f"docker://127.0.0.1:5000/library/{name}"], check=True, timeout=60)
        yield
    finally:
        server.terminate()
        server.wait(20)


def images(folder: Path) -> Path:
    """Put the images that the tests want together from the starters; give the archive."""
    folder.mkdir()
    archive = folder / "images.tar"
    with engine(folder, ["--stop-containers"]) as host:
        run = ["docker", "-H", host]
        for name in ("busybox", "hello-world"):
            subprocess.run([*run, "pull", "--quiet", name], check=True, stdout=subprocess.DEVNULL, timeout=60)
        for tag in ("3.10", "latest"):
            subprocess.run(
                [*run, "build", "--quiet", "-t", f"alpine:{tag}", "-"],
                input=_ALPINE.format(tag=tag).encode(), env={**os.environ, "DOCKER_BUILDKIT": "0"},
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
        subprocess.run([*run, "save", "-o", str(archive), *NAMES], check=True, timeout=60)
    return archive


def play(made: kit.Kit, host: str, folder: Path, inside: Sequence[str], *options: str) -> dict[str, str]:
    """Run the suite against a daemon; give each test's outcome: ``passed``, ``failed: why`` or ``skipped: why``."""
    home, scratch = folder / "home", folder / "tmp"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker" / "config.json").write_text("{}")  # contexts are kept beside it, else where one stands
    scratch.mkdir()
    report = folder / "report.xml"
    apart = [f"--{'deselect' if '::' in name else 'ignore'}=tests/integration/{name}" for name in APART]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(scratch), "DOCKER_HOST": host,
        "DOCKER_TEST_API_VERSION": "1.41",  # as its own Makefile asks for
        "PYTHONPATH": str(PLUGIN), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [
        *inside, str(made.python), "-m", "pytest", "-q", "-p", "docker_py_today", "-p", "no:cacheprovider",
        "-c", str(PLUGIN / "pytest.ini"), "--rootdir=.", "--timeout=60", f"--junitxml={report}",
        *apart, *(options or ["tests/integration"]),
    ]  # fmt: skip
    with (folder / "pytest.log").open("w") as log:
        subprocess.run(command, cwd=made.sources, env=environment, stdout=log, stderr=log, check=False, timeout=1500)
    assert report.exists(), (folder / "pytest.log").read_text()[-4000:]
    _clear(host)
    return outcomes(report)


def outcomes(report: Path) -> dict[str, str]:
    """Read a JUnit report."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').removeprefix('tests.integration.')}.{case.get('name')}"
        ends = [child for child in case if child.tag in ("failure", "error", "skipped")]
        kind = "" if not ends else "skipped" if ends[0].tag == "skipped" else "failed"
        found[name] = f"{kind}: {' '.join(ends[0].get('message', '').split())}" if ends else "passed"
    return found


def node_of(name: str) -> str:
    """Give the name of a test in a report as pytest takes it."""
    module, *rest = name.split("_test.")
    return "::".join([f"tests/integration/{module.replace('.', '/')}_test.py", *"_test.".join(rest).split(".")])


def _clear(host: str) -> None:
    """Remove what the suite left, so that no daemon waits for it when it is told to end."""
    api = Api(host, 60)
    api.clear(v="1")


def load(host: str, archive: Path) -> None:
    """Give a daemon the images."""
    subprocess.run(["docker", "-H", host, "load", "--quiet", "-i", str(archive)], check=True, stdout=subprocess.DEVNULL)
