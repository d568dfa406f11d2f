import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.runtime import ALL, BOTH, Result, read_until, talk

from pydockmagic.engine.errors import StartError
from pydockmagic.engine.runtime import defaults, linux
from pydockmagic.engine.runtime.spec import CgroupLimits, Device, Mount, Namespaces, Rlimit, Root

pytestmark = pytest.mark.root

PREFIX = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process"
INIT = f"{PREFIX}: error during container init"
RLIMIT = f"{INIT}: error setting rlimits for ready process"


@pytest.fixture(scope="module")
def sleeper(box):
    spec = box.spec("sleep", "1000", env=("PATH=/bin", "GREETING=hi"), cwd="/tmp")
    box.start(spec)
    yield spec
    box.delete(spec)


# --- exit codes and sentences (recorded on dockerd 20.10.24) -----------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs(box, code):
    assert box.run("sh", "-c", f"exit {code}").code == code


def test_a_program_killed_by_a_signal_gives_128_and_the_signal(box):
    spec = box.spec("sleep", "1000")
    box.start(spec)
    box.do(box.driver.signal(spec.id, signal.SIGKILL))
    assert box.wait(spec).code == 137


def test_the_first_process_ignores_signals_without_a_handler(box):
    assert box.run("sh", "-c", "kill -TERM 1; kill -9 $$; echo alive").stdout == "alive\n"


def test_a_handler_of_the_first_process_is_called(box):
    spec = box.spec("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    running = box.start(spec, BOTH)
    box.do(read_until(running.streams[0], b"ready\n"))
    running.streams[0].close()
    box.do(box.driver.signal(spec.id, signal.SIGTERM))
    assert box.wait(spec).code == 3


@pytest.mark.parametrize(
    ("command", "sentence", "code"),
    [
        ("nosuch", f'{PREFIX}: exec: "nosuch": executable file not found in $PATH: unknown', 127),
        ("", f'{PREFIX}: exec: "": executable file not found in $PATH: unknown', 127),
        ("/nosuch", f'{PREFIX}: exec: "/nosuch": stat /nosuch: no such file or directory: unknown', 127),
        ("./nosuch", f'{PREFIX}: exec: "./nosuch": stat ./nosuch: no such file or directory: unknown', 127),
        ("/etc", f'{PREFIX}: exec: "/etc": permission denied: unknown', 126),
        ("/etc/passwd", f'{PREFIX}: exec: "/etc/passwd": permission denied: unknown', 126),
    ],
)
def test_a_program_that_cannot_be_started_gives_dockers_sentence(box, command, sentence, code):
    spec = box.spec(command)
    with pytest.raises(StartError) as caught:
        box.start(spec)
    assert (str(caught.value), caught.value.exit_code) == (sentence, code)
    assert not Path(spec.bundle, "control.sock").exists()
    assert spec.id not in box.do(box.driver.recover())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"user": "nosuch"}, "unable to find user nosuch: no matching entries in passwd file"),
        ({"user": "0:nosuch"}, "unable to find group nosuch: no matching entries in group file"),
        ({"groups": ("nosuch",)}, "Unable to find group nosuch: no matching entries in group file"),
        ({"user": "99999999999"}, "uids and gids must be in range 0-2147483647"),
        (
            {"rlimits": (Rlimit("nofile", 9_999_999, 9_999_999),)},
            f"{RLIMIT}: error setting rlimit type 7: operation not permitted: unknown",
        ),
        (
            {"sysctls": (("net.ipv4.nosuch", "1"),)},
            f"{INIT}: open /proc/sys/net/ipv4/nosuch: no such file or directory: unknown",
        ),
        (
            {"devices": (Device(source="/dev/nosuch", target="/dev/nosuch"),)},
            'error gathering device information while adding custom device "/dev/nosuch": no such file or directory',
        ),
    ],
)
def test_a_wrong_option_gives_dockers_sentence(box, options, sentence):
    spec = box.spec("true", **options)
    with pytest.raises(StartError) as caught:
        box.start(spec)
    assert str(caught.value) == sentence
    assert caught.value.exit_code == 128 or "no such file" in sentence


