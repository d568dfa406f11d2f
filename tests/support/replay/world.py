"""The world in which the commands were recorded: the files of the work directory and the images of that day.

The contexts are put together anew from what the recorded output shows of them (each ``Step`` line).
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from .images import add

# Commands that were left out of the records, but that later ones build on: run before the record of that number.
GAPS: dict[int, str] = {
    108: "docker rmi -f $(docker images -q alpine)",
    112: "docker save -o imgs.tar alpine nginx",
    136: "docker tag kept-alpine alpine",
    250: "docker rename c1 c2",
    235: "docker kill p1",
    241: "docker rm -f p1",
    341: "docker rm -f $(docker ps -aq)",
    459: "docker run -d --name go r408_test1 60",
    511: "docker rm -vf vv",
    583: "docker network rm my_net 'bad name' sub inner",
    598: "docker run --name web_test --net=my_net busybox true",
    610: "docker rm -f ap",
    655: "docker build -q -t shellform shellf",
    670: 'docker run --name cid2 iid1 sh -c "cat /opt/tool; echo mycode > /opt/code"',
    687: "docker tag iid2 user/image",
    714: "docker rmi iid2 iid1 127.0.0.1:5055/user/image",
    722: "docker rmi kept-alpine; docker tag busybox student/lab",
    728: "docker volume prune -af",
    759: "docker start rest1; docker wait rest1",
}

# What groups of other scenes had made by then.
EARLIER_IMAGES = (
    "docker build -q -t trap trap",
    "docker build -q -t ports port",
    "docker build -q -t r408_test1 r408",
)

# The recorded daemon was told that the registry of its host speaks plain HTTP.
ENGINE_OPTIONS = ("--insecure-registry", "192.0.2.10:5055")

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
    "port": {"Dockerfile": 'FROM busybox\nEXPOSE 80\nEXPOSE 443\nCMD ["sleep","100"]\n'},
    "r408": {
        "Dockerfile": 'FROM busybox\nCOPY wait.sh /wait.sh\nENTRYPOINT ["sh","/wait.sh"]\n',
        "wait.sh": 'echo "I am PID $$, uid $(id -u), sleeping $1 s"; exec sleep $1\n',
    },
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
        add(pack, "p/file", b"packed\n")
