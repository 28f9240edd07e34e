"""Where lines go when standard output takes none: a run with a log goes on, any other ends with one line."""

import logging
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tools.runtime.log import record_event, restart_files, start_log, stop_log
from tools.runtime.tables import format_columns

CODE = """
import logging, sys
from tools.runtime.entry import run_program
from tools.runtime.log import start_log

def main():
    start_log(*sys.argv[1:])
    for number in range(3):
        logging.getLogger("tools").info(f"line {number}")

run_program(main, output_needed=False)
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


HOSTILE = "a\x1b[31m\n\u202eb\x9b 猫 e\u0301 می\u200cدود \U0001f600"
HARMLESS = "a\\x1b[31m\\n\\u202eb\\x9b 猫 e\u0301 می\u200cدود \U0001f600"


def test_names_in_lines_move_no_cursor_and_tables_keep_their_lines(tmp_path, capsys):
    start_log(str(tmp_path), "run")
    log = logging.getLogger("tools")
    log.info(f"{HOSTILE}: {HOSTILE}")
    log.info(format_columns([["a", "b"], ["c", "\x1b"]]))
    stop_log()
    expected = f"{HARMLESS}: {HARMLESS}\na  b\nc  \\x1b\n"
    assert capsys.readouterr().out == expected
    assert [line.split(" ", 2)[-1] for line in (tmp_path / "run.log").read_text().splitlines()][:2] == [
        f"{HARMLESS}: {HARMLESS}",
        "a  b",
    ]


def test_without_a_log_a_full_disk_is_one_line():
    result = log_three_lines(">/dev/full")
    assert result.returncode == 1
    assert result.stderr == "error: standard output cannot be written: [Errno 28] No space left on device\n"


def test_a_log_whose_files_were_moved_goes_on_in_new_ones_with_all_its_lines(tmp_path):
    (tmp_path / "run.log").write_text("of an earlier run, cut")
    start_log(str(tmp_path), "run", rank=0)
    log = logging.getLogger("tools")
    log.info("first")
    restart_files()  # nothing was moved
    assert len((tmp_path / "run.log").read_text().splitlines()) == 2
    (tmp_path / "away").mkdir()
    for name in ("run.log", "run.jsonl", "logs"):
        (tmp_path / name).rename(tmp_path / "away" / name)
    log.info("second")
    restart_files()
    log.info("third")
    record_event("begin")
    restart_files()
    stop_log()

    def lines(path):
        return [line.split(" ", 2)[2] for line in (tmp_path / path).read_text().splitlines()]

    assert (tmp_path / "away/run.log").read_text() == "of an earlier run, cut\n"
    assert lines("run.log") == lines("logs/rank0.log") == ["first", "second", "third"]
    assert (tmp_path / "away/logs/rank0.log").read_bytes() == (tmp_path / "away/run.jsonl").read_bytes() == b""
    assert (tmp_path / "run.jsonl").read_text().startswith('{"event": "begin"')


REDIRECTED = """
import os, sys
from pathlib import Path
from tools.runtime.log import restart_files, start_log

start_log(sys.argv[1], rank=1)
Path(sys.argv[1], "logs").rename(Path(sys.argv[1], "away"))
restart_files()
print("error: at the end", file=sys.stderr)
"""


def test_the_errors_of_a_process_follow_its_log(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/rank1.log").write_text("earlier\n")
    with open(tmp_path / "logs/rank1.log", "ab") as stderr:
        subprocess.run([sys.executable, "-c", REDIRECTED, str(tmp_path)], cwd=PROJECT, stderr=stderr, check=True)
    assert (tmp_path / "away/rank1.log").read_text() == "earlier\n"
    assert (tmp_path / "logs/rank1.log").read_text() == "error: at the end\n"


def test_a_closed_standard_error_has_no_bar_and_keeps_nobody_from_working(tmp_path):
    code = CODE.replace(
        "    for number",
        "    from tools.runtime.log import progress_bar\n    progress_bar(3, 0, 'x').update()\n    for number",
    )
    command = ["bash", "-c", 'exec "$0" -c "$1" "${@:2}" 2>&-', sys.executable, code, str(tmp_path), "run"]
    result = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (0, "line 0\nline 1\nline 2\n")
