"""What a build says, what its image holds, and what goes wrong in which words.

The texts were recorded from dockerd 20.10.24 (the numbers of containers and images aside).
"""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from support.building import context_tar

from pydockmagic.engine.builder import BuildOptions
from pydockmagic.engine.builder.running import _Frames
from pydockmagic.engine.errors import EngineError, InvalidParameter

NUMBER = re.compile(r"\b[0-9a-f]{12}\b")


def masked(text):
    return NUMBER.sub("ID12", text)


def test_the_text_is_the_classic_builders(world):
    world.build("ARG V=2\nFROM base\nENV A=$V\nRUN print hello && warn oh\nCMD run it\n", tags=("x", "y:3"))
    assert masked(world.text) == (
        "Step 1/5 : ARG V=2\n"
        "Step 2/5 : FROM base\n"
        " ---> ID12\n"
        "Step 3/5 : ENV A=$V\n"
        " ---> Running in ID12\n"
        "Removing intermediate container ID12\n"
        " ---> ID12\n"
        "Step 4/5 : RUN print hello && warn oh\n"
        " ---> Running in ID12\n"
        "hello\n"
        "\x1b[91moh\n\x1b[0m"
        "Removing intermediate container ID12\n"
        " ---> ID12\n"
        "Step 5/5 : CMD run it\n"
        " ---> Running in ID12\n"
        "Removing intermediate container ID12\n"
        " ---> ID12\n"
        "Successfully built ID12\n"
        "Successfully tagged x:latest\n"
        "Successfully tagged y:3\n"
    )
    assert world.messages[-4]["aux"] == {"ID": world.image_id}
    assert world.images.get("y:3").id == world.images.get("x").id == world.image_id
    assert world.config["config"]["Env"] == ["PATH=/bin", "A="]


def test_a_rebuild_uses_the_cache_and_gives_the_same_image(world):
    dockerfile = "FROM base\nRUN write /f 1\nENV a=b\n"
    world.build(dockerfile)
    first = world.image_id
    world.build(dockerfile)
    assert masked(world.text) == (
        "Step 1/3 : FROM base\n ---> ID12\n"
        "Step 2/3 : RUN write /f 1\n ---> Using cache\n ---> ID12\n"
        "Step 3/3 : ENV a=b\n ---> Using cache\n ---> ID12\n"
        "Successfully built ID12\n"
    )
    assert world.image_id == first


EVERYTHING = r"""FROM base
SHELL ["/bin/sh","-ec"]
ENV a=b c="d e"
ENV a=z
RUN nothing
WORKDIR sub/x
WORKDIR y
USER 5
EXPOSE 80 90-91/udp
VOLUME /a /b
STOPSIGNAL 9
MAINTAINER me
LABEL a="b c" d=e
CMD echo hi
ENTRYPOINT ["a","b"]
HEALTHCHECK NONE
HEALTHCHECK --interval=3s --retries=2 CMD x
ONBUILD RUN y
"""


