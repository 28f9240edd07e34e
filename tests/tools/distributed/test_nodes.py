"""Several machines: how processes meet, Paddle's launcher, the script for machines, and the page's commands."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT, clean_env, run_shell
from tests.pages import read_page
from tools.distributed import group as process_group
from tools.distributed import rendezvous
from tools.errors import ConfigError, PeerError
from tools.runtime.signals import StopRequest

SCRIPT = PROJECT / "scripts/train/train_multinode.sh"
FLAGS = "--model-name=AttentionCluster --config=configs/demo/attention_cluster.txt --use-gpu=false --threads=1"


def run_script(variables, *flags, python=sys.executable):
    env = {**clean_env(), "PYTHON": str(python), **variables}
    return subprocess.run(["bash", SCRIPT, *flags], env=env, capture_output=True, text=True, check=False)


def test_the_script_for_machines_tells_of_every_variable():
    result = run_script({}, "--model-name=TSN", "--help")
    assert result.returncode == 0
    assert all(f"  {name}=" in result.stdout for name in ("NNODES", "NODE", "MASTER", "NPROC", "LOG_DIR", "PYTHON"))
    assert all(f"  {name}=" in result.stdout for name in ("HOSTS", "PADDLE_VIDEO_SECRET_FILE"))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("", "NNODES is not set; it is the number of machines"),
        ("NNODES=2", "NODE is not set; it is the number of this machine, from 0"),
        ("NNODES=2 NODE=1", "MASTER is not set; it is HOST:PORT of machine 0"),
        ("NNODES=two NODE=1 MASTER=127.0.0.1:6170", "NNODES=two is no whole number of 1 or more"),
        ("NNODES=2 NODE=2 MASTER=127.0.0.1:6170", "NODE=2, but NNODES=2 machines have the numbers 0 to 1"),
        ("NNODES=2 NODE=1 MASTER=127.0.0.1", "MASTER=127.0.0.1 is not HOST:PORT, such as 10.0.0.1:6170"),
        ("NNODES=2 NODE=1 MASTER=no.such.invalid:6170", "MASTER=no.such.invalid:6170: no address is known for"),
        ("NNODES=2 NODE=0 MASTER=192.0.2.1:6170", "machine 0, which this is, cannot wait there"),
        ("NNODES=2 NODE=1 MASTER=127.0.0.1:6170 NPROC=0", "NPROC=0 is no whole number of 1 or more"),
        ("NODE=1 HOSTS=127.0.0.1", "NODE=1, but NNODES=1 machines have the numbers 0 to 0"),
        ("NODE=1 HOSTS=127.0.0.1,", "HOSTS=127.0.0.1, is not HOST,HOST,..., such as 10.0.0.1,10.0.0.2"),
        ("NODE=1 HOSTS=127.0.0.1,no.such.invalid", "HOSTS=127.0.0.1,no.such.invalid: no address is known for no.such"),
        ("NODE=1 HOSTS=127.0.0.1,127.0.0.2 NNODES=3", "NNODES=3, but HOSTS=127.0.0.1,127.0.0.2 are 2 machines"),
        ("NODE=1 HOSTS=127.0.0.1,127.0.0.2 MASTER=127.0.0.2:1", "MASTER=127.0.0.2:1 is not on 127.0.0.1, the first of"),
        ("NNODES=2 NODE=1 MASTER=127.0.0.1:6170", "PADDLE_VIDEO_SECRET_FILE is not set; it is a file with the secret"),
        (
            "NODE=1 HOSTS=127.0.0.1,127.0.0.2 PADDLE_VIDEO_SECRET_FILE=/no/such",
            "PADDLE_VIDEO_SECRET_FILE=/no/such cannot be read",
        ),
    ],
)
def test_the_script_for_machines_says_what_is_missing_or_wrong(variables, message):
    result = run_script(dict(text.split("=") for text in variables.split()), "--model-name=TSN")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


NAMED = {"MASTER": "127.0.0.1:61701", "NNODES": "2"}
LISTED = {"HOSTS": "127.0.0.1,127.0.0.2"}


@pytest.mark.parametrize(
    ("node", "machines", "passed"),
    [
        ("0", NAMED, "--nnodes 2 --rank 0 --master 127.0.0.1:61701 --log_dir {} --host 127.0.0.1"),
        ("1", NAMED, "--nnodes 2 --rank 1 --master 127.0.0.1:61701 --log_dir {}"),
        ("1", LISTED, "--ips 127.0.0.1,127.0.0.2 --start_port 6170 --log_dir {} --host 127.0.0.2"),
        ("0", NAMED | LISTED, "--ips 127.0.0.1,127.0.0.2 --start_port 61701 --log_dir {} --host 127.0.0.1"),
    ],
)
def test_the_script_for_machines_passes_flags_on_to_the_launcher(node, machines, passed, tmp_path):
    python = tmp_path / "python"  # looks things up as Python does, and tells what it is asked to run
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\necho "$@"\n')
    python.chmod(0o755)
    variables = machines | {"NODE": node, "NPROC": "3", "PADDLE_VIDEO_SECRET_FILE": str(python)}
    result = run_script(variables, "--model-name=TSN", "--set", "TRAIN.filelist=a b", python=python)
    assert result.stdout == (
        f"-m paddle.distributed.launch {passed.format(f'checkpoints/launcher/node{node}')} --nproc_per_node 3 "
        "train.py --model-name=TSN --set TRAIN.filelist=a b\n"
    ), result.stderr


def free_address():
    with rendezvous.socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()


KEY = b"of this run" * 3


def meet(world, *others):
    """Rank 0's connections, and what each of the others gives: run at the same time."""
    address, results = free_address(), [None] * len(others)

    def other(place):
        results[place] = others[place](address)

    threads = [threading.Thread(target=other, args=(place,)) for place in range(len(others))]
    for thread in threads:
        thread.start()
    try:
        return rendezvous.await_others(address, world, KEY), results
    finally:
        for thread in threads:
            thread.join()


