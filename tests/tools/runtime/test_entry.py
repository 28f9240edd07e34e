"""How programs begin and end, where standard output, or the one who started them, is not as usual."""

import signal
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, clean_env

PROGRAM = """
import os, signal, sys, time
from tools.errors import DataError
from tools.runtime.beginning import begin_program
from tools.runtime.entry import run_program
begin_program()

def main():
{act}

run_program(main, output_needed=False)
"""


def run(*lines, output="", before=""):
    """A program that does what the lines say, and how its shell treats it."""
    code = PROGRAM.format(act="\n".join(f"    {line}" for line in lines))
    command = ["bash", "-c", f'{before} exec "$0" -c "$1" {output}', sys.executable, code]
    env = {name: value for name, value in clean_env().items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_no_file_is_taken_for_a_standard_stream_that_is_closed(tmp_path, closed):
    """Else what Paddle's C++ part prints would be written into a checkpoint."""
    path = tmp_path / "file"
    result = run(f"with open({str(path)!r}, 'w') as file:", "    file.write(str(file.fileno()))", output=closed)
    assert (result.returncode, result.stderr) == (0, "")
    assert int(path.read_text()) > 2


def test_a_full_disk_below_standard_output_is_not_taken_for_that_of_a_file():
    lines = ["try:", "    print('x' * 100_000)", "except OSError as error:"]
    result = run(*lines, "    raise DataError(f'the folder cannot be written: {error}')", output=">/dev/full")
    assert result.returncode == 1
    assert result.stderr == "error: standard output cannot be written: [Errno 28] No space left on device\n"


HOSTILE = "a\x1b[31m\r\nerror: forged\x85\u2028\u202eb\x9b 猫"
HARMLESS = "a\\x1b[31m\\r\\nerror: forged\\x85\\u2028\\u202eb\\x9b 猫"


def test_what_is_printed_is_one_line_whatever_a_name_holds_and_a_table_keeps_its_lines():
    table = [
        "from tools.runtime.tables import Table, format_columns, join_lines",
        f"print(format_columns([['name', 'x'], [{HOSTILE!r}, 'y']]))",
        f"print(join_lines(['first', {HOSTILE!r}, Table('a\\nb')]))",
    ]
    result = run(f"print({HOSTILE!r}, {HOSTILE!r}, end='.\\n')", "print()", *table, f"raise DataError({HOSTILE!r})")
    rows = [f"{'name':<{len(HARMLESS) + 1}}  x", f"{HARMLESS}  y"]  # the cat is two columns wide
    assert result.stdout.split("\n") == [f"{HARMLESS} {HARMLESS}.", "", *rows, "first", HARMLESS, "a", "b", ""]
    assert result.stderr == f"error: {HARMLESS}\n"


def test_an_error_is_no_longer_than_anybody_reads():
    result = run("raise DataError('begin ' + 'x' * 10**6 + ' end')")
    assert result.stderr.startswith("error: begin xxx")
    assert result.stderr.endswith("xxx end\n")
    assert len(result.stderr) < 11_000


def test_an_error_where_all_streams_are_closed_still_has_its_exit_code():
    result = run("raise DataError('no room')", output=">&- 2>&-")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_line_and_lets_a_program_clean_up(number):
    result = run("try:", f"    signal.raise_signal({int(number)})", "finally:", "    print('cleaned up')")
    assert (result.returncode, result.stdout, result.stderr) == (128 + number, "cleaned up\n", "stopped\n")


def test_another_signal_does_not_wait_for_that():
    clean_up = ["finally:", "    signal.raise_signal(signal.SIGINT)", "    time.sleep(50)"]
    result = run("try:", "    signal.raise_signal(signal.SIGTERM)", *clean_up)
    assert (result.returncode, result.stderr) == (130, "stopped\n")


def test_what_a_signal_came_out_as_is_not_told():
    lines = ["try:", "    signal.raise_signal(signal.SIGINT)", "except KeyboardInterrupt:"]
    result = run(*lines, "    raise ImportError('numpy cannot be imported')")
    assert (result.returncode, result.stderr) == (130, "stopped\n")


def test_who_started_a_program_may_have_it_ignore_a_signal():
    result = run("signal.raise_signal(signal.SIGHUP)", "print('goes on')", before="trap '' HUP;")
    assert (result.returncode, result.stdout, result.stderr) == (0, "goes on\n", "")


def test_a_fault_of_the_program_is_told_as_such():
    result = run("[][0]")
    assert result.returncode == 1
    assert result.stderr.endswith("IndexError: list index out of range\n")


def test_an_error_is_one_line_whatever_a_file_is_called():
    result = run("raise DataError('a\\n\\x1b[31m\\u202e猫.mp4 is damaged')")
    assert (result.returncode, result.stderr) == (1, "error: a\\n\\x1b[31m\\u202e猫.mp4 is damaged\n")


def test_a_program_that_ends_well_does_what_was_put_off_and_takes_nothing_apart():
    result = run(
        "global kept",
        "import atexit, threading",
        "class Kept:",
        "    def __del__(self):",
        "        print('taken apart')",
        "kept = Kept()",
        "atexit.register(print, 'put off')",
        "threading.Thread(target=lambda: [time.sleep(0.3), print('from a thread')]).start()",
        "print('done')",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "done\nfrom a thread\nput off\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Unable to allocate 7.28 TiB for an array with shape (1000000000000,)", None),
        ("(ResourceExhausted) Fail to alloc memory of 8192000 size, error code is 12.\n [Hint: ...] (at a.cc:1)", None),
        (
            "\n\nC++ Traceback:\n0 AllocatorFacade::Alloc(...)\n\nOut of memory error on GPU 0. Cannot allocate 2GB "
            "memory on GPU 0, 15GB are taken.\n\nPlease check whether there is any other process using GPU 0.",
            "Out of memory error on GPU 0. Cannot allocate 2GB memory on GPU 0, 15GB are taken",
        ),
        ("", ""),
    ],
    ids=["NumPy", "Paddle", "Paddle on a GPU", "Python"],
)
def test_memory_that_runs_out_is_one_line(said, reason):
    result = run(f"raise MemoryError({said!r})")
    if said:
        assert run(f"raise OSError({said!r})").stderr == result.stderr  # as in a backward of Python
    reason = said.split("\n")[0].removesuffix(".") if reason is None else reason
    assert result.returncode == 1
    assert result.stderr == (
        f"error: memory ran out{': ' * bool(reason)}{reason}; smaller batches need less, and tools/troubleshooting.md "
        "says what else\n"
    )
