from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import httpx
import pytest
from support.commanding import Shown, context_for, docker, failing
from support.daemon import FakeDaemon

from pydockmagic.commands import Interrupted, build

TEXTS = [
    {"stream": "Step 1/3 : FROM busybox\n"},
    {"stream": " ---> 0123456789ab\n"},
    {"stream": "Step 2/3 : RUN echo hi\n"},
    {"stream": " ---> Running in ba9876543210\n"},
    {"stream": "hi\n"},
    {"stream": "\x1b[91moops\n\x1b[0m"},
    {"stream": "Removing intermediate container ba9876543210\n"},
    {"stream": " ---> 111111111111\n"},
    {"stream": "Step 3/3 : CMD sh\n"},
    {"stream": " ---> Using cache\n"},
    {"stream": " ---> 222222222222\n"},
    {"aux": {"ID": "sha256:" + "2" * 64}},
    {"stream": "Successfully built 222222222222\n"},
    {"stream": "Successfully tagged a:1\n"},
]


def stream(messages):
    return "\n".join(json.dumps(each) for each in messages).encode()


def building(messages=TEXTS):
    return FakeDaemon().on("POST", "/build", raw=stream(messages))


def sent(daemon):
    """Return the names in the context that was sent, with the files' texts."""
    with tarfile.open(fileobj=io.BytesIO(daemon.asked[-1].content)) as tar:
        return {each.name: tar.extractfile(each).read().decode() if each.isfile() else "" for each in tar}


@pytest.fixture
def folder(tmp_path):
    here = tmp_path / "ctx"
    here.mkdir()
    (here / "Dockerfile").write_text("FROM busybox\n")
    (here / "app.py").write_text("print()\n")
    return here


def test_a_build_sends_the_folder_and_gives_image_tags_and_steps(folder, tmp_path):
    daemon = building()
    result = docker("build -t a:1 ctx", context_for(daemon.client(), tmp_path))
    assert (result.id, result.tags) == ("sha256:" + "2" * 64, ["a:1"])
    assert [(s.index, s.instruction, s.state, s.output) for s in result.steps] == [
        (1, "FROM busybox", "done", ""),
        (2, "RUN echo hi", "done", "hi\noops\n"),
        (3, "CMD sh", "cached", ""),
    ]
    assert sent(daemon) == {"Dockerfile": "FROM busybox\n", "app.py": "print()\n"}
    assert result.streamed
    assert result.stdout.startswith("Sending build context to Docker daemon ")
    assert result.stdout.endswith("Successfully tagged a:1\n")


def test_a_build_asks_what_docker_asks(folder, tmp_path):
    daemon = building()
    docker(
        "build -t a:1 --build-arg X=2 --build-arg HOME --label q=1 --target t --no-cache --pull --rm=false ctx",
        context_for(daemon.client(), tmp_path, environ={"HOME": "/h"}),
    )
    asked = dict(daemon.asked[-1].url.params)
    assert asked == {
        "buildargs": '{"X":"2","HOME":"/h"}', "dockerfile": "Dockerfile", "labels": '{"q":"1"}', "nocache": "1",
        "pull": "1", "rm": "0", "t": "a:1", "target": "t", "version": "1",
    }  # fmt: skip
    assert daemon.asked[-1].headers["x-pydock-progress"] == "1"


def test_progress_is_told_from_docker_texts(folder, tmp_path):
    shown = Shown()
    docker("build ctx", context_for(building().client(), tmp_path, output=shown))
    assert [(each.index, each.state) for each in shown.steps if each.state != "output"] == [
        (1, "started"), (1, "done"), (2, "started"), (2, "done"), (3, "started"), (3, "cached"),
    ]  # fmt: skip
    assert [(each.text, each.stream) for each in shown.steps if each.state == "output"] == [
        ("hi\n", "stdout"), ("oops\n", "stderr"),
    ]  # fmt: skip


def step(index, state, **details):
    return {"aux": {"pydock.step": {"Index": index, "Total": 2, "Instruction": "RUN x", "State": state, **details}}}