def test_processes_meet_in_any_order():
    links, found = meet(
        3,
        lambda address: (time.sleep(0.2), rendezvous.find_first(address, 1, 3, KEY))[1],
        lambda address: rendezvous.find_first(address, 2, 3, KEY),
    )
    assert sorted(links) == [1, 2]
    for rank in (1, 2):
        found[rank - 1].send_bytes(b"I am %d" % rank)
        assert links[rank].recv_bytes() == b"I am %d" % rank


def test_the_first_process_names_those_that_did_not_come_and_the_others_hear_of_it(monkeypatch, log_lines):
    monkeypatch.setattr(rendezvous, "_RENDEZVOUS_SEC", 1)
    monkeypatch.setattr(rendezvous, "_WORD_SEC", 0.6)
    heard = []

    def second(address):
        with pytest.raises(PeerError) as error:
            rendezvous.find_first(address, 1, 4, KEY)
        heard.append(str(error.value))

    with pytest.raises(PeerError) as error:
        meet(4, second)
    assert str(error.value).startswith("of 4 processes, rank 2, 3 did not come within 1 s; ")
    assert log_lines == ["waiting for rank 2, 3 of 4 processes; what their launchers print may say why"]
    assert heard == ["rank 0 of 4 ended before all processes had come; its log says more"]


def test_a_process_that_finds_nobody_says_where_it_looked(monkeypatch):
    monkeypatch.setattr(rendezvous, "_RENDEZVOUS_SEC", 0.3)
    host, port = free_address()
    with pytest.raises(PeerError) as error:
        rendezvous.find_first((host, port), 1, 2, KEY)
    assert f"rank 1 of 2 found no rank 0 at {host}:{port} within 0.3 s" in str(error.value)
    assert str(error.value).endswith("which is this machine: where rank 0 is on another, its launcher needs --host")


