"""The images that the recorded scenario had pulled: busybox, and what stood for the Hub's."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

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
    '/usr/share/nginx/html/index.html\nEXPOSE 80\nCMD ["httpd","-f","-v","-p","80","-h","/usr/share/nginx/html"]\n',
    "byrnedo/alpine-curl": 'FROM busybox\nENTRYPOINT ["wget"]\n',
    "ubuntu": _BASH,
}


def add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Add a file to a tar."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
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
