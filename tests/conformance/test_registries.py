"""Debian's docker-registry, the real docker command and ours, skopeo and a real dockerd: images go round.

All of it runs on a host of its own (a network namespace with an address that is not the loopback's).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from support.dockerd import dockerd
from support.engine import engine
from support.registries import PASSWORD, USER, Authority, docker_registry, token_server
from support.replay.stage import ADDRESS, stage

pytestmark = [pytest.mark.conformance, pytest.mark.root, pytest.mark.timeout(300)]

OPEN, BASIC, TOKEN, TOKENS, SECURE = 5060, 5061, 5062, 5063, 5064
DOCKER = ("docker",)
PYDOCK = (sys.executable, "-m", "pydockmagic.cli")


class Done(NamedTuple):
    """What a command left."""

    exit: int
    out: str
    err: str


class Ground:
    """The host with its registries, the engine and the dockerd on it."""

    def __init__(self, folder: Path, inside: list[str], ours: str, theirs: str, registry: subprocess.Popen[bytes]):
        self.folder = folder
        self.inside = inside
        self.ours = ours
        self.theirs = theirs
        self.registry = registry

    def environment(self, address: str, config: str = "config") -> dict[str, str]:
        """Give the environment of a command for one of the daemons."""
        home = self.folder / config
        return {
            "PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": str(home / ".docker"),
            "DOCKER_HOST": address, "PYDOCK_HOST": address, "DOCKER_BUILDKIT": "0",
        }  # fmt: skip

    def run(
        self, command: Sequence[str], *words: str, at: str = "", config: str = "config", given: bytes = b""
    ) -> Done:
        """Run a docker command (the real one or ours) against our engine, or the daemon ``at`` an address."""
        environment = self.environment(at or self.ours, config)
        done = subprocess.run(
            [*self.inside, *command, *words],
            input=given,
            capture_output=True,
            check=False,
            env=environment,
            timeout=120,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def good(
        self, command: Sequence[str], *words: str, at: str = "", config: str = "config", given: bytes = b""
    ) -> str:
        """Run a command that must succeed; gives its output."""
        done = self.run(command, *words, at=at, config=config, given=given)
        assert done.exit == 0, (words, done)
        return done.out

    def skopeo(self, *words: str) -> str:
        """Run skopeo on the host."""
        done = subprocess.run([*self.inside, "skopeo", *words], capture_output=True, check=False, text=True)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def image(self, name: str, content: str, size: int = 0) -> str:
        """Make an image in our engine; gives its id."""
        return self.good(DOCKER, "import", "-", name, given=root_tar(content, size)).strip()

    def describe(self, name: str, at: str = "") -> dict:
        """Inspect an image."""
        return json.loads(self.good(DOCKER, "image", "inspect", name, at=at))[0]


def root_tar(content: str, size: int = 0) -> bytes:
    """Make the tar of a root with a file, and one of bytes that no packing makes smaller."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("etc/content", content.encode()), ("noise", os.urandom(size))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("registries")
    with ExitStack() as opened:
        host = opened.enter_context(stage(folder))
        inside = host.command([])
        authority = Authority(folder / "authority")
        signer = authority.sign("tokens", "127.0.0.1")
        server = authority.sign("server", ADDRESS)
        registry = opened.enter_context(docker_registry(folder / "open", OPEN, inside))
        opened.enter_context(docker_registry(folder / "basic", BASIC, inside, password=True))
        realm = opened.enter_context(token_server(TOKENS, *signer, inside))
        opened.enter_context(
            docker_registry(folder / "token", TOKEN, inside, token=realm, bundle=authority.certificate)
        )
        opened.enter_context(docker_registry(folder / "secure", SECURE, inside, tls=server))
        certificates = folder / "certs.d"
        for name in ("ours", "theirs"):
            (folder / name).mkdir()
        ours = opened.enter_context(engine(folder / "ours", inside=[*inside, "env", f"PYDOCK_CERTS_D={certificates}"]))
        theirs = opened.enter_context(dockerd(folder / "theirs", ["--bridge=none", "--iptables=false"], inside))
        yield Ground(folder, inside, ours, theirs, registry)


COMMANDS = pytest.mark.parametrize("command", [DOCKER, PYDOCK], ids=["docker", "pydock"])