def test_mounting_a_file_over_a_directory_is_explained(box):
    spec = box.spec("true", mounts=(Mount(kind="bind", source="/etc/passwd", target="/etc"),))
    with pytest.raises(StartError) as caught:
        box.start(spec)
    assert "not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?" in str(
        caught.value
    )
    assert caught.value.exit_code == 126


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("#!/nosuch\n", "no such file or directory"), ("xxxxxxxx", "exec format error")],
)
def test_a_program_that_the_kernel_refuses_says_so_on_stderr(box, tmp_path, content, complaint):
    script = tmp_path / "script"
    script.write_text(content)
    script.chmod(0o755)
    result = box.run("/bin/bad", mounts=(Mount(kind="bind", source=str(script), target="/bin/bad"),))
    assert (result.code, result.stderr) == (1, f"exec /bin/bad: {complaint}\n")


# --- isolation ---------------------------------------------------------------------------------------------------


def test_every_namespace_is_its_own_but_the_users(box):
    kinds = ("pid", "mnt", "net", "uts", "ipc", "cgroup", "user")
    script = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds)
    inside = box.run("sh", "-c", script).stdout.split()
    different = {
        kind for kind, name in zip(kinds, inside, strict=True) if name != str(Path(f"/proc/self/ns/{kind}").readlink())
    }
    assert different == set(kinds) - {"user"}


def test_host_namespaces_are_the_engines(box):
    host = Namespaces(net="host", ipc="host", uts="host", pid="host", cgroup="host")
    kinds = ("pid", "net", "uts", "ipc", "cgroup")
    script = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds)
    inside = box.run("sh", "-c", script, namespaces=host).stdout.split()
    assert inside == [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds]


def test_namespaces_of_another_container_are_joined(box, sleeper):
    pid = box.do(box.driver.processes(sleeper.id))[0]
    box.exec(sleeper, "sh", "-c", "echo shared > /dev/shm/note")
    joined = Namespaces(net=f"/proc/{pid}/ns/net", pid=f"/proc/{pid}/ns/pid", ipc=f"/proc/{pid}/ns/ipc")
    result = box.run("sh", "-c", "ps; cat /dev/shm/note", namespaces=joined)
    assert "sleep 1000" in result.stdout
    assert result.stdout.endswith("shared\n")


def test_a_given_network_namespace_is_used(box):
    def make():
        linux.unshare(linux.CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    with ThreadPoolExecutor(1) as thread:
        net = thread.submit(make).result()
    name = f"net:[{os.fstat(net).st_ino}]"
    spec = box.spec("sh", "-c", "readlink /proc/self/ns/net; ip -o link", namespaces=Namespaces(net="given"))
    running = box.start(spec, BOTH, net=net)
    os.close(net)
    out, _ = box.do(talk(running.streams[0]))
    box.wait(spec)
    box.delete(spec)
    assert out.decode().startswith(f"{name}\n1: lo: <LOOPBACK,UP,LOWER_UP>")


def test_the_program_is_process_one_with_dockers_rights(box):
    result = box.run(
        "sh", "-c", "echo $$; id; umask; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; cat /proc/self/oom_score_adj"
    )
    assert result.stdout.replace("\t", " ").splitlines() == [
        "1",
        "uid=0(root) gid=0(root) groups=0(root),10(wheel)",
        "0022",
        "CapInh: 0000000000000000",
        "CapPrm: 00000000a80425fb",
        "CapEff: 00000000a80425fb",
        "CapBnd: 00000000a80425fb",
        "CapAmb: 0000000000000000",
        "NoNewPrivs: 0",
        "Seccomp: 2",
        "0",
    ]  # fmt: skip


def test_a_user_is_looked_up_in_the_container_and_has_no_capabilities(box):
    script = "id; echo $HOME; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status"
    result = box.run("sh", "-c", script, user="ada", groups=("staff", "77"))
    assert result.stdout.replace("\t", " ").splitlines() == [
        "uid=1000(ada) gid=100(users) groups=10(wheel),50(staff),77,100(users)",
        "/home",
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapBnd: 00000000a80425fb",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("1000", "uid=1000(ada) gid=100(users) groups=10(wheel),100(users)"),
        ("4321", "uid=4321 gid=0(root) groups=0(root)"),
        ("ada:staff", "uid=1000(ada) gid=50(staff) groups=50(staff)"),
        ("7:8", "uid=7 gid=8 groups=8"),
    ],
)
def test_users_are_understood_as_docker_does(box, user, identity):
    assert box.run("id", user=user).stdout.strip() == identity


def test_output_can_be_reopened_by_an_ordinary_user(box):
    assert box.run("sh", "-c", "echo hi > /dev/stdout; echo ho > /dev/stderr", user="ada").stdout == "hi\n"