def test_step_messages_know_lines_times_and_reasons(folder, tmp_path):
    messages = [
        step(1, "started", FirstLine=1, LastLine=2),
        {"stream": "Step 1/2 : RUN x\n"},
        {"stream": "said\n"},
        {"stream": " ---> 111111111111\n"},
        step(1, "done", FirstLine=1, LastLine=2, Seconds=0.5, Size=10),
        step(2, "cached", FirstLine=3, LastLine=3, Reason="same inputs"),
        {"stream": "Step 2/2 : RUN x\n"},
        {"stream": " ---> Using cache\n"},
    ]
    shown = Shown(draws_progress=True)
    result = docker("build ctx", context_for(building(messages).client(), tmp_path, output=shown))
    first, second = result.steps
    assert (first.state, first.first_line, first.last_line, first.seconds, first.size) == ("done", 1, 2, 0.5, 10)
    assert first.output == "said\n"
    assert (second.cached, second.reason) == (True, "same inputs")
    assert [each.state for each in shown.steps] == ["started", "output", "done", "cached"]
    assert shown.texts == []  # an output that draws progress is not shown the text as well
    assert "said" in result._repr_html_()
    assert "lines" not in result._repr_html_()


def test_a_failed_step_gives_dockers_sentence_and_exit_code(folder, tmp_path):
    sentence = "The command '/bin/sh -c exit 7' returned a non-zero code: 7"
    messages = [
        {"stream": "Step 1/2 : RUN exit 7\n"},
        {"stream": "why\n"},
        {"errorDetail": {"code": 7, "message": sentence}, "error": sentence},
    ]
    error = failing("build ctx", context_for(building(messages).client(), tmp_path))
    assert (error.message, error.exit_code, error.hint) == (sentence, 7, "")
    (failed,) = error.result.steps
    assert (failed.state, failed.exit_code, failed.output) == ("failed", 7, "why\n")


def test_a_refused_build_is_dockers_refusal(folder, tmp_path):
    daemon = FakeDaemon().refuse("POST", "/build", 400, "dockerfile parse error line 2: unknown instruction: FOO")
    error = failing("build ctx", context_for(daemon.client(), tmp_path))
    assert error.message == "Error response from daemon: dockerfile parse error line 2: unknown instruction: FOO"
    assert error.exit_code == 1


def test_a_quiet_build_prints_the_id(folder, tmp_path):
    messages = [{"stream": "sha256:" + "2" * 64 + "\n"}]
    result = docker("build -q ctx", context_for(building(messages).client(), tmp_path))
    assert result.stdout == "sha256:" + "2" * 64 + "\n"
    assert result.id == "sha256:" + "2" * 64


def test_an_interrupted_build_says_so(folder, tmp_path):
    def press(_request):
        raise KeyboardInterrupt

    daemon = FakeDaemon().on("POST", "/build", press)
    with pytest.raises(Interrupted, match="the build was stopped") as caught:
        docker("build ctx", context_for(daemon.client(), tmp_path))
    assert caught.value.exit_code == 130


def test_the_image_id_is_written_to_a_file(folder, tmp_path):
    docker("build --iidfile id ctx", context_for(building().client(), tmp_path))
    assert (tmp_path / "id").read_text() == "sha256:" + "2" * 64


# -- contexts


def test_what_the_ignore_file_names_is_not_sent(folder, tmp_path):
    (folder / ".dockerignore").write_text("*.log\nsecret\n!keep.log\nDockerfile\n")
    (folder / "a.log").touch()
    (folder / "keep.log").touch()
    (folder / "secret").mkdir()
    (folder / "secret" / "key").touch()
    daemon = building()
    docker("build ctx", context_for(daemon.client(), tmp_path))
    # The daemon needs the Dockerfile and the ignore file, whatever the latter says.
    assert set(sent(daemon)) == {".dockerignore", "Dockerfile", "app.py", "keep.log"}


def test_an_ignored_folder_is_not_even_read(folder, tmp_path):
    (folder / ".dockerignore").write_text("secret\n")
    (folder / "secret").mkdir(mode=0)
    docker("build ctx", context_for(building().client(), tmp_path))


def test_everything_in_a_context_belongs_to_root(folder, tmp_path):
    (folder / "link").symlink_to("../outside")
    (folder / "run.sh").write_text("x")
    (folder / "run.sh").chmod(0o755)
    daemon = building()
    docker("build ctx", context_for(daemon.client(), tmp_path))
    with tarfile.open(fileobj=io.BytesIO(daemon.asked[-1].content)) as tar:
        members = {each.name: each for each in tar}
    assert {(each.uid, each.gid) for each in members.values()} == {(0, 0)}
    assert members["run.sh"].mode == 0o755
    assert members["link"].linkname == "../outside"


