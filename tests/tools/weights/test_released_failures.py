"""Released weights where disks fill up and processes are killed or come in numbers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import PROJECT
from tests.released_server import Page
from tests.tools.files.small_archives import SAMPLE, archive_of, assert_complete
from tests.tools.weights.released_cache import ARCHIVE, PICKLE, SINGLE, UNPACKED, find, names_in

LIMITED = """
import resource, sys
from tools.files.fetch import RetryPolicy
from tools.weights.released import find_released
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    find_released("TSN", weights_dir=sys.argv[1], retry=RetryPolicy(delays_sec=()))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize("limit", [1000, 2000])
def test_a_disk_that_fills_up_is_one_error_and_a_later_run_succeeds(server, root, limit):
    archive = archive_of(("a", bytes(3000)), ("b", os.urandom(1500)))  # the limit hits the download or the unpacking
    server.pages[ARCHIVE] = Page(archive)
    command = [sys.executable, "-c", LIMITED, str(root / "cache"), str(limit)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.stderr.startswith(f"DownloadError: {root}/cache cannot hold the released weights of TSN: [Errno 27]")
    assert result.stderr.count("\n") == 1
    assert not (root / "cache" / "tsn_kinetics").exists()
    assert not (root / "cache" / ".tsn_kinetics.partial" / "unpacked").exists()
    assert_complete(find(root), archive)


# Runs find_released in child processes, each killed one file operation later than the one before, until one
# is not; after each a whole run has to succeed. Prints how many were killed.
KILLED_EVERYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
from tools.files.fetch import RetryPolicy
from tools.weights.released import CacheEntry, find_released

root, by_hand = Path(sys.argv[1]), sys.argv[2]
quick = RetryPolicy(delays_sec=(0.01, 0.01))

def run(cache):
    return find_released("TSN", weights_dir=str(cache), retry=quick)

def die_at(moment, cache):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if arguments and isinstance(arguments[0], (str, os.PathLike)) and str(arguments[0]).startswith(str(cache)):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for moment in range(1, 1000):
    cache = root / "cache" / str(moment)
    if by_hand:
        cache.mkdir(parents=True)
        shutil.copyfile(by_hand, cache / "tsn_kinetics.tar.gz")
    child = os.fork()
    if not child:
        die_at(moment, cache)
        run(cache)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found = CacheEntry.of("TSN", str(cache)).present()
    for path in (found, run(cache)):
        content = {file.name: file.read_bytes() for file in path.iterdir()} if path else None
        assert content in ({"a": b"1" * 500, "b": b"2" * 500}, None), (moment, content)
        assert path or path is found, moment
    names = {path.name for path in cache.iterdir()} - {"tsn_kinetics.tar.gz"}
    notes = {"tsn_kinetics.sums.json", "tsn_kinetics.tar.gz.sha256", ".tsn_kinetics.lock"}
    assert names == {"tsn_kinetics", *notes}, (moment, names)
    shutil.rmtree(cache)
    if not killed:
        break
print(moment)
"""


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_process_killed_at_any_file_operation_leaves_nothing_that_counts(server, root, by_hand):
    archive = archive_of(("tsn/a", b"1" * 500), ("tsn/b", b"2" * 500))
    server.pages[ARCHIVE] = Page(archive)
    (root / "cache").mkdir()
    (root / "cache" / "mine").write_bytes(archive)
    arguments = [str(root), str(root / "cache" / "mine") if by_hand else ""]
    command = [sys.executable, "-c", KILLED_EVERYWHERE, *arguments]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 15


@pytest.mark.parametrize("from_single", [False, True])
def test_a_link_in_the_place_of_the_working_folder_leads_nowhere(server, root, from_single):
    server.pages |= {SINGLE: Page(PICKLE)} if from_single else {ARCHIVE: Page(SAMPLE)}
    ours = root / "cache" / "ours"
    (ours / "unpacked").mkdir(parents=True)
    (ours / "unpacked" / "x").write_bytes(b"precious")
    (root / "cache" / ".tsn_kinetics.partial").symlink_to(ours)
    find(root)
    assert [path.name for path in ours.iterdir()] == ["unpacked"]
    assert (ours / "unpacked" / "x").read_bytes() == b"precious"
    assert not (root / "cache" / ".tsn_kinetics.partial").is_symlink()


def start_download(root, *arguments):
    command = [sys.executable, "-m", "tools.download", "TSN", f"--weights-dir={root}/cache", *arguments]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_part(root, process, size):
    part = root / "cache" / ".tsn_kinetics.partial" / "tsn_kinetics.tar.gz.part"
    for _ in range(1000):
        if part.exists() and part.stat().st_size >= size:
            return part
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    raise AssertionError("no part came")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_download_that_is_stopped_goes_on_later(server, root, number):
    server.pages[ARCHIVE] = Page(SAMPLE, hold=threading.Event())
    half = len(SAMPLE) // 2
    with start_download(root) as process:
        part = wait_for_part(root, process, half)
        process.send_signal(number)
        _, errors = process.communicate()
    server.pages[ARCHIVE].hold.set()
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert errors.endswith("" if number == signal.SIGKILL else "stopped\n")
    assert "Traceback" not in errors
    assert part.read_bytes() == SAMPLE[:half]
    assert not (root / "cache" / "tsn_kinetics").exists()
    assert_complete(find(root))
    assert server.requests == [(ARCHIVE, None), (ARCHIVE, f"bytes={half}-")]
    assert names_in(root) == [".tsn_kinetics.lock", *UNPACKED]


def test_of_several_processes_one_downloads_and_the_others_wait(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, hold=threading.Event())
    waiting = f"TSN: waiting for another process that is fetching it into {root}/cache"
    with start_download(root) as first:
        wait_for_part(root, first, 1)
        with start_download(root) as second, start_download(root) as third:
            others = [second, third]
            assert [process.stdout.readline() for process in others] == [f"{waiting}\n"] * 2
            server.pages[ARCHIVE].hold.set()
            rest = [process.communicate() for process in others]
            first.communicate()
    assert [process.returncode for process in (first, second, third)] == [0, 0, 0]
    assert rest == [(f"TSN: {root}/cache/tsn_kinetics\n", "")] * 2
    assert server.requests == [(ARCHIVE, None)]
    assert_complete(root / "cache" / "tsn_kinetics")


def test_a_note_that_is_not_ours_means_beginning_again(server, root):
    work = root / "cache" / ".tsn_kinetics.partial"
    for note in (b"", b"[1]", b'{"url": 1}', json.dumps({"url": "http://other/"}).encode()):
        work.mkdir(parents=True, exist_ok=True)
        (work / "tsn_kinetics.tar.gz.part").write_bytes(b"rubbish")
        (work / "tsn_kinetics.tar.gz.part.json").write_bytes(note)
        server.pages[ARCHIVE] = Page(SAMPLE)
        assert_complete(find(root))
        for file in (root / "cache" / "tsn_kinetics").iterdir():
            file.unlink()
