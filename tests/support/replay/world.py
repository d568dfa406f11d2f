"""The world in which the commands were recorded: the files of the work directory and the images of that day.

The contexts are put together anew from what the recorded output shows of them (each ``Step`` line).
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

# Commands that were left out of the records, but that later ones build on: run before the record of that number.
GAPS: dict[int, str] = {
    136: "docker tag kept-alpine alpine",
    250: "docker rename c1 c2",
    235: "docker kill p1",
    241: "docker rm -f p1",
    341: "docker rm -f $(docker ps -aq)",
    610: "docker rm -f ap",
    655: "docker build -q -t shellform shellf",
}

WRITE = "echo 'mkdir -p /var/run/apache2' > /root/run_apache.sh"

_CONTEXTS: dict[str, dict[str, str]] = {
    "apache": {
        "Dockerfile": f"""FROM busybox
RUN mkdir -p /var/www/html
RUN echo 'Hello World!' > /var/www/html/index.html
RUN {WRITE} || (mkdir -p /root && {WRITE})
RUN echo 'exec httpd -f -v -p 80 -h /var/www/html' >> /root/run_apache.sh
RUN chmod 755 /root/run_apache.sh
EXPOSE 80
CMD sh /root/run_apache.sh
""",
    },
    "friendly": {
        "Dockerfile": """FROM busybox
WORKDIR /app
ADD . /app
RUN wc -l < requirements.txt > installed.txt
EXPOSE 80
ENV NAME World
CMD ["sh", "app.sh"]
""",
        "requirements.txt": "Flask\nRedis\n",
        "app.sh": 'mkdir -p /www; echo "<h3>Hello $NAME!</h3>" > /www/index.html; exec httpd -f -p 80 -h /www\n',
    },
    "couch": {
        "Dockerfile": """FROM busybox
RUN mkdir -p /usr/local/etc/couchdb/local.d
RUN printf "[httpd]\\nport = 8101\\nbind_address = 0.0.0.0" > /usr/local/etc/couchdb/local.d/docker.ini
EXPOSE 8101
CMD ["cat", "/usr/local/etc/couchdb/local.d/docker.ini"]
""",
    },
    "cache": {
        "Dockerfile": "FROM busybox\nRUN echo one > /one\nCOPY data.txt /data.txt\nRUN echo two > /two\n",
        "data.txt": "v1\n",
    },
    "full": {
        "Dockerfile": """ARG BASE=busybox