@COMMANDS
def test_an_image_goes_out_and_comes_back(ground: Ground, command: Sequence[str]) -> None:
    name = f"127.0.0.1:{OPEN}/lab/round-{command[-1][:6].lower()}"
    image = ground.image(name, name)
    pushed = ground.good(command, "push", name)
    assert f"The push refers to repository [{name}]\n" in pushed
    digest = pushed.partition("digest: ")[2].split()[0]
    again = ground.good(command, "push", name)
    assert ": Layer already exists\n" in again
    assert digest in again
    ground.good(command, "rmi", name)
    pulled = ground.good(command, "pull", name)
    assert f"Digest: {digest}\nStatus: Downloaded newer image for {name}:latest\n" in pulled
    described = ground.describe(name)
    assert (described["Id"], described["RepoDigests"]) == (image, [f"{name}@{digest}"])
    raw = ground.skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}")
    assert digest == "sha256:" + hashlib.sha256(raw.encode()).hexdigest()
    assert digest in ground.good(command, "images", "--digests", name)
    ground.good(command, "rmi", name)
    assert ground.good(command, "pull", "-q", f"{name}@{digest}") == f"{name}@{digest}\n"


@COMMANDS
@pytest.mark.parametrize("port", [BASIC, TOKEN], ids=["basic", "token"])
def test_a_private_registry_wants_a_login(ground: Ground, command: Sequence[str], port: int) -> None:
    registry, config = f"127.0.0.1:{port}", f"{command[-1][:6].lower()}-{port}"
    name = f"{registry}/lab/private"
    ground.image(name, f"private {port}")
    refused = ground.run(command, "push", name, config=config)
    assert refused.exit == 1
    sentence = "no basic auth credentials" if port == BASIC else "denied: requested access to the resource is denied"
    assert sentence in refused.err, refused
    wrong = ground.run(command, "login", "-u", USER, "--password-stdin", registry, config=config, given=b"wrong\n")
    assert wrong.exit == 1
    reason = (
        f"login attempt to http://{registry}/v2/ failed with status: 401 Unauthorized"
        if port == BASIC
        else f'Get "http://{registry}/v2/": unauthorized: incorrect username or password'
    )
    assert reason in wrong.err
    login = ground.run(
        command, "login", "-u", USER, "--password-stdin", registry, config=config, given=PASSWORD.encode()
    )
    assert login.exit == 0, login
    assert login.out == "Login Succeeded\n"
    assert "WARNING! Your credentials are stored unencrypted in '" in login.err
    kept = json.loads((ground.folder / config / ".docker" / "config.json").read_text())
    assert list(kept["auths"]) == [registry]
    ground.good(command, "push", name, config=config)
    ground.good(command, "rmi", name, config=config)
    ground.good(command, "pull", name, config=config)
    assert ground.good(command, "logout", registry, config=config) == f"Removing login credentials for {registry}\n"
    ground.good(command, "rmi", name, config=config)
    again = ground.run(command, "pull", name, config=config)
    assert again.exit == (1 if port == BASIC else 0), "anybody may pull with a token"


def test_what_the_one_command_keeps_the_other_uses(ground: Ground) -> None:
    registry = f"127.0.0.1:{BASIC}"
    name = f"{registry}/lab/shared"
    ground.image(name, "shared")
    for first, second, config in ((DOCKER, PYDOCK, "shared-1"), (PYDOCK, DOCKER, "shared-2")):
        ground.good(first, "login", "-u", USER, "--password-stdin", registry, config=config, given=PASSWORD.encode())
        ground.good(second, "push", name, config=config)
        ground.good(second, "logout", registry, config=config)
        assert ground.run(first, "push", name, config=config).exit == 1


def test_a_registry_behind_tls_is_trusted_by_its_authority_alone(ground: Ground) -> None:
    registry = f"{ADDRESS}:{SECURE}"
    name = f"{registry}/lab/secure"
    ground.image(name, "secure")
    refused = ground.run(DOCKER, "push", name)
    assert f'Get "https://{registry}/v2/": tls: failed to verify certificate: x509: ' in refused.err
    folder = ground.folder / "certs.d" / registry
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes((ground.folder / "authority" / "ca.crt").read_bytes())
    ground.good(DOCKER, "push", name)
    ground.good(DOCKER, "rmi", name)
    assert f"Downloaded newer image for {name}:latest" in ground.good(DOCKER, "pull", name)
    ground.good(DOCKER, "pull", f"127.0.0.1:{SECURE}/lab/secure")  # any certificate will do on the loopback