def test_a_cell_is_the_dockerfile_and_does_not_show_in_the_context(folder, tmp_path):
    daemon = building()
    result = build(
        ["-t", "a:1"], context_for(daemon.client(), tmp_path), dockerfile_text="FROM cell\n", context_dir=folder
    )
    names = sent(daemon)
    assert names[".dockerfile.pydock"] == "FROM cell\n"
    assert ".dockerfile.pydock" in names[".dockerignore"].splitlines()
    assert daemon.asked[-1].url.params["dockerfile"] == ".dockerfile.pydock"
    assert result.tags == ["a:1"]


def test_a_dockerfile_outside_of_the_context_is_sent_along(folder, tmp_path):
    (tmp_path / "other").write_text("FROM other\n")
    daemon = building()
    docker("build -f other ctx", context_for(daemon.client(), tmp_path))
    assert sent(daemon)[".dockerfile.pydock"] == "FROM other\n"
    assert sent(daemon)["Dockerfile"] == "FROM busybox\n"


def test_a_dockerfile_may_come_on_the_input(tmp_path):
    daemon = building()
    docker("build -", context_for(daemon.client(), tmp_path, stdin=b"FROM piped\n"))
    assert sent(daemon) == {"Dockerfile": "FROM piped\n"}


LSTAT = "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("build nosuch", 'unable to prepare context: path "nosuch" not found'),
        (
            "build -f nosuch ctx",
            f"{LSTAT} {{}}/nosuch: no such file or directory",
        ),
        (
            "build empty",
            f"{LSTAT} {{}}/empty/Dockerfile: no such file or directory",
        ),
    ],
)
def test_a_context_that_is_not_there_is_told_as_docker_does(folder, tmp_path, line, message):
    (tmp_path / "empty").mkdir()
    daemon = building()
    error = failing(line, context_for(daemon.client(), tmp_path))
    assert (error.message, error.exit_code) == (message.format(tmp_path), 1)
    assert daemon.lines == []


# -- registries and archives


def test_pull_shows_states_and_no_bytes(tmp_path):
    messages = [
        {"status": "Pulling from library/alpine", "id": "latest"},
        {"status": "Pulling fs layer", "id": "abc", "progressDetail": {}},
        {"status": "Downloading", "id": "abc", "progressDetail": {"current": 5, "total": 10}, "progress": "[=>  ]"},
        {"status": "Pull complete", "id": "abc", "progressDetail": {}},
        {"status": "Status: Downloaded newer image for alpine:latest"},
    ]
    daemon = FakeDaemon().on("POST", "/images/create", raw=stream(messages))
    shown = Shown()
    result = docker("pull alpine", context_for(daemon.client(), tmp_path, output=shown))
    assert result.stdout == (
        "Using default tag: latest\nlatest: Pulling from library/alpine\nabc: Pulling fs layer\nabc: Pull complete\n"
        "Status: Downloaded newer image for alpine:latest\ndocker.io/library/alpine:latest\n"
    )
    assert (shown.pulls[2].current, shown.pulls[2].total) == (5, 10)


def test_a_quiet_pull_prints_the_name(tmp_path):
    daemon = FakeDaemon().on("POST", "/images/create", raw=stream([{"status": "x"}]))
    assert docker("pull -q alpine:3", context_for(daemon.client(), tmp_path)).stdout == "docker.io/library/alpine:3\n"


def test_a_pull_that_fails_half_way_is_a_failure(tmp_path):
    messages = [{"status": "Pulling", "id": "a"}, {"errorDetail": {"message": "disk full"}, "error": "disk full"}]
    daemon = FakeDaemon().on("POST", "/images/create", raw=stream(messages))
    error = failing("pull alpine", context_for(daemon.client(), tmp_path))
    assert error.message == "Error response from daemon: disk full"


def test_a_name_that_is_none_is_refused_before_the_daemon_hears_of_it(tmp_path):
    daemon = FakeDaemon()
    context = context_for(daemon.client(), tmp_path)
    assert failing("pull Busybox", context).message == (
        "invalid reference format: repository name (library/Busybox) must be lowercase"
    )
    assert failing("tag a x:!", context).message == (
        'Error parsing reference: "x:!" is not a valid repository/tag: invalid reference format'
    )
    assert daemon.lines == []


