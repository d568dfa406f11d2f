"""The engine beside a real dockerd, both through the Engine API on their sockets: containers and cached builds."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path

import httpx
from support.dockerd import available, dockerd
from support.engine import engine
from support.replay.world import busybox_tar

from benchmarks.pairs import compare

_STEPS = ["FROM busybox", "COPY data.txt /data.txt", *(f"RUN echo {i} > /file-{i}" for i in range(7)), 'CMD ["sh"]']


def _client(address: str) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=address.removeprefix("unix://"))
    client = httpx.Client(transport=transport, base_url="http://engine/v1.41", timeout=120)
    client.post(
        "/images/create", params={"fromSrc": "-", "repo": "busybox", "tag": "latest"}, content=busybox_tar()
    ).raise_for_status()
    return client


def _whole_life(client: httpx.Client) -> None:
    """Create, start, wait for and remove one ``busybox true``."""
    answer = client.post("/containers/create", json={"Image": "busybox", "Cmd": ["true"]}).raise_for_status()
    path = f"/containers/{answer.json()['Id']}"
    client.post(f"{path}/start").raise_for_status()
    assert client.post(f"{path}/wait").json()["StatusCode"] == 0
    client.delete(path).raise_for_status()


def _context() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {"Dockerfile": "\n".join(_STEPS), "data.txt": "data\n" * 1000}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _build(client: httpx.Client, context: bytes) -> None:
    """Build the 10-step Dockerfile; after the first time every step comes from the cache."""
    answer = client.post(
        "/build", params={"t": "bench"}, content=context, headers={"Content-Type": "application/x-tar"}
    ).raise_for_status()
    messages = [json.loads(line) for line in answer.text.splitlines() if line]
    assert not any("error" in message for message in messages), messages[-1]


def main() -> None:
    """Print the ratios; needs root for dockerd."""
    if not available():
        print("a real dockerd is not to be had here (docker.io, root): nothing to compare with")
        return
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        (folder / "dockerd").mkdir()
        with dockerd(folder / "dockerd") as theirs, engine(folder) as ours:
            mini, docker = _client(ours), _client(theirs)
            compare(
                "create + start + wait + remove of busybox true",
                lambda: _whole_life(mini), lambda: _whole_life(docker), peer_name="dockerd", goal=5,
            )  # fmt: skip
            context = _context()
            compare(
                "cached rebuild of a 10-step Dockerfile",
                lambda: _build(mini, context), lambda: _build(docker, context), peer_name="dockerd", goal=5,
            )  # fmt: skip