def test_an_environment_without_addresses_is_an_error(monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    monkeypatch.setenv("PADDLE_TRAINER_ID", "1")
    monkeypatch.setenv("PADDLE_TRAINER_ENDPOINTS", "here")
    with pytest.raises(ConfigError, match="PADDLE_TRAINER_ENDPOINTS is 'here', no HOST:PORT"):
        process_group.connect("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="interfaces are looked up on Linux only")
def test_the_interface_is_the_one_that_leads_to_the_first_machine():
    assert rendezvous.interface_to("127.0.0.1") == "lo"
    assert rendezvous.interface_to("no.such.invalid") is None


def test_the_loopback_interface_of_a_mac_has_its_own_name(monkeypatch):
    monkeypatch.setattr(socket, "if_nameindex", list)  # as where interfaces cannot be asked for their addresses
    assert rendezvous.interface_to("127.0.0.1") == "lo"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert rendezvous.interface_to("127.0.0.1") == "lo0"


def test_three_sigterms_are_one_request_and_a_second_ctrl_c_stops_at_once():
    with StopRequest() as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert stop.exit_code == 143
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_process_ends_when_paddle_s_launcher_was_killed():
    child = (
        "import time; from tools.distributed.launcher import follow_launcher; follow_launcher(); print(1, flush=True)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child + '; time.sleep(60)'!r}])"
    env = {**clean_env(), "PADDLE_RANK_IN_NODE": "0"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=PROJECT, env=env, **pipes)
    assert process.stdout.readline() == "1\n"
    process.kill()
    assert process.communicate(timeout=20)[1] == "error: the launcher of this process has ended\n"


def page_block(word):
    """The one block of commands on the page about training, not run line by line, that holds a word."""
    blocks = re.findall(r"^```sh\n(.*?)^```", read_page("tools/training.md"), flags=re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


@pytest.fixture(scope="module")
def clone(project_copy):
    """A copy of the project with demo data, and the weights of two processes on one machine in checkpoints/two."""
    run_shell("python dataset/youtube8m/make_demo.py", project_copy)
    run_shell(f"python train.py {FLAGS} --nproc=2 --epoch=1 --save-dir=checkpoints/two", project_copy)
    return project_copy


def require_namespaces():
    if sys.platform != "linux" or os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the ip command of Linux")
    made = subprocess.run(["ip", "netns", "add", "zootry"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
    subprocess.run(["ip", "netns", "delete", "zootry"], check=True)


@pytest.fixture
def namespaces():
    """The two namespaces of the page; removed however the test ends."""
    require_namespaces()
    yield
    for name in ("zoo0", "zoo1"):
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.slow
def test_two_launches_on_one_machine_train_as_two_processes_of_one(clone):
    run_shell(page_block("--host 127.0.0.1"), clone)
    assert_trained_alike(clone, "nodes")


@pytest.mark.slow
def test_two_namespaces_train_as_two_processes_of_one_machine(clone, namespaces):
    run_shell(page_block("ip netns add"), clone)
    assert_trained_alike(clone, "zoo")


def assert_trained_alike(clone, folder):
    for name in ("model.pdparams", "optimizer.pdopt"):
        one, other = (clone / "checkpoints" / run / "AttentionCluster_epoch0" / name for run in ("two", folder))
        assert one.read_bytes() == other.read_bytes(), name
    assert sorted(path.name for path in (clone / "checkpoints" / folder / "logs").iterdir()) == [
        "rank0.log",
        "rank1.log",
    ]


class Nodes:
    """Two launches of a long training, in the namespaces of the page; the second has the process to harm."""

    def __init__(self, folder, save_dir, started=(0, 1)):
        setup = re.sub(r"(?ms)^MODEL=.*", "", page_block("ip netns add"))
        subprocess.run(["bash", "-e", "-c", setup], cwd=folder, check=True)
        self.folder, self.save_dir = folder, save_dir
        self.launchers = [self.start(node) for node in started]

    def machines(self, node):
        return f"--nnodes 2 --rank {node} --master 10.77.0.1:6170 --host 10.77.0.{node + 1}"

    def start(self, node):
        launcher = f"-m paddle.distributed.launch {self.machines(node)} --nproc_per_node 1"
        launcher += f" --log_dir {self.save_dir}/launcher{node}"
        command = ["ip", "netns", "exec", f"zoo{node}", sys.executable, *launcher.split(), "train.py", *FLAGS.split()]
        command += [f"--save-dir={self.save_dir}", "--epoch=50", "--log-interval=1", "--valid-interval=0"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        env = {**clean_env(), "MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "1"}  # of another library: of no concern
        env["PADDLE_VIDEO_SECRET_FILE"] = "secret"
        return subprocess.Popen(command, cwd=self.folder, env=env, **silent)

    def log(self, node):
        path = self.folder / self.save_dir / f"launcher{node}/workerlog.0"
        return path.read_text(errors="replace") if path.exists() else ""

    def await_steps(self):
        deadline = time.monotonic() + 120
        while "iter 3 " not in self.log(0):
            assert time.monotonic() < deadline, self.log(0) + self.log(1)
            time.sleep(0.1)

    def worker(self, node):
        """Process number of the trainer, the one child of the launcher."""
        launcher = self.launchers[node].pid
        return int(Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()[0])

    def await_end(self, seconds):
        deadline = time.monotonic() + seconds
        return [launcher.wait(timeout=max(0.1, deadline - time.monotonic())) for launcher in self.launchers]

    def end(self):
        for launcher in self.launchers:
            if launcher.poll() is None:
                launcher.terminate()
                launcher.wait(timeout=60)


@pytest.fixture
def nodes(clone, namespaces, request):
    running = Nodes(clone, f"checkpoints/{request.node.name}")
    yield running
    running.end()


LOST = "error: rank {} of 2 exited unexpectedly; its log says more"


@pytest.mark.slow
def test_a_killed_process_ends_those_on_the_other_machine(nodes):
    nodes.await_steps()
    os.kill(nodes.worker(1), signal.SIGKILL)
    assert nodes.await_end(15) == [75, 256 - signal.SIGKILL]
    assert LOST.format(1) in nodes.log(0)


@pytest.mark.slow
def test_a_killed_launcher_ends_the_processes_on_both_machines(nodes):
    nodes.await_steps()
    nodes.launchers[1].kill()
    assert nodes.await_end(15) == [75, -signal.SIGKILL]
    assert LOST.format(1) in nodes.log(0)
    assert "error: the launcher of this process has ended" in nodes.log(1)


@pytest.mark.slow
def test_machines_that_are_cut_off_from_one_another_end_within_half_a_minute(nodes):
    nodes.await_steps()
    subprocess.run(["ip", "-n", "zoo1", "link", "set", "zoolink", "down"], check=True)
    assert nodes.await_end(35) == [75, 75]  # 30 s, and Paddle's launcher looks every other second
    assert "error: rank 1 of 2 is out of reach: " in nodes.log(0)
    assert "error: rank 0 of 2 is out of reach: " in nodes.log(1)


@pytest.mark.slow
def test_ctrl_c_at_the_second_launcher_saves_and_stops_both(nodes, clone):
    nodes.await_steps()
    nodes.launchers[1].send_signal(signal.SIGINT)
    assert nodes.await_end(30) == [143, signal.SIGINT]  # Paddle's launcher gives the signal's number as it is
    assert "stopped by SIGTERM; --resume auto resumes from here" in nodes.log(0)
    (saved,) = (clone / nodes.save_dir).glob("AttentionCluster_epoch0_step*")
    assert (saved / "model.pdparams").exists()
