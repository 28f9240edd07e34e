"""tools/distributed/launcher.py with programs that need no Paddle: who is started, and how all of them end."""

import ctypes
import inspect
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import PROJECT, clean_env
from tools.distributed import launcher
from tools.distributed.launcher import Processes, plan_processes
from tools.errors import ConfigError
from tools.runtime.memory import gpu_bytes

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {project!r})
from tools.distributed import launcher
from tools.runtime.entry import run_program
from tools.errors import DataError, PeerError

def main():
    launcher._GRACE_SEC = float(os.environ.get("GRACE_SEC", "1"))
    planned = launcher.plan_processes(3, use_gpu=False)
    if planned.to_start:
        return launcher.launch(planned, Path("logs"))
    launcher.follow_launcher()
    rank = planned.rank
    Path(f"process{{rank}}.new").write_text(str(os.getpid()))
    Path(f"process{{rank}}.new").rename(f"process{{rank}}")
    if rank == 0:
        while not all(Path(f"process{{other}}").exists() for other in (1, 2)):
            time.sleep(0.01)
        print("all are there", flush=True)
{act}

run_program(main)
"""


def write_program(folder, *lines):
    """A program that starts three processes, each of which tells its number and then does what the lines say."""
    act = "\n".join(f"    {line}" for line in lines)
    (folder / "program.py").write_text(PROGRAM.format(project=str(PROJECT), act=act))
    return [sys.executable, "program.py"]


def run_program(folder, *lines):
    command = write_program(folder, *lines)
    return subprocess.run(command, cwd=folder, env=clean_env(), capture_output=True, text=True, timeout=30, check=False)


def start_program(folder, *lines):
    """Start it and wait until all three are there."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(write_program(folder, *lines), cwd=folder, env=clean_env(), **pipes)
    assert process.stdout.readline() == "all are there\n"
    return process


def require_none_left(folder):
    """Raise unless all three processes end within ten seconds."""
    numbers = [int((folder / f"process{rank}").read_text()) for rank in range(3)]
    deadline = time.monotonic() + 10
    while left := [number for number in numbers if is_running(number)]:
        assert time.monotonic() < deadline, f"{left} are left"
        time.sleep(0.05)