def test_capabilities_are_dropped_and_added(box):
    script = "grep -E 'CapEff' /proc/self/status; chown 5 /tmp || true"
    result = box.run("sh", "-c", script, capabilities=frozenset({"CAP_SYS_ADMIN"}))
    assert result.stdout == "CapEff:\t0000000000200000\n"
    assert "Operation not permitted" in result.stderr


def test_seccomp_forbids_new_namespaces_and_lets_them_when_unconfined(box):
    admin = defaults.CAPABILITIES | {"CAP_SYS_ADMIN"}
    assert "Operation not permitted" in box.run("unshare", "-U", "true").stderr
    assert box.run("unshare", "-U", "true", seccomp="unconfined").code == 0
    assert box.run("unshare", "-m", "true", capabilities=admin).code == 0


def test_a_profile_of_ones_own_is_obeyed(box):
    profile = (
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    result = box.run("mkdir", "/tmp/x", seccomp=profile)
    assert result.stderr == "mkdir: can't create directory '/tmp/x': Operation not permitted\n"


def test_a_damaged_profile_is_refused(box):
    with pytest.raises(StartError, match=r"^Decoding seccomp profile failed: "):
        box.start(box.spec("true", seccomp="{"))


def test_no_new_privileges_is_set(box):
    script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status"
    assert box.run("sh", "-c", script, no_new_privileges=True).stdout == "NoNewPrivs:\t1\nSeccomp:\t2\n"


def test_a_privileged_container_has_all_that_the_engine_has(box):
    status = Path("/proc/self/status").read_text()
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    result = box.run(
        "sh",
        "-c",
        "grep CapEff /proc/self/status; mount -t tmpfs x /tmp && echo mounted;"
        "touch /sys/fs/cgroup && echo writable; ls /dev",
        privileged=True,
        capabilities=defaults.ALL_CAPABILITIES,
        seccomp="unconfined",
        masked_paths=(),
        readonly_paths=(),
        limits=CgroupLimits(device_rules=("a *:* rwm",)),
    )
    assert f"CapEff:\t{bounding}\nmounted\nwritable\n" in result.stdout
    assert "kmsg" in result.stdout


def test_limits_hold(box):
    script = "ulimit -n; cat /proc/self/oom_score_adj"
    result = box.run("sh", "-c", script, rlimits=(Rlimit("nofile", 321, 400),), oom_score_adj=500)
    assert result.stdout == "321\n500\n"


def test_the_zygotes_own_limits_do_not_leak(box):
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert box.run("sh", "-c", "ulimit -n").stdout == f"{soft}\n"


def test_no_descriptor_is_inherited(box):
    listing = box.run("ls", "/proc/self/fd").stdout.split()
    assert listing == ["0", "1", "2", "3"]  # 3 is ls reading the directory


def test_signals_have_their_default_action(box):
    result = box.run("grep", "-E", "Sig(Ign|Blk)", "/proc/self/status")
    assert result.stdout == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"


# --- the file tree -----------------------------------------------------------------------------------------------


def test_the_mounts_are_dockers(box):
    mounts = [line.split() for line in box.run("cat", "/proc/mounts").stdout.splitlines()]
    seen = {target: (kind, options.split(",")) for _, target, kind, options, *_ in mounts}
    assert seen["/"][0] == "overlay"
    assert seen["/proc"][1][:4] == ["rw", "nosuid", "nodev", "noexec"]
    assert seen["/sys"][1][0] == "ro"
    assert seen["/dev/pts"] == (
        "devpts",
        ["rw", "nosuid", "noexec", "relatime", "gid=5", "mode=620", "ptmxmode=666"],
    )
    assert seen["/dev/shm"][1] == ["rw", "nosuid", "nodev", "noexec", "relatime", "size=65536k"]
    assert seen["/dev/mqueue"][0] == "mqueue"
    assert seen["/proc/sys"][1][0] == "ro"
    assert seen["/proc/acpi"][0] == "tmpfs"


def test_the_devices_are_dockers(box):
    names = [
        "console",
        "core",
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    ]
    assert set(box.run("ls", "/dev").stdout.split()) == set(names) - {"console", "core"}
    result = box.run("sh", "-c", "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c")
    assert result.stdout == "4\n4\n"


def test_masked_and_read_only_paths_hold(box):
    result = box.run("sh", "-c", "wc -c < /proc/keys; ls /sys/firmware /proc/acpi; echo 1 > /proc/sys/vm/swappiness")
    assert result.stdout == "0\n/proc/acpi:\n\n/sys/firmware:\n"
    assert "Read-only file system" in result.stderr


def test_a_read_only_root_lets_nothing_be_written_but_in_mounts(box, tmp_path):
    spec = box.spec("sh", "-c", "touch /x; touch /data/y && echo ok")
    root = Root(kind="overlay", upper=spec.root.upper, work=spec.root.work, lower=spec.root.lower, read_only=True)
    result = box.run(
        "sh",
        "-c",
        "touch /x; touch /data/y && echo ok",
        root=root,
        mounts=(Mount(kind="bind", source=str(tmp_path), target="/data"),),
    )
    assert (result.stdout, result.stderr) == ("ok\n", "touch: /x: Read-only file system\n")
    box.delete(spec)


def test_a_plain_directory_can_be_the_root(box, tmp_path):
    import shutil

    shutil.copytree(box.lower, tmp_path / "tree", symlinks=True)
    root = Root(kind="directory", upper=str(tmp_path / "tree"))
    assert box.run("sh", "-c", "touch /made; pwd", root=root).stdout == "/\n"
    assert (tmp_path / "tree/made").exists()


def test_more_layers_than_fit_a_page_can_be_mounted(box, tmp_path):
    layers = []
    for number in range(110):
        layer = tmp_path / f"a-rather-long-name-for-a-layer-{number:03}"
        layer.mkdir()
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    spec = box.spec("true")
    root = Root(kind="overlay", upper=spec.root.upper, work=spec.root.work, lower=(*layers, str(box.lower)))
    assert box.run("sh", "-c", "ls / | grep -c file", root=root).stdout == "110\n"
    box.delete(spec)


def test_bind_mounts_show_files_and_directories(box, tmp_path):
    (tmp_path / "file").write_text("content")
    mounts = (
        Mount(kind="bind", source=str(tmp_path), target="/a/new/place"),
        Mount(kind="bind", source=str(tmp_path / "file"), target="/etc/motd", read_only=True),
        Mount(kind="tmpfs", target="/scratch", options=("size=1m", "mode=1777", "noexec")),
    )
    result = box.run(
        "sh",
        "-c",
        "cat /etc/motd; echo x > /etc/motd; echo y > /a/new/place/made; grep scratch /proc/mounts",
        mounts=mounts,
    )
    assert result.stdout.startswith("contenttmpfs /scratch tmpfs rw,noexec,relatime,size=1024k")
    assert "Read-only file system" in result.stderr
    assert (tmp_path / "made").read_text() == "y\n"


def test_a_read_only_bind_mount_covers_what_is_mounted_below_it(box, tmp_path):
    (tmp_path / "inner").mkdir()
    mounts = (
        Mount(kind="bind", source="/dev/shm", target="/data/deep"),
        Mount(kind="bind", source=str(tmp_path), target="/data", read_only=True),
    )
    result = box.run("sh", "-c", "touch /data/inner/x", mounts=mounts[1:])
    assert "Read-only file system" in result.stderr


def test_a_link_in_the_image_cannot_lead_a_mount_out_of_the_root(box, tmp_path):
    (tmp_path / "evil").symlink_to(tmp_path)
    (tmp_path / "data").mkdir()
    spec = box.spec("true")
    link = Path(spec.root.upper, "link")
    link.symlink_to(tmp_path)
    mounts = (Mount(kind="tmpfs", target="/link/escaped"),)
    assert box.run("true", root=spec.root, mounts=mounts).code == 0
    assert not (tmp_path / "escaped").exists()
    assert Path(f"{spec.root.upper}{tmp_path}/escaped").is_dir()
    box.delete(spec)


def test_the_working_directory_is_made(box):
    assert box.run("pwd", cwd="/some/where/new").stdout == "/some/where/new\n"


def test_mounts_do_not_reach_the_engine(box, sleeper):
    assert str(box.folder) not in Path("/proc/self/mountinfo").read_text()


def test_sysctls_and_names_are_set(box):
    result = box.run(
        "sh",
        "-c",
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname; hostname;"
        "ping -c1 -W1 127.0.0.1 | grep -c 'bytes from'",
        sysctls=(("net.ipv4.ip_forward", "1"),),
        hostname="tower",
        domainname="example",
    )
    assert result.stdout == "1\nexample\ntower\n1\n"


def test_the_cgroup_is_shown_and_used(box):
    result = box.run(
        "sh",
        "-c",
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || "
        "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max; cat /proc/1/cgroup",
        limits=CgroupLimits(pids=50, memory=64 << 20),
    )
    assert result.stdout.startswith("50\n67108864\n")
    assert box.parent not in result.stdout  # a cgroup namespace hides where it is


def test_the_host_cgroup_namespace_shows_the_path(box):
    spec = box.spec("cat", "/proc/1/cgroup", namespaces=Namespaces(cgroup="host"))
    running = box.start(spec, BOTH)
    out, _ = box.do(talk(running.streams[0]))
    box.wait(spec)
    box.delete(spec)
    assert all(line.endswith(f"{box.parent}/{spec.id}") for line in out.decode().splitlines())


def test_running_out_of_memory_is_noticed(box):
    spec = box.spec("tail", "/dev/zero", limits=CgroupLimits(memory=10 << 20, memory_swap=10 << 20))
    box.start(spec)
    record = box.wait(spec)
    assert (record.code, record.oom_killed) == (137, True)


# --- init --------------------------------------------------------------------------------------------------------


def test_init_passes_signals_on_and_reaps(box):
    spec = box.spec("sleep", "1000", init=True)
    box.start(spec)
    assert "/sbin/docker-init -- sleep 1000" in box.exec(spec, "ps").stdout
    box.do(box.driver.signal(spec.id, signal.SIGTERM))
    assert box.wait(spec).code == 143


def test_init_gives_the_programs_exit_code(box):
    assert box.run("sh", "-c", "exit 9", init=True).code == 9


# --- exec --------------------------------------------------------------------------------------------------------


def test_exec_runs_in_the_container(box, sleeper):
    result = box.exec(sleeper, "sh", "-c", "ps; hostname; pwd; echo oops >&2; exit 5", cwd="/tmp")
    assert "    1 root     sleep 1000" in result.stdout
    assert result.stdout.endswith(f"{sleeper.hostname}\n/tmp\n")
    assert (result.code, result.stderr) == (5, "oops\n")


def test_exec_has_the_containers_namespaces_and_cgroup(box, sleeper):
    pid = box.do(box.driver.processes(sleeper.id))[0]
    kinds = ("pid", "mnt", "net", "uts", "ipc", "cgroup")
    script = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds) + "; cat /proc/self/cgroup"
    *inside, first = box.exec(sleeper, "sh", "-c", script).stdout.split()[: len(kinds) + 1]
    assert inside == [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in kinds]
    assert first.endswith(":/")


