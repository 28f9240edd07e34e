"""Strangers who call on every port of a run, before, during and after its start: it trains on, or ends and says why."""

import contextlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import start_script
from tests.test_train import wait_for
from tests.tools.distributed import strangers
from tests.tools.distributed.test_distributed_scripts import fill
from tests.tools.distributed.test_nodes import KEY, clone, free_address, namespaces  # noqa: F401  (fixtures)
from tests.tools.distributed.test_nodes import Nodes as NodesWithMaster
from tools.distributed import group, reception, rendezvous
from tools.distributed.group import ProcessGroup

PROGRAM = Path(strangers.__file__)
EVERYONE = 75  # who may call at once, of each kind: together more than are served


@contextlib.contextmanager
def besieged(address, kinds, folder, at_once):
    """Strangers call on an address without a pause, before anybody is there and until the end."""
    handles, over = [], threading.Event()

    def call():
        while not over.is_set():
            for kind in kinds:
                handles.append(strangers.call_on(address, kind, folder))
            handles[:] = [handle for handle in handles if handle]
            while len(handles) > at_once * len(kinds):
                handles.pop(0).close()
            time.sleep(0.001)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for handle in handles:
            handle.close()


@pytest.mark.parametrize("kinds", [*([kind] for kind in strangers.KINDS), list(strangers.KINDS)], ids=",".join)
def test_processes_meet_among_strangers_from_whom_nothing_is_unpickled(monkeypatch, tmp_path, kinds):
    loaded = []
    monkeypatch.setattr(group.pickle, "loads", lambda data, loads=group.pickle.loads: loaded.append(1) or loads(data))
    address, others = free_address(), {}

    def come(rank):
        time.sleep(0.5 * rank)
        others[rank] = ProcessGroup(rank, 3, {0: rendezvous.find_first(address, rank, 3, KEY)})
        others[rank].gather(f"rank {rank}")

    threads = [threading.Thread(target=come, args=(rank,)) for rank in (1, 2)]
    with besieged(address, kinds, tmp_path, EVERYONE):
        for thread in threads:
            thread.start()
        first = ProcessGroup(0, 3, rendezvous.await_others(address, 3, KEY))
        for thread in threads:
            thread.join()
    assert first.gather("rank 0") == ["rank 0", "rank 1", "rank 2"]
    assert len(loaded) == 2
    assert not list(tmp_path.glob("canary-*"))
    for one in (first, *others.values()):
        one.__exit__(None, None, None)


def test_a_stranger_is_dropped_after_a_while_and_of_too_many_the_oldest(monkeypatch):
    monkeypatch.setattr(reception, "_PENDING_SEC", 0.3)
    monkeypatch.setattr(reception, "_MOST_PENDING", 2)
    server = strangers.socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    with reception.Reception(server, 2, KEY) as door:
        callers = [strangers.call_on(address, "silent", "") for _ in range(3)]
        for _ in callers:
            door.serve(1)
        assert callers[0].recv(9) == b""
        for caller in callers[1:]:
            caller.settimeout(0.01)
            with pytest.raises(TimeoutError):
                caller.recv(9)
        time.sleep(0.3)
        door.serve(0.1)
        assert [caller.recv(9) for caller in callers[1:]] == [b"", b""]
        assert door.missing() == [1]
    for caller in callers:
        caller.close()


def test_garbage_is_dropped_at_its_first_bytes():
    server = strangers.socket.create_server(("127.0.0.1", 0))
    with (
        reception.Reception(server, 2, KEY) as door,
        strangers.socket.create_connection(server.getsockname()) as caller,
    ):
        caller.sendall(b"GET")
        door.serve(1)
        door.serve(1)
        assert caller.recv(9) == b""


def start_strangers(kind, pid, folder, *where):
    """The program that calls on every port of a process and its descendants. where: its namespace and the host."""
    folder.mkdir(exist_ok=True)
    inside, host = (["ip", "netns", "exec", where[0]], where[1:]) if where else ([], ())
    return subprocess.Popen([*inside, sys.executable, PROGRAM, kind, str(pid), folder, *host])


@contextlib.contextmanager
def called_on(*programs):
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def calls(folder):
    return sum(int(path.read_text() or 0) for path in folder.glob("called-*"))  # one may be being written