def test_every_instruction_changes_the_config_and_the_history(world):
    world.build(EVERYTHING)
    assert world.config["config"] == {
        "Env": ["PATH=/bin", "a=z", "c=d e"],
        "Cmd": ["/bin/sh", "-ec", "echo hi"],
        "Shell": ["/bin/sh", "-ec"],
        "WorkingDir": "/sub/x/y",
        "User": "5",
        "ExposedPorts": {"80/tcp": {}, "90/udp": {}, "91/udp": {}},
        "Volumes": {"/a": {}, "/b": {}},
        "StopSignal": "9",
        "Labels": {"a": "b c", "d": "e"},
        "Entrypoint": ["a", "b"],
        "Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 3_000_000_000, "Retries": 2},
        "OnBuild": ["RUN y"],
    }
    assert [entry["created_by"] for entry in world.config["history"]][1:] == [
        "/bin/sh -ec #(nop)  SHELL [/bin/sh -ec]",
        "/bin/sh -ec #(nop)  ENV a=b c=d e",
        "/bin/sh -ec #(nop)  ENV a=z",
        "/bin/sh -ec nothing",
        "/bin/sh -ec #(nop) WORKDIR /sub/x",
        "/bin/sh -ec #(nop) WORKDIR /sub/x/y",
        "/bin/sh -ec #(nop)  USER 5",
        "/bin/sh -ec #(nop)  EXPOSE 80 90-91/udp",
        "/bin/sh -ec #(nop)  VOLUME [/a /b]",
        "/bin/sh -ec #(nop)  STOPSIGNAL 9",
        "/bin/sh -ec #(nop)  MAINTAINER me",
        "/bin/sh -ec #(nop)  LABEL a=b c d=e",
        '/bin/sh -ec #(nop)  CMD ["/bin/sh" "-ec" "echo hi"]',
        '/bin/sh -ec #(nop)  ENTRYPOINT ["a" "b"]',
        '/bin/sh -ec #(nop)  HEALTHCHECK &{["NONE"] "0s" "0s" "0s" \'\\x00\'}',
        '/bin/sh -ec #(nop)  HEALTHCHECK &{["CMD-SHELL" "x"] "3s" "0s" "0s" \'\\x02\'}',
        "/bin/sh -ec #(nop)  ONBUILD RUN y",
    ]
    empty = [entry.get("empty_layer", False) for entry in world.config["history"]]
    assert [i for i, nothing in enumerate(empty) if not nothing] == [0, 5, 6]
    assert len(world.images.get(world.image_id).chain_ids) == 3
    assert world.config["author"] == "me"
    assert {entry["created"] for entry in world.config["history"]} == {"2023-05-06T07:08:09Z"}


def test_entrypoint_forgets_the_command_of_the_base_but_not_ones_own(world):
    world.build('FROM base\nENTRYPOINT ["x"]\n')
    assert "Cmd" not in world.config["config"]
    world.build('FROM base\nCMD ["y"]\nENTRYPOINT ["x"]\n')
    assert world.config["config"]["Cmd"] == ["y"]


def test_build_arguments_reach_run_and_the_history(world):
    dockerfile = (
        "ARG A=1\nARG B\nFROM base\nARG A\nARG C=3\nARG D\n"
        "RUN env A && env B && env C && env D && env http_proxy\nENV C=5\nRUN env C\nLABEL x=$A y=${C}\n"
    )
    world.build(dockerfile, build_args={"D": "dd", "NOPE": "1", "OTHER": "2", "http_proxy": "http://p"})
    assert "A=1\nB=None\nC=3\nD=dd\nhttp_proxy=http://p\n" in world.text
    assert "C=5\n" in world.text
    assert "[Warning] One or more build-args [NOPE OTHER] were not consumed\nSuccessfully built" in world.text
    created = [entry["created_by"] for entry in world.config["history"]]
    assert created[4].startswith("|3 A=1 C=3 D=dd /bin/sh -c env A")
    assert created[6] == "|2 A=1 D=dd /bin/sh -c env C"
    assert created[7] == "/bin/sh -c #(nop)  LABEL x=1 y=5"
    assert "http://p" not in json.dumps(world.config)


def test_a_build_argument_changes_the_steps_after_it(world):
    dockerfile = "FROM base\nARG V=1\nRUN write /v x\n"
    world.build(dockerfile)
    world.build(dockerfile, build_args={"V": "2"})
    assert world.text.count("Using cache") == 1
    world.build(dockerfile, build_args={"V": "2"})
    assert world.text.count("Using cache") == 2


def test_triggers_run_without_lines_of_their_own(world):
    world.build("FROM base\nONBUILD RUN print t\nONBUILD ENV q=1\n", tags=("onb",))
    world.build("FROM onb\nRUN print c\n")
    assert masked(world.text) == (
        "Step 1/2 : FROM onb\n"
        "# Executing 2 build triggers\n"
        " ---> Running in ID12\nt\nRemoving intermediate container ID12\n"
        " ---> Running in ID12\nRemoving intermediate container ID12\n"
        " ---> ID12\n"
        "Step 2/2 : RUN print c\n"
        " ---> Running in ID12\nc\nRemoving intermediate container ID12\n"
        " ---> ID12\n"
        "Successfully built ID12\n"
    )
    assert world.config["config"]["Env"] == ["PATH=/bin", "q=1"]
    assert "OnBuild" not in world.config["config"]


