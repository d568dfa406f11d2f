"""The images that the recorded scenario had pulled: busybox, and what stood for the Hub's."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from pathlib import Path

from pydockmagic.engine.images.starters import hello

from .runner import Place

_BASH = """FROM busybox
COPY bash /bin/bash
COPY lib /
COPY bashrc /root/.bashrc
COPY issue /etc/issue
RUN ln -sf bash /bin/sh
CMD ["/bin/bash"]
"""

_FROM_THE_HUB = {
    "hello-world": 'FROM busybox\nRUN echo "Hello from Docker!" > /hello\nCMD ["cat", "/hello"]\n',
    "alpine": 'FROM busybox\nCMD ["/bin/sh"]\n',
    "nginx": "FROM busybox\nRUN mkdir -p /usr/share/nginx/html && echo '<h1>Welcome to nginx!</h1>' > "
    "/usr/share/nginx/html/index.html\nEXPOSE 80\nSTOPSIGNAL SIGQUIT\n"
    'CMD ["httpd","-f","-v","-p","80","-h","/usr/share/nginx/html"]\n',
    "byrnedo/alpine-curl": 'FROM busybox\nENTRYPOINT ["wget"]\n',
    "ubuntu": _BASH,
}


def add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644, mtime: float = 0) -> None:
    """Add a file to a tar."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), mode, mtime
    archive.addfile(member, io.BytesIO(content))


def busybox_tar() -> bytes:
    """Make the recorded busybox image's tar: Debian's static busybox with a link for each applet, and no CMD."""
    binary = Path("/usr/bin/busybox").resolve()
    applets = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, mode
            archive.addfile(member)
        add(archive, "bin/busybox", binary.read_bytes(), 0o755)
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        add(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    return buffer.getvalue()


def give(place: Place, folder: Path) -> None:
    """Give the daemon of a place those images, and ``lab/busybox.tar`` to load busybox from again."""

    def docker(*arguments: str, given: bytes | None = None) -> None:
        command = place.stage.command(["docker", *arguments])
        run = subprocess.run(command, input=given, env=place.environment, capture_output=True, check=False)
        assert run.returncode == 0, (arguments, run.stderr.decode())

    docker("import", "-", "busybox:latest", given=busybox_tar())
    lab = folder / "lab"
    lab.mkdir(mode=0o777)
    lab.chmod(0o777)
    docker("save", "-o", str(lab / "busybox.tar"), "busybox")
    for name, dockerfile in _FROM_THE_HUB.items():
        context = folder / f"image-{name.replace('/', '-')}"
        context.mkdir()
        (context / "Dockerfile").write_text(dockerfile)
        if dockerfile is _BASH:
            _fill(context)
        docker("build", "-q", "-t", name, str(context))
    docker("tag", "alpine", "kept-alpine")


def hand_over(place: Place, folder: Path, hub: str) -> None:
    """Push those images to what stands for the Hub, and forget all but busybox: they are pulled again.

    There hello-world and ubuntu had one layer each, and the sizes of that day.
    """
    _one_layer(place, folder / "hub")
    for name in _FROM_THE_HUB:
        there = name if "/" in name else f"library/{name}"
        place.quietly(f"docker tag {name} {hub}/{there} && docker push {hub}/{there} && docker rmi {hub}/{there}")
        place.quietly(f"docker rmi {name}")
    there = f"{hub}/stackbrew/ubuntu"
    place.quietly(f"docker tag busybox {there} && docker push {there} && docker rmi {there} kept-alpine")
    place.quietly("docker image prune -f")


def _one_layer(place: Place, folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with tarfile.open(folder / "hello.tar", "w") as archive:
        program = hello.program(os.uname().machine, hello.TEXT.encode())
        add(archive, "hello", program + bytes(683_000 - len(program)), 0o755, time.time())
    place.quietly(f"docker import -c 'CMD [\"/hello\"]' {folder}/hello.tar hello-world")
    (folder / "Dockerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["/bin/bash"]\n')
    place.quietly(f"docker create --name flat ubuntu && docker export -o {folder}/root.tar flat; docker rm flat")
    with tarfile.open(folder / "root.tar", "a") as archive:
        size = sum(member.size for member in archive.getmembers())
        add(archive, "usr/share/fill", bytes(max(10_200_000 - size, 0)))
    place.quietly(f"docker build -q -t ubuntu {folder}")


def _fill(context: Path) -> None:
    for program, target in (("/bin/bash", "bash"), ("/usr/bin/ipcs", "lib/usr/bin/ipcs"), ("/bin/ps", "lib/bin/ps")):
        copy = context / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(Path(program).read_bytes())
        copy.chmod(0o755)
        _copy_libraries(Path(program), context / "lib")
    (context / "bashrc").write_text("PS1='\\u@\\h:\\w# '\n")
    (context / "issue").write_text("Ubuntu 14.04.2 LTS \\n \\l\n")


def _copy_libraries(program: Path, target: Path) -> None:
    """Copy the shared libraries of a program under the same names, as its loader will look for them."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for word in listing.split():
        if word.startswith("/"):
            copy = target / word.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(Path(word).read_bytes())
            copy.chmod(0o755)
