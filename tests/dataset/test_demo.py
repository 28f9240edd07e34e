"""What the makers of demo data share: a folder is finished or is made again, and every end is one line."""

import json
import signal
import subprocess
import sys
import time

import pytest

from dataset.demo import fill_folder, is_finished
from tests.conftest import PROJECT
from tools.errors import DataError

SCRIPTS = ["kinetics/make_demo.py", "youtube8m/make_demo.py"]


def test_a_folder_is_finished_when_its_block_has_ended(tmp_path):
    with fill_folder(tmp_path, 3):
        assert not is_finished(tmp_path, 3)
    assert is_finished(tmp_path, 3)
    assert not is_finished(tmp_path, 4)
    assert (tmp_path / "made.json").read_text() == '{"version": 3}\n'


@pytest.mark.parametrize("text", ["", "{}", "[]", "\0", json.dumps({"version": 2})])
def test_another_version_or_a_damaged_mark_does_not_count_as_finished(tmp_path, text):
    (tmp_path / "made.json").write_text(text)
    assert not is_finished(tmp_path, 3)


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path):
    with (
        pytest.raises(DataError, match=r"demo cannot be written: .*No space left on device"),
        fill_folder(tmp_path / "demo", 3),
    ):
        raise OSError(28, "No space left on device")
    assert not is_finished(tmp_path / "demo", 3)


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_is_one_line_and_leaves_nothing_half_written(script, tmp_path):
    folder = tmp_path / "demo"
    command = [sys.executable, PROJECT / "dataset" / script, folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (list(folder.rglob("*.mp4")) or list(folder.glob("*.pkl"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "stopped\n")
    assert not (folder / "made.json").exists()
    assert not list(folder.rglob(".*"))
