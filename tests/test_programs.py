"""Every program, from any folder: what it says where nobody can read it, and when it is stopped in its first second."""

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, clean_env, script_command
from tests.house import PROGRAMS, SCRIPTS, load_modules

DATASET = [
    module.path
    for module in load_modules(PROJECT)
    if module.name.startswith("dataset.") and "run_program(main" in module.path.read_text()
]
PATHS = [PROJECT / name.removesuffix(".__main__").replace(".", "/") for name in (*PROGRAMS, *SCRIPTS)]
COMMANDS = [*(path if path.is_dir() else path.with_suffix(".py") for path in PATHS), *DATASET]


def prints_what_it_is_for(path):
    """Whether a program is of no use without its output; others write files."""
    return "output_needed=False" not in (path if path.is_file() else path / "__main__.py").read_text()


every_program = pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(PROJECT)))
# Stands in for the first library that a program imports, and is in the middle of its import when a signal comes.
INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.{})\nraise ImportError('it is broken')\n"


def run(command, cwd, env=None, **options):
    env = clean_env() | (env or {})
    env.pop("PYTHONUNBUFFERED", None)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=env, text=True, check=False, timeout=120, **pipes
    )


def test_the_programs_of_dataset_are_found():
    assert len(DATASET) == 6


@every_program
def test_a_full_disk_is_one_line_from_any_folder(path, tmp_path):
    with open("/dev/full", "w") as full:
        result = run([path, "--help"], tmp_path, stdout=full)
    assert result.stderr == "error: standard output cannot be written: [Errno 28] No space left on device\n"
    assert result.returncode == 1


@every_program
def test_ctrl_c_during_the_imports_is_one_line(path, tmp_path):
    (tmp_path / "numpy.py").write_text(INTERRUPTED.format("SIGINT"))
    result = run([path], tmp_path, {"PYTHONPATH": str(tmp_path)})
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "stopped\n")


def test_sigterm_during_the_imports_is_one_line(tmp_path):
    (tmp_path / "numpy.py").write_text(INTERRUPTED.format("SIGTERM"))
    result = run([PROJECT / "test.py"], tmp_path, {"PYTHONPATH": str(tmp_path)})
    assert (result.returncode, result.stdout, result.stderr) == (143, "", "stopped\n")


@pytest.mark.slow
@every_program
def test_a_reader_that_has_gone_ends_a_program_in_silence(path, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        result = run([path, "--help"], tmp_path, stdout=pipe)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [*filter(prints_what_it_is_for, COMMANDS)], ids=lambda path: str(path.relative_to(PROJECT))
)
def test_a_program_that_prints_does_not_begin_where_its_output_is_closed(path, tmp_path):
    command = ["-c", "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])", path]
    result = run(command, tmp_path)
    assert result.stderr == "error: standard output cannot be written: [Errno 9] it is closed\n"
    assert result.returncode == 1


CLOSED = ["bash", "-c", 'exec "$0" "$@" >&-', sys.executable]


@pytest.mark.slow
def test_infer_goes_on_without_output_and_test_needs_a_file_for_its_scores(trained, tmp_path):
    weights = "--weights=checkpoints/AttentionCluster_best"

    def run_closed(*command):
        return subprocess.run(
            [*CLOSED, *command], cwd=trained, env=clean_env(), stderr=subprocess.PIPE, text=True, check=False
        )

    result = run_closed(*script_command("infer", [weights, f"--save-dir={tmp_path}"]))
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "AttentionCluster_infer_result.csv").exists()
    result = run_closed(*script_command("test", [weights]))
    assert (result.returncode, result.stderr) == (
        1,
        "error: standard output cannot be written: [Errno 9] it is closed\n",
    )
    result = run_closed(*script_command("test", [weights, f"--output={tmp_path}/scores.json"]))
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "scores.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("script", ["test", "infer"])
def test_a_signal_while_paddle_is_imported_is_one_line(trained, tmp_path, script, number):
    flags = [
        "--weights=checkpoints/AttentionCluster_best",
        f"--{'output' if script == 'test' else 'save-dir'}={tmp_path}/x",
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, *script_command(script, flags)]
    env = clean_env() | {"PYTHONUNBUFFERED": "1"}
    heard = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731  (also where nohup runs these tests)
    process = subprocess.Popen(command, cwd=trained, env=env, preexec_fn=heard, **pipes)
    assert "records in" in process.stdout.readline()  # the last thing before Paddle
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (128 + number, "stopped\n")