def test_stages_copy_from_each_other_by_name_number_and_image(world):
    world.build(
        "FROM base AS one\nRUN write /f 1\nFROM one\nRUN write /g 2\nFROM base\n"
        "COPY --from=ONE /f /a\nCOPY --from=1 /g /b\nCOPY --from=base /etc/group /c\n"
    )
    assert {k: v for k, v in world.tree().items() if k in ("a", "b", "c", "f")} == {
        "a": "1",
        "b": "2",
        "c": "root:x:0:\nus:x:8:\n",
    }
    assert len([m for m in world.messages if "ID" in m.get("aux", {})]) == 3


def test_a_target_ends_the_numbering_and_what_it_does_not_need_is_left_out(world):
    dockerfile = "FROM base AS a\nRUN fail 1\nFROM base AS b\nENV x=y\nFROM base AS c\n"
    world.build(dockerfile, target="B")
    assert world.text.startswith("Steps 1-2/4 : stage a is not needed, skipped\nStep 3/4 : FROM base AS b\n")
    assert world.config["config"]["Env"] == ["PATH=/bin", "x=y"]


def test_labels_of_the_client_are_steps(world):
    world.build("FROM base\nENV a=1\n", labels={"q": "1", "a b": "c d"})
    assert "Step 3/4 : LABEL a b=c d\n" in world.text
    assert world.config["config"]["Labels"] == {"a b": "c d", "q": "1"}