def await_end(process, seconds):
    """What a started script prints to its end, which comes within so many seconds."""
    too_late = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
    too_late.start()
    shown, _ = process.communicate()
    too_late.cancel()
    assert process.returncode != -signal.SIGKILL, f"it did not end within {seconds} s:\n{shown}"
    return shown


TRAIN = ("--nproc=2", "--threads=1", "--epoch=2", "--valid-interval=0", "--log-interval=1")


@pytest.mark.slow
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_strangers_before_and_during_the_start_do_not_keep_a_run_waiting(tmp_path, kind):
    fill(tmp_path)
    for _ in range(3):  # the ports are open for so short a time that all strangers may miss them
        process = start_script("train", *TRAIN, cwd=tmp_path)
        with called_on(start_strangers(kind, process.pid, tmp_path / "called")):
            shown = await_end(process, 45)  # for Paddle to be loaded, and to train or to give up after 15 s and 5 more
        assert not list((tmp_path / "called").glob("canary-*"))
        assert process.returncode == 0 or "error: " in shown, shown
        if calls(tmp_path / "called"):
            return
    pytest.fail("no stranger came to any port")


@pytest.mark.slow
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_strangers_after_the_start_change_nothing(tmp_path, kind):
    process = start_script("train", *TRAIN, cwd=fill(tmp_path))
    wait_for(process, "iter 1 ")
    (store,) = strangers.ports_of(process.pid)  # all that is open is Paddle's store
    with called_on(start_strangers(kind, process.pid, tmp_path / "called")):
        assert strangers.call_on(("127.0.0.1", store), kind, tmp_path / "called") is None
        shown = await_end(process, 90)
    assert not calls(tmp_path / "called")
    assert not list((tmp_path / "called").glob("canary-*"))
    assert process.returncode == 0, shown


class Nodes(NodesWithMaster):
    """The same with the addresses of both machines, so that Paddle's launcher opens no port."""

    def machines(self, node):
        return f"--ips 10.77.0.1,10.77.0.2 --start_port 6170 --host 10.77.0.{node + 1}"


@pytest.fixture
def besieged_nodes(clone, namespaces, tmp_path, request):  # noqa: F811
    """The first of two launches. ``besiege(kind, node)``: strangers in one namespace call on the ports of the other."""
    running = Nodes(clone, f"checkpoints/{request.node.name}", (0,))

    def besiege(kind, node):
        pid = running.launchers[node].pid
        return called_on(start_strangers(kind, pid, tmp_path, f"zoo{1 - node}", f"10.77.0.{node + 1}"))

    running.besiege = besiege
    yield running
    running.end()
    shutil.rmtree(clone / running.save_dir, ignore_errors=True)


def logs(nodes):
    return nodes.log(0) + nodes.log(1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_strangers_before_and_during_the_start_do_not_keep_two_machines_waiting(besieged_nodes, tmp_path, kind):
    deadline = time.monotonic() + 90
    with besieged_nodes.besiege(kind, 0):
        while not calls(tmp_path):
            assert time.monotonic() < deadline, logs(besieged_nodes)
            time.sleep(0.1)
        besieged_nodes.launchers.append(besieged_nodes.start(1))
        with besieged_nodes.besiege(kind, 1):
            while "iter 3 " not in besieged_nodes.log(0) and "error: " not in logs(besieged_nodes):
                assert time.monotonic() < deadline, logs(besieged_nodes)
                time.sleep(0.1)
            if "error: " in logs(besieged_nodes):
                assert all(besieged_nodes.await_end(30))
    assert not list(tmp_path.glob("canary-*"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_strangers_after_the_start_do_not_reach_two_machines(besieged_nodes, tmp_path, kind):
    besieged_nodes.launchers.append(besieged_nodes.start(1))
    besieged_nodes.await_steps()
    with besieged_nodes.besiege(kind, 0), besieged_nodes.besiege(kind, 1):
        steps = besieged_nodes.log(0).count("iter ")
        while besieged_nodes.log(0).count("iter ") < steps + 20:
            assert "error: " not in logs(besieged_nodes)
            time.sleep(0.1)
    assert not calls(tmp_path)
    assert not list(tmp_path.glob("canary-*"))
