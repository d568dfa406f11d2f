"""The newest docker-py against our engine: what its users do with containers, images, networks, volumes and events."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.api import Api
from support.docker_py import kit
from support.engine import engine

pytestmark = [pytest.mark.conformance, pytest.mark.root, pytest.mark.timeout(300)]

Run = Callable[[str], str]

_PRELUDE = """\
import io, itertools, tarfile, docker
client = docker.from_env()
def tar(name, text):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return made.getvalue()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    try:
        made = kit.prepare(kit.NEWEST)
    except kit.OutOfReach as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    folder: Path = tmp_path_factory.mktemp("newest")
    with engine(folder, ["--stop-containers"]) as host:
        Api(host).pull("busybox")

        def script(text: str) -> str:
            environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": host, "HOME": str(folder)}
            done = subprocess.run(
                [made.python, "-c", _PRELUDE + text],
                env=environment, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield script


STORIES = {
    "run_gives_output_and_errors": """
assert client.containers.run("busybox", "echo hi", remove=True) == b"hi\\n"
try:
    client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
except docker.errors.ContainerError as error:
    assert (error.exit_status, error.stderr) == (3, b"bad\\n"), error
try:
    client.containers.run("nosuch-image", "true")
except docker.errors.APIError:
    pass
""",
    "a_container_lives": """
c = client.containers.run("busybox", "sleep 600", detach=True, name="lives", labels={"a": "b"}, mem_limit="64m")
assert c.status in ("created", "running"); c.reload(); assert c.status == "running"
assert [x.name for x in client.containers.list(filters={"label": "a=b"})] == ["lives"]
c.pause(); c.reload(); assert c.status == "paused"; c.unpause()
c.rename("lives2"); c.update(mem_limit="128m", memswap_limit="256m"); c.reload(); assert c.name == "lives2"
assert c.attrs["HostConfig"]["Memory"] == 128 << 20
assert any("sleep" in " ".join(row) for row in c.top()["Processes"])
stats = c.stats(stream=False); assert stats["pids_stats"]["current"] >= 1
assert next(c.stats(decode=True))["name"] == "/lives2"
c.restart(timeout=0); c.kill(); assert c.wait()["StatusCode"] == 137; c.remove()
""",
    "logs_stream_and_follow": """
c = client.containers.run("busybox", ["sh", "-c", "for i in 1 2 3; do echo $i; done; echo e >&2"], detach=True)
assert list(c.logs(stream=True, follow=True, stderr=False)) == [b"1\\n", b"2\\n", b"3\\n"] or \\
    c.logs(stderr=False) == b"1\\n2\\n3\\n"
c.wait(); assert c.logs(tail=1, stdout=False) == b"e\\n"; assert b"T" in c.logs(timestamps=True); c.remove()
""",
    "exec_in_all_forms": """
c = client.containers.run("busybox", "sleep 600", detach=True)
done = c.exec_run("echo hi"); assert done == (0, b"hi\\n"), done
done = c.exec_run(["sh", "-c", "exit 4"]); assert done.exit_code == 4, done
assert c.exec_run("sh -c 'echo o; echo e >&2'", demux=True).output == (b"o\\n", b"e\\n")
assert b"".join(c.exec_run("echo s", stream=True).output) == b"s\\n"
assert c.exec_run("env", environment={"A": "b"}).output.count(b"A=b\\n") == 1
assert c.exec_run("pwd", workdir="/tmp", user="1000:1000").output == b"/tmp\\n"
sock = c.exec_run("cat", stdin=True, socket=True).output
sock._sock.sendall(b"ping\\n"); assert sock._sock.recv(64)[8:] == b"ping\\n"; sock.close()
c.remove(force=True)
""",
    "attach_carries_both_ways": """
c = client.containers.create("busybox", "cat", stdin_open=True)
sock = c.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1}); c.start()
sock._sock.sendall(b"hello\\n"); assert sock._sock.recv(64)[8:] == b"hello\\n"; sock.close(); c.remove(force=True)
""",
    "archives_go_both_ways": """
c = client.containers.create("busybox", "cat /tmp/in.txt"); assert c.put_archive("/tmp", tar("in.txt", b"inside\\n"))
chunks, stat = c.get_archive("/tmp/in.txt"); assert (stat["name"], stat["size"]) == ("in.txt", 7)
with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as t: assert t.extractfile("in.txt").read() == b"inside\\n"
c.start(); c.wait(); assert c.logs() == b"inside\\n"; assert {"Path": "/tmp/in.txt", "Kind": 1} in c.diff()
assert sum(map(len, c.export())) > 100000; c.remove()
""",
    "images_are_built_saved_loaded_and_committed": """
image, log = client.images.build(fileobj=io.BytesIO(b"FROM busybox\\nRUN echo built >/f\\n"), tag="own:1", rm=True)
assert any("Successfully built" in line.get("stream", "") for line in log); assert image.tags == ["own:1"]
archive = b"".join(image.save(named=True)); client.images.remove("own:1")
assert client.images.load(archive)[0] == image
assert client.containers.run("own:1", "cat /f", remove=True) == b"built\\n"; assert image.history()
c = client.containers.run("busybox", "touch /made", detach=True); c.wait()
made = c.commit("own", "2", changes='CMD ["ls", "/made"]')
assert client.containers.run("own:2", remove=True) == b"/made\\n"
assert image.tag("own", "3"); assert {"own:1", "own:3"} <= set(client.images.get("own:1").tags); c.remove()
try: client.images.build(fileobj=io.BytesIO(b"FROM busybox\\nRUN exit 7\\n"))
except docker.errors.BuildError as error: assert "non-zero code: 7" in str(error)
try: client.images.get("nosuch")
except docker.errors.ImageNotFound: pass
""",
    "networks_and_volumes": """
net = client.networks.create("own", labels={"a": "b"}, ipam=docker.types.IPAMConfig(
    pool_configs=[docker.types.IPAMPool(subnet="10.77.0.0/24", gateway="10.77.0.9")]))
web = client.containers.run("busybox", "sleep 600", detach=True, name="web", network="own")
assert b"10.77.0.1" in client.containers.run("busybox", "nslookup -type=a web", network="own", remove=True)
client.networks.get("bridge").connect(web, aliases=None); net.disconnect(web); net.reload(); assert not net.containers
web.remove(force=True); net.remove()
volume = client.volumes.create("own", labels={"a": "b"})
client.containers.run("busybox", "touch /v/x", volumes={"own": {"bind": "/v", "mode": "rw"}}, remove=True)
mount = docker.types.Mount("/v", "own", read_only=True)
assert client.containers.run("busybox", "ls /v", mounts=[mount], remove=True) == b"x\\n"
assert [v.name for v in client.volumes.list(filters={"label": "a=b"})] == ["own"]; volume.remove()
""",
    "events_info_and_prune": """
import time
since = int(time.time()); client.containers.run("busybox", "true", name="told")
told = client.events(since=since, until=int(time.time()) + 1, decode=True, filters={"container": "told"})
actions = [event["Action"] for event in told]; assert actions[:3] == ["create", "start", "die"], actions
assert client.ping() and client.info()["Containers"] >= 1 and client.version()["ApiVersion"] == "1.50"
assert client.df()["Images"]; assert client.containers.prune()["ContainersDeleted"]
client.networks.prune(); client.volumes.prune(); client.images.prune()
""",
}


@pytest.mark.parametrize("story", list(STORIES))
def test_story(run, story):
    run(STORIES[story])