def test_exec_obeys_user_environment_and_rights(box, sleeper):
    result = box.exec(
        sleeper, "sh", "-c", "id -u; echo $HOME $X; grep CapEff /proc/self/status", user="ada", env=("PATH=/bin", "X=1")
    )
    assert result.stdout == "1000\n/home 1\nCapEff:\t0000000000000000\n"
    assert "Seccomp:\t2" in box.exec(sleeper, "cat", "/proc/self/status").stdout
    privileged = box.exec(sleeper, "grep", "CapEff", "/proc/self/status", privileged=True).stdout
    assert privileged != "CapEff:\t00000000a80425fb\n"


EXEC_PREFIX = "OCI runtime exec failed: exec failed: unable to start container process"


@pytest.mark.parametrize(
    ("command", "options", "sentence", "code"),
    [
        ("nosuch", {}, f'{EXEC_PREFIX}: exec: "nosuch": executable file not found in $PATH: unknown', 127),
        ("/etc", {}, f'{EXEC_PREFIX}: exec: "/etc": permission denied: unknown', 126),
        ("id", {"user": "nosuch"}, "unable to find user nosuch: no matching entries in passwd file", 128),
        (
            "pwd",
            {"cwd": "/nosuch"},
            f'{EXEC_PREFIX}: chdir to cwd ("/nosuch") set in config.json failed: no such file or directory: unknown',
            128,
        ),
    ],
)
def test_exec_fails_with_dockers_sentence(box, sleeper, command, options, sentence, code):
    with pytest.raises(StartError) as caught:
        box.exec(sleeper, command, **options)
    assert (str(caught.value), caught.value.exit_code) == (sentence, code)