@pytest.mark.parametrize("kind", ["v2s2", "oci"])
def test_images_are_exchanged_with_skopeo(ground: Ground, kind: str) -> None:
    image = ground.image(f"exchange:{kind}", f"skopeo {kind}")
    archive = ground.folder / f"{kind}.tar"
    ground.good(DOCKER, "save", "-o", str(archive), f"exchange:{kind}")
    name = f"127.0.0.1:{OPEN}/skopeo/{kind}"
    ground.skopeo("copy", "--dest-tls-verify=false", "-f", kind, f"docker-archive:{archive}", f"docker://{name}:1")
    raw = ground.skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}:1")
    digest = "sha256:" + hashlib.sha256(raw.encode()).hexdigest()
    ground.good(DOCKER, "rmi", f"exchange:{kind}")
    assert f"Digest: {digest}\n" in ground.good(DOCKER, "pull", f"{name}:1")
    assert ground.describe(f"{name}:1")["Id"] == json.loads(raw)["config"]["digest"]
    assert kind == "oci" or ground.describe(f"{name}:1")["Id"] == image  # skopeo writes OCI's config anew
    ground.good(DOCKER, "tag", f"{name}:1", f"{name}-copy:1")
    assert f"1: digest: {digest} size: {len(raw)}\n" in ground.good(DOCKER, "push", f"{name}-copy:1")
    target = ground.folder / f"dir-{kind}"
    ground.skopeo("copy", "--src-tls-verify=false", f"docker://{name}-copy:1", f"dir:{target}")
    assert (target / "manifest.json").read_text() == raw


def test_images_are_exchanged_with_dockerd(ground: Ground) -> None:
    ours, theirs = f"127.0.0.1:{OPEN}/both/ours", f"127.0.0.1:{OPEN}/both/theirs"
    image = ground.image(ours, "made by us")
    digest = ground.good(DOCKER, "push", ours).partition("digest: ")[2].split()[0]
    assert f"Digest: {digest}\n" in ground.good(DOCKER, "pull", ours, at=ground.theirs)
    assert ground.describe(ours, at=ground.theirs)["Id"] == image
    assert ground.describe(ours, at=ground.theirs)["RepoDigests"] == [f"{ours}@{digest}"]
    assert digest in ground.good(DOCKER, "push", ours, at=ground.theirs), "dockerd writes the same manifest of it"
    made = ground.good(DOCKER, "import", "-", theirs, at=ground.theirs, given=root_tar("made by dockerd")).strip()
    digest = ground.good(DOCKER, "push", theirs, at=ground.theirs).partition("digest: ")[2].split()[0]
    assert f"Digest: {digest}\n" in ground.good(DOCKER, "pull", theirs)
    assert ground.describe(theirs)["Id"] == made
    assert ground.describe(theirs)["RepoDigests"] == [f"{theirs}@{digest}"]
    ground.good(DOCKER, "tag", theirs, f"{theirs}:copy")
    assert digest in ground.good(DOCKER, "push", f"{theirs}:copy")


SENTENCES = (
    ("pull", f"127.0.0.1:{OPEN}/nosuch"),
    ("pull", f"127.0.0.1:{OPEN}/said:nosuch"),
    ("pull", f"127.0.0.1:{OPEN}/said@sha256:{'0' * 64}"),
    ("pull", "127.0.0.1:9/x/y"),
    ("pull", f"127.0.0.1:{BASIC}/lab/private"),
    ("pull", f"127.0.0.1:{OPEN}/said"),
    ("pull", f"127.0.0.1:{OPEN}/said"),
    ("pull", "-a", f"127.0.0.1:{OPEN}/said"),
    ("push", f"127.0.0.1:{OPEN}/nosuch"),
    ("push", f"127.0.0.1:{OPEN}/said:nosuch"),
    ("push", "127.0.0.1:9/x/y"),
    ("push", f"127.0.0.1:{OPEN}/said"),
    ("push", f"127.0.0.1:{OPEN}/said-WHO"),
    ("push", "-a", f"127.0.0.1:{OPEN}/said-WHO"),
    ("push", f"127.0.0.1:{BASIC}/said"),
    ("login", "-u", USER, "-p", "wrong", f"127.0.0.1:{BASIC}"),
    ("login", "-u", USER, "-p", "wrong", f"127.0.0.1:{TOKEN}"),
    ("login", "-u", USER, "-p", PASSWORD, "127.0.0.1:9"),
    ("rmi", f"127.0.0.1:{OPEN}/said"),
)


