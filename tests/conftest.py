"""Small data in the YouTube-8M format, and a way to run scripts. Does not import Paddle: see tuned_paddle.py."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from tests.released_server import running_server
from tests.script_server import ScriptProcess, ScriptServer
from tests.watchdog import OF_A_WORKER, OF_OTHERS, Watchdog
from tools.runtime.log import collect_lines, stop_log

pytest.register_assert_rewrite(
    "tests.tools.files.small_archives",
    "tests.tools.files.tensorflow.goldens",
    "tests.tools.weights.released_cache",
)

# On a busy machine anything may take longer than Hypothesis waits for an example.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

PROJECT = Path(__file__).resolve().parents[1]

TINY_CONFIG = """
[MODEL]
name = "AttentionCluster"
drop_rate = 0.5
feature_num = 2
feature_names = ['rgb', 'audio']
feature_dims = [1024, 128]
seg_num = 8
cluster_nums = [2, 2]
num_classes = 12
topk = 5

[TRAIN]
epoch = 2
learning_rate = 0.001
batch_size = 8
filelist = "data/train.list"

[VALID]
batch_size = 8
filelist = "data/val.list"

[TEST]
batch_size = 8
filelist = "data/val.list"

[INFER]
batch_size = 4
filelist = "data/val.list"
"""


SCRIPTS = ScriptServer()
LONGEST = ("test_quickstart.py", "test_train.py", "test_clip_scripts.py", "test_readme.py", "test_golden.py")


def pytest_addoption(parser):
    parser.addoption("--decoder", choices=("pyav", "opencv"), default="pyav", help="opencv: as if PyAV were missing")


@pytest.fixture(scope="session", autouse=True)
def _decoder(request, tmp_path_factory):
    """With --decoder=opencv, hide PyAV from the project here and in programs; tests still make videos with it."""
    if request.config.getoption("--decoder") == "pyav":
        yield
        return
    from datareader.clips import decoding

    folder = tmp_path_factory.mktemp("hidden")
    (folder / "av.py").write_text("raise ModuleNotFoundError('PyAV is hidden', name='av')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "av", None)
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


def pytest_collection_modifyitems(config, items):
    """Start the longest files first, so that two processes end together."""
    if config.getoption("--decoder") == "opencv":
        skip = pytest.mark.skip(reason="is about PyAV")
        for item in items:
            if item.get_closest_marker("pyav"):
                item.add_marker(skip)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


WATCHDOGS = []  # of this process: one, or none where a person may look at a test for long
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ


def pytest_configure(config):
    # Ignored by what a shell starts with "&", or nohup, and so by its children.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    limit_sec = config.getoption("timeout")
    limit_sec = float(config.getini("timeout") if limit_sec is None else limit_sec)
    if limit_sec and not config.getoption("usepdb"):
        factor = OF_A_WORKER if IS_WORKER else OF_OTHERS
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            WATCHDOGS.append(Watchdog(factor * limit_sec))


def pytest_runtest_logstart(nodeid):
    for watchdog in WATCHDOGS:
        watchdog.tell(nodeid)


def pytest_unconfigure():
    SCRIPTS.close()
    if IS_WORKER:  # it stays, in silence, until xdist ends it with all others
        while WATCHDOGS:
            WATCHDOGS.pop().close()


def make_record(rng, name, num_classes=12, frames=None, labels=None):
    """One record with str keys. frames: 5 to 30 unless given."""
    frames = frames or int(rng.integers(5, 31))
    return {
        "video": name,
        "feature": rng.integers(0, 256, (frames, 1024), dtype=np.uint8),
        "audio": rng.integers(0, 256, (frames, 128), dtype=np.uint8),
        "label": labels or rng.choice(num_classes, 2, replace=False).tolist(),
        "nframes": frames,
    }


def write_pickles(folder, name, sizes, seed=0):
    """Files ``{name}{i}.pkl`` of so many records each, and their list ``{name}.list``."""
    rng = np.random.default_rng(seed)
    names = []
    for i, size in enumerate(sizes):
        records = [make_record(rng, f"{name}{i}_{j}") for j in range(size)]
        names.append(f"{name}{i}.pkl")
        (folder / names[-1]).write_bytes(pickle.dumps(records, protocol=4))
    path = folder / f"{name}.list"
    path.write_text("\n".join(names) + "\n")
    return path


@pytest.fixture
def log_lines():
    """A list that fills with the lines for people that are logged."""
    with collect_lines() as lines:
        yield lines


@pytest.fixture(autouse=True)
def _no_log_of_another_test():
    yield
    stop_log()


@pytest.fixture
def tiny(tmp_path):
    """A folder with tiny.txt and its data: 40 training records in 3 files, 21 for validation in 2."""
    data = tmp_path / "data"
    data.mkdir()
    write_pickles(data, "train", [15, 5, 20])
    write_pickles(data, "val", [10, 11], seed=1)
    (tmp_path / "tiny.txt").write_text(TINY_CONFIG)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder like ``tiny`` after one epoch of training, to be read only: 24 training records, 21 others."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data").mkdir()
    write_pickles(folder / "data", "train", [24])
    write_pickles(folder / "data", "val", [10, 11], seed=1)
    (folder / "tiny.txt").write_text(TINY_CONFIG)
    run_script("train", "--epoch=1", cwd=folder)
    return folder


@pytest.fixture
def trained_copy(trained, tmp_path):
    """A copy of ``trained`` that a test may change."""
    return shutil.copytree(trained, tmp_path / "copy")


def script_command(script, arguments, as_given=False):
    """A script of the project and its flags, with AttentionCluster on tiny.txt unless told otherwise."""
    if as_given:
        return [str(PROJECT / f"{script}.py"), *arguments]
    given = " ".join(arguments)
    defaults = [] if "--model-name" in given else ["--model-name=AttentionCluster"]
    defaults += [] if "--config" in given else ["--config=tiny.txt"]
    return [str(PROJECT / f"{script}.py"), *defaults, *arguments]


def run_script(script, *arguments, cwd, check=True, as_given=False):
    """Run a script of the project in a folder to its end; return its exit code and what it printed.

    as_given: add no flags, see ``script_command``.
    """
    command = script_command(script, arguments, as_given)
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        pid = SCRIPTS.start(command, cwd, clean_env(), stdout.fileno(), stderr.fileno())
        process = ScriptProcess(SCRIPTS, pid)
        process.communicate()
        texts = [file.seek(0) or file.read() for file in (stdout, stderr)]
    if check and process.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {process.returncode}:\n{texts[0]}{texts[1]}")
    return subprocess.CompletedProcess(command, process.returncode, *texts)


def start_script(script, *arguments, cwd):
    """Start a script of the project in a folder; its output and errors can be read from ``stdout``."""
    reading, writing = os.pipe()
    try:
        pid = SCRIPTS.start(script_command(script, arguments), cwd, clean_env(), writing, writing)
    finally:
        os.close(writing)
    return ScriptProcess(SCRIPTS, pid, open(reading))


TUNED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads", "MKL_DEBUG_CPU_TYPE")
# For the processes of xdist, which begin with the environment of one that may have been tuned.
BEFORE_TUNING = json.loads(
    os.environ.setdefault("CPU_BEFORE_TUNING", json.dumps({name: os.environ.get(name) for name in TUNED}))
)


def clean_env():
    """The environment as a user has it, without what tune_cpu set for this process."""
    return {key: value for key, value in (os.environ | BEFORE_TUNING).items() if value is not None}


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory):
    """The project as a fresh clone has it, with lists of a few records of 3862 classes for the default configs."""
    target = tmp_path_factory.mktemp("clone") / "zoo"
    made = shutil.ignore_patterns(
        ".git", ".venv", "__pycache__", ".*_cache", "checkpoints", "demo", "*.list", ".hypothesis"
    )

    def ignore(folder, names):
        return made(folder, names) - ({"demo"} if Path(folder).name == "configs" else set())

    shutil.copytree(PROJECT, target, ignore=ignore)
    data = target / "dataset" / "youtube8m"
    rng = np.random.default_rng(0)
    for name, count in (("train", 64), ("val", 8), ("test", 8), ("infer", 3)):
        records = [make_record(rng, f"{name}{i}", num_classes=3862) for i in range(count)]
        (data / f"{name}.pkl").write_bytes(pickle.dumps(records, protocol=4))
        (data / f"{name}.list").write_text(f"dataset/youtube8m/{name}.pkl\n")
    return target


def run_shell(command, cwd):
    """Run a line as a user would, with the Python of these tests first in the path; return its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = os.environ.get("OMP_NUM_THREADS", "1")  # this process's share of the machine
    env = {**clean_env(), "PATH": path, "PYTHON": sys.executable, "OMP_NUM_THREADS": threads}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(["bash", "-c", command], cwd=cwd, env=env, start_new_session=True, **pipes) as process:
        try:
            output, errors = process.communicate()
        except BaseException:  # a test that takes too long leaves nothing at work that the shell has started
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, f"{command}\n{output[-2000:]}{errors[-2000:]}"
    return output


@pytest.fixture
def server(monkeypatch):
    """A server of released weights without pages yet; programs and functions fetch from it."""
    monkeypatch.setenv("no_proxy", "*")
    with running_server() as running:
        monkeypatch.setenv("PADDLE_WEIGHTS_URL", running.url)
        yield running