def is_running(number):
    """Whether there is such a process, and not only its end that nobody has asked for."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_error_of_another_process_is_told_once_and_ends_those_that_wait(tmp_path):
    result = run_program(tmp_path, "if rank == 1:", "    raise DataError('clip 7 is broken')", "time.sleep(60)")
    assert result.returncode == 1
    assert result.stderr == "error: clip 7 is broken\nrank 1 of 3 ended with exit code 1\n"
    assert "error: clip 7 is broken" in (tmp_path / "logs/rank1.log").read_text()
    require_none_left(tmp_path)


@pytest.mark.parametrize("slowest", [0, 1])
def test_an_error_that_all_have_is_told_by_the_first_alone(tmp_path, slowest):
    result = run_program(tmp_path, f"time.sleep(0.5 * (rank == {slowest}))", "raise DataError('no such list')")
    assert (result.returncode, result.stderr) == (1, "error: no such list\n")


def test_what_the_first_process_was_told_is_not_told_again_and_the_exit_code_is_that_of_the_one_at_fault(tmp_path):
    act = ["if rank == 1:", "    raise DataError('a clip')", "raise PeerError('rank 1 of 3: a clip')"]
    result = run_program(tmp_path, *act)
    assert (result.returncode, result.stderr) == (1, "error: rank 1 of 3: a clip\n")


def test_a_traceback_of_another_process_is_shown(tmp_path):
    result = run_program(tmp_path, "if rank == 2:", "    [][0]", "time.sleep(60)")
    assert result.returncode == 1
    assert "IndexError: list index out of range\nrank 2 of 3 ended with exit code 1\n" in result.stderr
    assert result.stderr.count("Traceback") == 1


@pytest.mark.parametrize("start", ["error: ", ""])
def test_what_a_process_printed_moves_no_cursor(tmp_path, start):
    said = f"{start}clip \x1b[2J\x85\u2028\n".encode()
    result = run_program(tmp_path, "if rank == 1:", f"    os.write(2, {said!r})", "    os._exit(1)", "time.sleep(60)")
    assert result.stderr == rf"{start}clip \x1b[2J\x85\u2028" + "\nrank 1 of 3 ended with exit code 1\n"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_is_named(tmp_path, rank):
    process = start_program(tmp_path, "time.sleep(60)")
    os.kill(int((tmp_path / f"process{rank}").read_text()), signal.SIGKILL)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 137
    assert errors == f"error: rank {rank} of 3 was ended by SIGKILL; perhaps the memory ran out\n"
    require_none_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT])
def test_a_launcher_that_is_killed_leaves_no_process_behind(tmp_path, number):
    process = start_program(tmp_path, "time.sleep(60)")
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == -number
    require_none_left(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_passed_on_once_and_its_exit_code_is_that_of_a_shell(tmp_path, number, code):
    count = "open(f'heard{rank}', 'a').write('x')"
    act = [f"signal.signal({int(number)}, lambda *_: {count})", "Path(f'ready{rank}').touch()"]
    process = start_program(tmp_path, *act, "signal.pause()", f"return {code}")
    while not all((tmp_path / f"ready{rank}").exists() for rank in range(3)):
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, "")
    assert [(tmp_path / f"heard{rank}").read_text() for rank in range(3)] == ["x"] * 3


def test_a_signal_that_comes_before_a_process_could_say_so_is_a_line(tmp_path):
    act = ["signal.signal(signal.SIGTERM, signal.SIG_DFL)", "Path(f'ready{rank}').touch()", "time.sleep(60)"]
    process = start_program(tmp_path, *act)
    while not all((tmp_path / f"ready{rank}").exists() for rank in range(3)):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "stopped\n")


@pytest.mark.parametrize("deaf", ["rank", "True"])
def test_a_second_ctrl_c_ends_those_that_do_not_hear_the_first(tmp_path, monkeypatch, deaf):
    monkeypatch.setenv("GRACE_SEC", "60")
    act = [f"if {deaf}:", "    signal.signal(signal.SIGINT, signal.SIG_IGN)", "Path(f'ready{rank}').touch()"]
    process = start_program(tmp_path, *act, "while True:", "    time.sleep(60)")
    while not all((tmp_path / f"ready{rank}").exists() for rank in range(3)):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "stopped\n")
    require_none_left(tmp_path)


def test_a_reader_that_goes_away_as_head_does_ends_all(tmp_path):
    process = start_program(tmp_path, "while True:", "    print('line' * 1000, flush=True)", "    time.sleep(0.01)")
    process.stdout.close()
    assert process.wait(timeout=20) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    process.stderr.close()
    require_none_left(tmp_path)


def test_logs_that_cannot_be_written_are_one_error(tmp_path):
    (tmp_path / "logs").write_text("a file")
    result = run_program(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: 3 processes cannot be started with logs in logs: ")
    assert result.stderr.count("\n") == 1


@pytest.fixture
def alone(monkeypatch):
    """An environment that no launcher has set."""
    for name in [name for name in os.environ if name.startswith("PADDLE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("asked", "use_gpu", "gpus", "planned"),
    [
        (None, True, 0, Processes()),
        (None, True, 1, Processes(on_gpus=True)),
        (None, True, 4, Processes(world=4, on_this_machine=4, to_start=True, on_gpus=True)),
        (2, True, 4, Processes(world=2, on_this_machine=2, to_start=True, on_gpus=True)),
        (1, True, 4, Processes()),
        (2, True, 0, Processes(world=2, on_this_machine=2, to_start=True)),
        (None, False, 4, Processes()),
        (8, False, 4, Processes(world=8, on_this_machine=8, to_start=True)),
    ],
)
def test_there_is_one_process_for_each_gpu_unless_told_otherwise(alone, monkeypatch, asked, use_gpu, gpus, planned):
    monkeypatch.setattr(launcher, "gpu_bytes", lambda: [1 << 30] * gpus)
    assert plan_processes(asked, use_gpu) == planned


def test_more_processes_than_gpus_are_an_error(alone, monkeypatch):
    monkeypatch.setattr(launcher, "gpu_bytes", lambda: [1 << 30] * 2)
    with pytest.raises(ConfigError, match=r"--nproc 3: 2 GPUs are visible; CUDA_VISIBLE_DEVICES says which"):
        plan_processes(3, use_gpu=True)


def test_what_another_launcher_set_is_followed_and_nproc_beside_it_is_an_error(alone, monkeypatch):
    values = {"PADDLE_TRAINER_ID": "5", "PADDLE_TRAINERS_NUM": "8", "PADDLE_LOCAL_SIZE": "4"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert plan_processes(None, use_gpu=True) == Processes(rank=5, world=8, on_this_machine=4)
    with pytest.raises(ConfigError, match="--nproc 4: this is one of 8 processes that a launcher started"):
        plan_processes(4, use_gpu=True)


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("", "2"), ("0", "two"), ("-1", "2")])
def test_an_environment_that_no_launcher_makes_is_an_error(alone, monkeypatch, rank, world):
    monkeypatch.setenv("PADDLE_TRAINER_ID", rank)
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", world)
    with pytest.raises(ConfigError, match=f"the environment has PADDLE_TRAINER_ID={rank}, PADDLE_TRAINERS_NUM={world}"):
        plan_processes(None, use_gpu=False)


@pytest.mark.parametrize("on_gpus", [True, False])
def test_each_process_finds_its_place_and_its_gpu_in_its_environment(on_gpus):
    planned = Processes(world=3, on_this_machine=3, to_start=True, on_gpus=on_gpus)
    environments = launcher._environments(planned)
    endpoints = [environment["PADDLE_CURRENT_ENDPOINT"] for environment in environments]
    assert len({*endpoints, environments[0]["PADDLE_MASTER"]}) == 4  # ports of their own
    for rank, environment in enumerate(environments):
        assert environment["PADDLE_TRAINER_ID"] == environment["PADDLE_LOCAL_RANK"] == str(rank)
        assert environment["PADDLE_TRAINERS_NUM"] == environment["PADDLE_LOCAL_SIZE"] == "3"
        assert environment["PADDLE_TRAINER_ENDPOINTS"].split(",") == endpoints
        assert environment["PADDLE_MASTER"] == environments[0]["PADDLE_MASTER"]
        assert environment.get("FLAGS_selected_gpus") == (str(rank) if on_gpus else None)
        assert environment.get("PADDLE_DISTRI_BACKEND") == (None if on_gpus else "gloo")
        assert environment["PATH"] == os.environ["PATH"]


class Driver:
    """Stands in for libcuda.so.1. failure, silent: what cuInit and the question for the memory return."""

    def __init__(self, count, failure=0, silent=0):
        self.count, self.failure, self.silent = count, failure, silent

    def cuInit(self, flags):  # noqa: N802
        return self.failure

    def cuDeviceGetCount(self, pointer):  # noqa: N802
        pointer._obj.value = self.count
        return 0

    def cuDeviceGet(self, pointer, number):  # noqa: N802
        pointer._obj.value = number
        return 0

    def cuDeviceTotalMem_v2(self, pointer, device):  # noqa: N802
        pointer._obj.value = (device.value + 1) << 30
        return self.silent


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (Driver(3), [1 << 30, 2 << 30, 3 << 30]),
        (Driver(2, silent=1), [0, 0]),
        (Driver(3, failure=100), []),
        (None, []),
    ],
)
def test_gpus_and_their_memory_are_known_by_their_driver_where_paddle_is_built_for_them(monkeypatch, driver, found):
    def load(name):
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(metadata, "version", lambda name: "3.3.1")
    assert gpu_bytes() == found

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert gpu_bytes() == []


def test_planning_leaves_paddle_alone_so_that_the_cpu_can_be_tuned_where_there_is_one_gpu():
    code = (
        "import ctypes, sys; from importlib import metadata\n"
        f"{inspect.getsource(Driver)}\n"
        "metadata.version = lambda name: '3.3.1'; ctypes.CDLL = lambda name: Driver(1)\n"
        "from tools.distributed.launcher import plan_processes\n"
        "planned = plan_processes(None, True)\n"
        "assert planned.on_gpus and not planned.to_start and 'paddle' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=clean_env(), check=True)