def test_the_sentences_are_dockerds(ground: Ground) -> None:
    name = f"127.0.0.1:{OPEN}/said"
    ground.image(name, "said")
    ground.good(DOCKER, "push", name)
    ground.good(DOCKER, "rmi", name)
    different = []
    for words in SENTENCES:
        both = []
        for address in (ground.theirs, ground.ours):
            # two repositories, so that neither daemon finds there what the other has sent
            who = "us" if address == ground.ours else "them"
            given = [word.replace("WHO", who) for word in words]
            done = ground.run(DOCKER, *given, at=address, config="sentences")
            # "Verifying Checksum" is up to chance: dockerd tells of the last state only that it has come to
            shown = [
                line
                for line in done.out.replace(f"said-{who}", "said-WHO").splitlines()
                if not line.endswith(": Verifying Checksum")
            ]
            both.append(Done(done.exit, "\n".join(sorted(shown)), done.err))
            if words[1:] == (name,) and words[0] == "pull":
                for other in (f"127.0.0.1:{OPEN}/said-WHO", f"127.0.0.1:{BASIC}/said", "127.0.0.1:9/x/y"):
                    ground.good(DOCKER, "tag", name, other.replace("WHO", who), at=address)
        if both[0] != both[1]:
            different.append((words, *both))
    assert not different, "\n".join(map(str, different))


def test_a_pull_whose_client_is_killed_leaves_nothing(ground: Ground) -> None:
    name = f"127.0.0.1:{OPEN}/lab/large"
    ground.image(name, "large", 48 << 20)
    ground.good(DOCKER, "push", name)
    ground.good(DOCKER, "rmi", name)
    root = ground.folder / "ours" / "engine"
    before = layers_and_blobs(root)
    client = subprocess.Popen(
        [*ground.inside, "docker", "pull", "-q", name],
        env=ground.environment(ground.ours), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    # the registry is held in the middle of the layer
    wait_until(lambda: any(path.stat().st_size for path in (root / "incoming").glob("*/*")))
    ground.registry.send_signal(signal.SIGSTOP)
    try:
        assert client.poll() is None
        client.kill()
        client.communicate()
        wait_until(lambda: not any((root / "incoming").iterdir()))
        assert layers_and_blobs(root) == before
    finally:
        ground.registry.send_signal(signal.SIGCONT)
    assert name in ground.good(DOCKER, "pull", "-q", name)


def layers_and_blobs(root: Path) -> set[str]:
    """List what an engine keeps of images."""
    return {path.name for folder in ("layers", "image/blobs/sha256") for path in (root / folder).iterdir()}


def wait_until(there: object) -> None:
    """Wait for something that is about to happen."""
    assert callable(there)
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.002)


def test_junk_to_load_is_told_in_the_stream(ground: Ground) -> None:
    for address in (ground.theirs, ground.ours):
        command = [
            "curl", "-s", "--unix-socket", address.removeprefix("unix://"), "-w", "%{http_code}",
            "-H", "Content-Type: application/x-tar", "--data-binary", "junk\n", "http://engine/v1.41/images/load",
        ]  # fmt: skip
        answered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert answered.endswith("200"), answered
        assert json.loads(answered[:-3])["error"].startswith("Error processing tar file(exit status 1): ")


def test_a_tar_is_imported_from_a_web_address(ground: Ground) -> None:
    (ground.folder / "web").mkdir()
    (ground.folder / "web" / "root.tar").write_bytes(root_tar("from the web"))
    server = subprocess.Popen(
        [*ground.inside, sys.executable, "-m", "http.server", "-d", str(ground.folder / "web"), "5070"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: ground.run(DOCKER, "import", "http://127.0.0.1:5070/root.tar", "web:1").exit == 0)
        missing = ground.run(DOCKER, "import", "http://127.0.0.1:5070/none.tar")
        assert missing.exit == 1
        assert "Got HTTP status code >= 400: 404" in missing.err
    finally:
        server.terminate()
        server.wait()
    assert ground.describe("web:1")["Comment"] == "Imported from http://127.0.0.1:5070/root.tar"