FROM ${BASE} AS build
ARG VERSION=1.0
ENV APP_VERSION=$VERSION PATH=/opt:$PATH
LABEL maintainer="student@example.org" course=seeds
WORKDIR /src
COPY hello.sh .
ADD pack.tar /unpacked/
RUN chmod +x hello.sh
FROM busybox
COPY --from=build /src/hello.sh /usr/bin/hello.sh
USER 1000:1000
VOLUME /data
EXPOSE 8080/tcp 53/udp
STOPSIGNAL SIGINT
HEALTHCHECK --interval=1s --timeout=1s --retries=1 CMD test -e /tmp/ok
SHELL ["/bin/sh","-ec"]
ENTRYPOINT ["hello.sh"]
CMD ["world"]
ONBUILD RUN echo triggered
""",
        "hello.sh": '#!/bin/sh\necho "hello $1"\n',
    },
    "onb": {"Dockerfile": "FROM full\nRUN echo child\n"},
    "bad": {
        "unknown": "FROM busybox\nFOO bar\n",
        "nofrom": "RUN echo hi\n",
        "fail": 'FROM busybox\nRUN echo before\nRUN sh -c "exit 7"\nRUN echo after\n',
        "notfound": "FROM busybox\nRUN nosuchcmd\n",
        "nocopy": "FROM busybox\nCOPY missing.txt /x\n",
        "outside": "FROM busybox\nCOPY ../secret /x\n",
        "empty": "",
        "noimg": "FROM nosuchimage\nRUN true\n",
    },
    "ign": {
        "Dockerfile": "FROM busybox\nCOPY . /ctx\nRUN find /ctx -type f | sort\n",
        ".dockerignore": "*.log\n!keep.log\nsecret\n",
        "a.txt": "a\n",
        "drop.log": "x\n",
        "keep.log": "x\n",
        "secret/key": "k\n",
    },
    "execf": {"Dockerfile": 'FROM busybox\nCMD ["sh","-c","echo exec form as PID $$"]\n'},
    "shellf": {"Dockerfile": "FROM busybox\nCMD echo shell form as PID $$\n"},
    "entry": {"Dockerfile": 'FROM busybox\nENTRYPOINT ["echo","entry:"]\nCMD ["default"]\n'},
    "trap": {"Dockerfile": 'FROM busybox\nCMD ["sh","-c","trap \'exit 0\' TERM; while :; do sleep 0.1; done"]\n'},
    "port": {"Dockerfile": 'FROM busybox\nEXPOSE 80 443\nCMD ["sleep","100"]\n'},
    "html": {"index.html": "<h1>bind-mounted page</h1>\n"},
    "cp": {"local.txt": "from host\n", "dir/a": "a\n", "dir/sub/b": "b\n"},
}


def lay_out(folder: Path) -> None:
    """Write the files of the recorded work directory."""
    for context, files in _CONTEXTS.items():
        for name, text in files.items():
            path = folder / context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (folder / "env.list").write_text("A=from-file\n# a comment\nB\nC=with spaces\n")
    with tarfile.open(folder / "full" / "pack.tar", "w") as pack:
        _add(pack, "p/file", b"packed\n")


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
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
        _add(archive, "bin/busybox", binary.read_bytes(), 0o755)
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        _add(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        _add(archive, "etc/group", b"root:x:0:\n")
    return buffer.getvalue()


def images(docker: list[str], folder: Path) -> None:
    """Give the daemon the images that the recorded scenario had pulled: busybox and what stood for the Hub's."""

    def build(name: str, dockerfile: str) -> None:
        context = folder / f"image-{name}"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile)
        if "bash" in dockerfile:
            (context / "bash").write_bytes(Path("/bin/bash").read_bytes())
            (context / "bash").chmod(0o755)
            _copy_libraries(Path("/bin/bash"), context / "lib")
            (context / "bashrc").write_text("PS1='\\u@\\h:\\w# '\n")
            (context / "issue").write_text("Ubuntu 14.04.2 LTS \\n \\l\n")
        subprocess.run([*docker, "build", "-q", "-t", name, str(context)], check=True, capture_output=True)

    subprocess.run([*docker, "import", "-", "busybox:latest"], input=busybox_tar(), check=True, capture_output=True)
    build("alpine", 'FROM busybox\nCMD ["/bin/sh"]\n')
    subprocess.run([*docker, "tag", "alpine", "kept-alpine"], check=True, capture_output=True)
    build(
        "nginx",
        "FROM busybox\nRUN mkdir -p /usr/share/nginx/html && echo '<h1>Welcome to nginx!</h1>' > "
        '/usr/share/nginx/html/index.html\nEXPOSE 80\nCMD ["httpd","-f","-v","-p","80","-h","/usr/share/nginx/html"]\n',
    )
    build(
        "ubuntu",
        "FROM busybox\nCOPY bash /bin/bash\nCOPY lib /\nCOPY bashrc /root/.bashrc\nCOPY issue /etc/issue\n"
        'RUN ln -sf bash /bin/sh\nCMD ["/bin/bash"]\n',
    )


def _copy_libraries(program: Path, target: Path) -> None:
    """Copy the shared libraries of a program under the same names, as its loader will look for them."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for word in listing.split():
        if word.startswith("/"):
            copy = target / word.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(Path(word).read_bytes())
            copy.chmod(0o755)
