"""Where lines go when standard output takes none: a run with a log goes on, any other ends with one line."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT

CODE = """
import logging, sys
from tools.runtime.entry import run_program
from tools.runtime.log import start_log

def main():
    start_log(*sys.argv[1:])
    for number in range(3):
        logging.getLogger("tools").info(f"line {number}")

run_program(main)
"""


def log_three_lines(output: str, *args) -> subprocess.CompletedProcess:
    command = f'exec "$0" -c "$1" "${{@:2}}" {output}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, CODE, *map(str, args)],
        cwd=PROJECT, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
def test_a_run_with_a_log_outlives_its_standard_output(tmp_path, output):
    result = log_three_lines(output, tmp_path, "run")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split(" ", 2)[2] for line in (tmp_path / "run.log").read_text().splitlines()] == [
        f"line {number}" for number in range(3)
    ]


def test_without_a_log_a_full_disk_is_one_line():
    result = log_three_lines(">/dev/full")
    assert result.returncode == 1
    assert result.stderr == "error: standard output cannot be written: [Errno 28] No space left on device\n"