def test_exec_reads_its_stdin_to_the_end(box, sleeper):
    assert box.exec(sleeper, "cat", stdin=b"one\ntwo\n").stdout == "one\ntwo\n"


def test_exec_with_a_terminal(box, sleeper):
    result = box.exec(sleeper, "sh", "-c", "tty; stty size; echo out; echo err >&2", tty=True, console_size=(33, 77))
    assert result.stdout == "/dev/pts/0\r\n33 77\r\nout\r\nerr\r\n"


def test_an_exec_dies_with_its_container(box):
    from pydockmagic.engine.runtime.spec import ProcessSpec

    spec = box.spec("sleep", "1000")
    box.start(spec)
    process = ProcessSpec(args=("sleep", "1000"), env=("PATH=/bin",), capabilities=defaults.CAPABILITIES)
    box.do(box.driver.exec(spec.id, "e1", process))
    box.do(box.driver.signal(spec.id, signal.SIGKILL))
    assert box.do(box.driver.wait_exec(spec.id, "e1")).code == 137
    assert box.wait(spec).code == 137


def test_exec_in_a_container_that_does_not_run_is_refused(box):
    spec = box.spec("true")
    box.start(spec)
    box.wait(spec)
    with pytest.raises(ProcessLookupError):
        box.exec(spec, "true")