def test_from_scratch(world):
    world.build({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    assert world.text.startswith("Step 1/2 : FROM scratch\n ---> \nStep 2/2 : COPY a /\n")
    assert world.tree() == {"a": "1"}
    assert world.config["created"] == "1970-01-01T00:00:00Z"
    assert world.config["config"]["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    world.build("FROM scratch\nRUN write /x 1\n")
    assert world.tree() == {"x": "1"}


def test_a_heredoc_is_the_script_of_run(world):
    world.build("FROM base\nRUN <<EOF\nprint hi\nEOF\n")
    assert "hi\n" in world.text
    world.build("FROM base\nRUN cat <<A <<'B'\n1 $x\nA\n2\nB\n")
    assert world.containers.made[-1]["Cmd"] == ["/bin/sh", "-c", "cat <<A <<'B'\n1 $x\nA\n2\nB"]


def test_a_heredoc_with_an_interpreter_is_a_program(world):
    world.build("FROM base\nRUN <<EOF\n#!/usr/bin/python3\nprint(1)\nEOF\n")
    body = world.containers.made[-1]
    assert body["Cmd"] == ["/dev/pipes/EOF"]
    assert body["HostConfig"]["Binds"][0].endswith(":/dev/pipes:ro")


@pytest.mark.parametrize(
    ("dockerfile", "options", "sentence"),
    [
        ("FROM base\nFOO x\n", {}, "dockerfile parse error line 2: unknown instruction: FOO"),
        ("RUN x\n", {}, "no build stage in current context"),
        ('FROM base\nCMD ["a",1]\n', {},
         "failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only"),
        ("# x\n", {}, "failed to parse Dockerfile: file with no instructions"),
        ("", {}, "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM base\n", {"dockerfile": "sub/Foo"}, "Cannot locate specified Dockerfile: sub/Foo"),
        ("FROM base\n", {"dockerfile": "../x"}, "forbidden path outside the build context: ../x ()"),
        ("FROM base\n", {"tags": ("Bad_Name",)},
         "invalid reference format: repository name (library/Bad_Name) must be lowercase"),
        ("FROM base\n", {"tags": ("a:b:c",)}, "invalid reference format"),
        ("FROM base\n", {"tags": ("a@sha256:" + "0" * 64,)}, "build tag cannot contain a digest"),
        ("FROM base\n", {"squash": True}, "squash is only supported with experimental mode"),
        ("FROM base\n", {"target": "nope"}, "failed to reach build target nope in Dockerfile"),
        ("FROM base\n", {"version": "2"},
         ("BuildKit builds (version=2) need a BuildKit session, which this engine does not offer: "
          "use the classic builder (DOCKER_BUILDKIT=0)")),
        ("FROM base\n", {"remote": "https://x/y.git"},
         ("remote build contexts are not fetched by this engine: get https://x/y.git yourself and build "
          "from its folder")),
    ],
)  # fmt: skip
def test_what_is_wrong_before_the_first_step_is_an_error_of_the_request(world, dockerfile, options, sentence):
    with pytest.raises(InvalidParameter) as caught:
        world.build(dockerfile, **options)
    assert str(caught.value) == sentence
    assert list((world.root / "builds").iterdir()) == []


def test_a_context_without_a_dockerfile(world):
    with pytest.raises(InvalidParameter, match=r"^Cannot locate specified Dockerfile: Dockerfile$"):
        world.build({"a": "1"})
    with pytest.raises(InvalidParameter, match="is a directory"):
        world.build({"Dockerfile/": ""})


@pytest.mark.parametrize(
    ("dockerfile", "sentence"),
    [
        ("FROM scratch\n", "No image was generated. Is your Dockerfile empty?"),
        ("FROM ${x}\n", "base name (${x}) should not be blank"),
        ("FROM base\nRUN --mount=type=cache,target=/x true\n",
         ("the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build "
         "images with BuildKit enabled")),
        ("FROM base\nCOPY missing.txt /x\n",
         ("COPY failed: file not found in build context or excluded by .dockerignore: stat missing.txt: "
         "file does not exist")),
        ("FROM base\nCOPY ../secret /x\n", "COPY failed: forbidden path outside the build context: ../secret ()"),
        ("FROM base\nCOPY no* /x/\n", "COPY failed: no source files were specified"),
        ("FROM base\nCOPY --from=base /nope /x\n", "COPY failed: stat nope: file does not exist"),
        ("FROM base AS s\nCOPY --from=5 /f /g\n", "invalid from flag value 5: index out of bounds"),
        ("FROM base\nCOPY Dockerfile Dockerfile /x\n",
         "When using COPY with more than one source file, the destination must be a directory and end with a /"),
        ("FROM base\nCOPY --chown=nobodyx Dockerfile /x\n",
         ("unable to convert uid/gid chown string to host mapping: can't find uid for user nobodyx: "
         "no such user: nobodyx")),
        ("FROM base\nCOPY --chmod=9 Dockerfile /x\n",
         "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777"),
        ("FROM base\nCOPY Dockerfile /bin/sh/x\n", "failed to copy files: /bin/sh/x: not a directory"),
        ("FROM base\nEXPOSE abc\n", "Invalid containerPort: abc"),
        ("FROM base\nEXPOSE 80/foo\n", "Invalid proto: foo"),
        ("FROM base\nEXPOSE 70000\n", "Invalid containerPort: 70000"),
        ("FROM base\nSTOPSIGNAL FOO\n", "Invalid signal: FOO"),
        ("FROM base\nARG x\nWORKDIR $x\n", "cannot normalize nothing"),
        ("FROM base\nWORKDIR /bin/sh\n", "Cannot mkdir: /bin/sh is not a directory"),
        ("FROM base\nENV a=${b:?no}\n", 'failed to process "${b:?no}": b: no'),
        ("FROM base\nADD http://127.0.0.1:1/x /y\n",
         'ADD failed: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1: connect: connection refused'),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_done_ends_the_stream_with_its_sentence(world, dockerfile, sentence):
    world.build(dockerfile)
    assert world.error["error"].startswith(sentence)
    assert world.error["errorDetail"] == {"message": world.error["error"]}
    assert world.messages[-1] is world.error
    assert "Successfully" not in world.text


def test_a_failed_command_tells_its_code_and_leaves_its_container(world):
    world.build("FROM base\nRUN print before\nRUN fail 7\nRUN print after\n", tags=("x",), progress=True)
    sentence = "The command '/bin/sh -c fail 7' returned a non-zero code: 7"
    assert world.error == {"errorDetail": {"code": 7, "message": sentence}, "error": sentence}
    assert len(world.containers.alive) == 1
    assert "after" not in world.text
    assert world.images.find("x") is None
    (failed,) = world.steps("failed")
    assert (failed["Index"], failed["FirstLine"], failed["ExitCode"]) == (3, 3, 7)


def test_force_rm_removes_the_failed_container_too(world):
    world.build("FROM base\nRUN fail 3\n", force_remove=True)
    assert world.containers.alive == {}
    assert masked(world.text).endswith(" ---> Running in ID12\nRemoving intermediate container ID12\n")


def test_without_rm_the_container_stays_whole(world):
    world.build("FROM base\nRUN write /f 1\n", remove=False)
    assert "Removing" not in world.text
    (container,) = world.containers.alive
    assert (world.containers.storage.mount(container) / "f").read_text() == "1"


def test_a_quiet_build_says_only_the_image(world):
    world.build("FROM base\nRUN print x\n", quiet=True)
    assert len(world.messages) == 1
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", world.text)


def test_a_quiet_build_that_fails_says_all(world):
    world.build("FROM base\nRUN print x && fail 4\n", quiet=True)
    assert world.text.startswith("Step 1/2 : FROM base\n")
    assert world.error["errorDetail"]["code"] == 4


def test_empty_continuation_lines_are_warned_of(world):
    world.build("FROM base\nRUN print a \\\n\n b\n")
    assert world.text.startswith(
        "\x1b[91m[WARNING]: Empty continuation line found in:\n    RUN print a  b\n"
        "[WARNING]: Empty continuation lines will become errors in a future release.\n\x1b[0mStep 1/2"
    )


def test_output_written_in_parts_stays_together():
    frames = _Frames()
    whole = b"".join(
        bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text
        for kind, text in ((2, b"sh: "), (2, b"x: not found\n"), (1, b"out\n"), (2, b"\xc3"), (2, b"\xa9"))
    )
    for byte in whole:
        frames.feed(bytes([byte]))
    assert frames.in_mid_line
    assert frames.take() == [(2, b"sh: x: not found\n"), (1, b"out\n"), (2, b"\xc3\xa9")]
    assert not frames.in_mid_line


def test_options_of_the_run_containers(world):
    world.build(
        "FROM base\nRUN --network=none nothing\nRUN nothing\n", memory=1 << 20, network_mode="host", shm_size=4096
    )
    one, two = world.containers.made
    assert one["HostConfig"] == {"NetworkMode": "none", "Memory": 1 << 20, "ShmSize": 4096}
    assert two["HostConfig"]["NetworkMode"] == "host"
    assert two["Entrypoint"] == [""]
    assert two["Healthcheck"] == {"Test": ["NONE"]}


def test_a_client_that_goes_away_ends_the_build(world):
    async def leave():
        async def chunks():
            yield context_tar({"Dockerfile": "FROM base\nRUN print hi && hang\n"})

        stream = world.builder.build(chunks(), BuildOptions())
        async for message in stream:
            if message.get("stream") == "hi\n":
                break
        await asyncio.wait_for(world.containers.hanging.wait(), 10)
        await stream.aclose()

    world.runner.run(leave())
    assert world.containers.alive == {}
    assert list((world.root / "builds").iterdir()) == []


def test_what_a_killed_engine_left_is_thrown_away(world):
    (world.root / "builds" / "half").mkdir()
    world.restart()
    assert list((world.root / "builds").iterdir()) == []


def test_options_of_the_query():
    options = BuildOptions.from_query(
        {
            "t": ["a", "b:1"], "dockerfile": "", "rm": "0", "nocache": "1", "q": "", "memory": "5", "cpuperiod": "x",
            "buildargs": '{"A":"1","B":null}', "labels": '{"l":"v"}', "cachefrom": '["x"]', "extrahosts": '["h:1"]',
        },
        progress=True,
    )  # fmt: skip
    assert options.tags == ("a", "b:1")
    assert (options.dockerfile, options.remove, options.no_cache, options.quiet) == ("Dockerfile", False, True, False)
    assert (options.memory, options.cpu_period) == (5, 0)
    assert options.build_args == {"A": "1", "B": None}
    assert (options.cache_from, options.extra_hosts, options.progress) == (("x",), ("h:1",), True)
    assert options.references() == ["a:latest", "b:1"]
    with pytest.raises(InvalidParameter, match=r"^error reading build args: "):
        BuildOptions.from_query({"buildargs": "{x"})
    assert isinstance(EngineError("x"), Exception)