def test_an_archive_is_saved_whole_or_not_at_all(tmp_path):
    daemon = FakeDaemon().on("GET", "/images/get", raw=b"archive")
    docker("save -o a.tar x", context_for(daemon.client(), tmp_path))
    assert (tmp_path / "a.tar").read_bytes() == b"archive"

    class Lost(httpx.SyncByteStream):
        def __iter__(self):
            yield b"half"
            raise httpx.ReadError("gone")

    lost = FakeDaemon().on("GET", "/images/get", lambda _request: httpx.Response(200, stream=Lost()))
    failing("save -o b.tar x", context_for(lost.client(), tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_an_archive_is_not_written_into_a_cell(tmp_path):
    daemon = FakeDaemon().on("GET", "/images/get", raw=b"archive")
    error = failing("save x", context_for(daemon.client(), tmp_path))
    assert error.message == "cowardly refusing to save to a terminal. Use the -o flag or redirect"
    out = io.BytesIO()
    docker("save x", context_for(daemon.client(), tmp_path, binary=out))
    assert out.getvalue() == b"archive"


def test_load_and_import_send_files_as_they_are(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"tar")
    daemon = FakeDaemon()
    daemon.on("POST", "/images/load", raw=stream([{"stream": "Loaded image: a:1\n"}]))
    daemon.on("POST", "/images/create", raw=stream([{"status": "sha256:1"}]))
    context = context_for(daemon.client(), tmp_path)
    assert docker("load -i a.tar", context).stdout == "Loaded image: a:1\n"
    assert daemon.asked[-1].content == b"tar"
    assert docker("import -c 'CMD [\"sh\"]' a.tar b:1", context).stdout == "sha256:1\n"
    assert daemon.lines[-1] == "POST /v1.50/images/create?changes=CMD+%5B%22sh%22%5D&fromSrc=-&repo=b%3A1"
    assert failing("load -i nosuch", context).message == "open nosuch: no such file or directory"


def test_removal_tells_what_was_untagged_and_deleted(tmp_path):
    daemon = FakeDaemon().on("DELETE", "/images/a", [{"Untagged": "a:latest"}, {"Deleted": "sha256:1"}])
    daemon.refuse("DELETE", "/images/x", 404, "No such image: x:latest")
    context = context_for(daemon.client(), tmp_path)
    assert docker("rmi a", context).stdout == "Untagged: a:latest\nDeleted: sha256:1\n"
    assert failing("rmi a x", context).result.stdout.startswith("Untagged: a")
    assert docker("rmi -f x", context).stderr == "Error response from daemon: No such image: x:latest\n"


# -- copies


def archive(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def entry(name, data=b"", **details):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in details.items():
        setattr(info, key, value)
    return info, data


def copying(entries, mode=0o644):
    import base64

    stat = base64.b64encode(json.dumps({"name": "x", "mode": mode}).encode()).decode()
    return FakeDaemon().on(
        "GET", "/containers/c/archive", raw=archive(entries), headers={"X-Docker-Container-Path-Stat": stat}
    )


FOLDER = 1 << 31


def test_a_file_is_copied_under_a_new_name(tmp_path):
    daemon = copying([entry("passwd", b"root")])
    docker("cp c:/etc/passwd mine", context_for(daemon.client(), tmp_path))
    assert (tmp_path / "mine").read_text() == "root"


def test_a_folder_is_copied_into_a_folder_or_as_a_new_one(tmp_path):
    daemon = copying([entry("etc/", type=tarfile.DIRTYPE, mode=0o755), entry("etc/a", b"1")], FOLDER)
    context = context_for(daemon.client(), tmp_path)
    docker("cp c:/etc new", context)
    docker("cp c:/etc new", context)
    assert (tmp_path / "new" / "a").read_text() == "1"
    assert (tmp_path / "new" / "etc" / "a").read_text() == "1"


@pytest.mark.parametrize(
    "bad",
    [
        [entry("etc/../../escaped", b"x")],
        [entry("etc/link", type=tarfile.SYMTYPE, linkname="/"), entry("etc/link/tmp/pydock-escaped", b"x")],
        [entry("etc/hard", type=tarfile.LNKTYPE, linkname="../../etc/passwd")],
        [entry("etc/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    ],
    ids=["dots", "through a symlink", "hard link", "device"],
)
def test_nothing_that_is_copied_leaves_its_folder(tmp_path, bad):
    inside = tmp_path / "inside"
    inside.mkdir()
    daemon = copying([entry("etc/", type=tarfile.DIRTYPE, mode=0o755), *bad], FOLDER)
    failing("cp c:/etc inside", context_for(daemon.client(), tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert not Path("/tmp/pydock-escaped").exists()


def test_copying_needs_exactly_one_container(tmp_path):
    context = context_for(FakeDaemon().client(), tmp_path)
    assert failing("cp a b", context).message == "must specify at least one container source"
    assert failing("cp a:/x b:/y", context).message == "copying between containers is not supported"