# --- life --------------------------------------------------------------------------------------------------------


def test_pausing_stops_the_container_and_unpausing_lets_it_go_on(box):
    spec = box.spec("sh", "-c", "while :; do read line; echo $line; done", open_stdin=True)
    (stream,) = box.start(spec, ALL).streams
    box.do(box.driver.pause(spec.id))
    stream.send(b"hello\n")
    assert {state_of(pid) for pid in box.do(box.driver.processes(spec.id))} <= {"D", "T", "S"}
    stream.setblocking(False)
    with pytest.raises(BlockingIOError):
        stream.recv(1)
    box.do(box.driver.unpause(spec.id))
    assert box.do(read_until(stream, b"hello\n"))
    stream.close()
    box.do(box.driver.signal(spec.id, signal.SIGKILL))
    box.wait(spec)


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_stats_and_limits_can_be_read_and_changed(box, sleeper):
    stats = box.do(box.driver.stats(sleeper.id))
    assert stats.pids == 1
    box.do(box.driver.update(sleeper.id, CgroupLimits(memory=32 << 20)))
    assert box.do(box.driver.stats(sleeper.id)).memory_limit == 32 << 20


def test_a_container_can_be_started_again(box):
    spec = box.spec("sh", "-c", "echo run >> /count; wc -l < /count")
    for _ in range(3):
        box.start(spec)
        assert box.wait(spec).code == 0
    assert [line[8:9] for line in box.log(spec).read_text().splitlines()] == ["1", "2", "3"]


def test_a_container_that_is_not_there_is_not_found(box):
    for call in (
        box.driver.signal("nosuch", 9),
        box.driver.wait("nosuch"),
        box.driver.attach("nosuch", BOTH),
        box.driver.processes("nosuch"),
    ):
        with pytest.raises(ProcessLookupError):
            box.do(call)
    box.do(box.driver.delete("nosuch"))


def test_daemons_of_a_container_with_the_hosts_pids_end_with_it(box):
    host = Namespaces(pid="host")
    daemon = int(box.run("sh", "-c", "(setsid sh -c 'echo $$; exec sleep 1000' &) | head -n 1", namespaces=host).stdout)
    assert not Path(f"/proc/{daemon}").exists()


def test_without_a_static_init_on_the_machine_a_small_one_of_ours_does(tmp_path, busybox_root):
    import sys

    from support.runtime import Box

    from pydockmagic.engine.runtime import container_init
    from pydockmagic.engine.runtime.namespaces import NamespacesDriver

    hide = "".join(f"[ -e {path} ] && mount --bind /dev/null {path};" for path in container_init._STATIC_INITS)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec unshare -m sh -c \'{hide} exec {sys.executable} "$@"\' sh "$@"\n')
    python.chmod(0o755)

    class Bare(Box):
        def new_driver(self):
            return NamespacesDriver(self.folder / "run", python=str(python))

    box = Bare(tmp_path / "box", busybox_root)
    spec = box.spec("sh", "-c", "sleep 1000", init=True)
    box.start(spec)
    assert "sleep 1000" in box.exec(spec, "ps").stdout
    inspected = box.exec(spec, "sh", "-c", "readlink /proc/1/exe; cat /proc/1/environ; ls /proc/1/fd | wc -l")
    assert inspected.stdout == "3\n"
    assert "denied" in inspected.stderr
    box.do(box.driver.signal(spec.id, signal.SIGTERM))
    assert box.wait(spec).code == 143
    assert box.run("sh", "-c", "exit 9", init=True).code == 9
    assert box.run("sh", "-c", "(sleep 0.01 &) ; tty; exit 4", init=True, tty=True) == Result(4, "/dev/pts/0\r\n", "")
    box.close()
