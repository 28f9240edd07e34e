"""Exported programs: whole or not kept, and only those used last."""

import contextlib
import fcntl
import os
import resource
import stat
import subprocess
import sys
import tempfile
import time

import paddle
import pytest

from tests.conftest import PROJECT
from tests.tools.inference.kept_programs import Small, require_same_answers
from tools.errors import CheckpointError
from tools.files.atomic import temporary_folder, temporary_path
from tools.inference.export import KEPT, PADDLE, exported_program, remove_unused
from tools.inference.predictor import Predictor


@contextlib.contextmanager
def disk_that_takes(bytes_a_file):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("bytes_a_file", [100, 2_000, 100_000, 360_000])
def test_a_program_that_the_disk_does_not_take_is_one_error_and_is_not_kept(programs, bytes_a_file):
    network = Small()
    with disk_that_takes(bytes_a_file), pytest.raises(CheckpointError) as error:
        Predictor(network, (300,), "fp32")
    message = str(error.value)
    assert message.startswith(f"{programs}: the program for the inference engine could not be written (")
    assert "--engine dygraph needs none, and PADDLE_VIDEO_PROGRAMS names another folder" in message
    assert "\n" not in message
    assert list(programs.iterdir()) == []
    require_same_answers(network, Predictor(network, (300,), "fp32"))  # once there is room


@pytest.mark.parametrize("error", [OSError, RuntimeError, SystemError])
def test_an_export_that_paddle_refuses_is_the_same_error(programs, error, monkeypatch):
    def refuse(*arguments, **options):
        raise error("(Unavailable) Cannot open model.json\n  [Hint: Expected fout]")

    monkeypatch.setattr(paddle.jit, "save", refuse)
    with pytest.raises(
        CheckpointError, match=r"could not be written \(\(Unavailable\) Cannot open model.json\); --engine"
    ):
        Predictor(Small(), (300,), "fp32")


KILLED = """
import os, sys
import tests.tuned_paddle
from dataclasses import replace
from pathlib import Path
from tests.tools.inference.kept_programs import Small
from tools.inference import export

done = export.write_program
def write(network, shape, folder):
    done(network, shape, folder)
    os.kill(os.getpid(), 9)

with export.exported_program(Small(), (300,), replace(export.PADDLE, write=write)):
    pass
"""


def test_what_a_killed_run_was_exporting_is_removed_by_the_next_one_and_what_others_export_stays(programs):
    environment = os.environ | {"PADDLE_VIDEO_PROGRAMS": str(programs)}
    command = [sys.executable, "-c", KILLED]
    assert subprocess.run(command, cwd=PROJECT, env=environment, check=False, timeout=120).returncode == -9
    (left,) = programs.iterdir()
    assert left.name.startswith(".export.tmp-")
    assert left.stat().st_mode & 0o777 == 0o700
    assert sum(path.stat().st_size for path in left.rglob("*")) > 300_000
    with temporary_folder(programs / "other"), temporary_path(programs / "export").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        others = {path.name for path in programs.iterdir()} - {left.name}
        with exported_program(Small(), (300,), PADDLE) as program:
            assert not left.exists()
        assert {path.name for path in programs.iterdir()} == {*others, program.name}


def test_without_a_folder_to_keep_it_a_program_is_gone_once_it_is_loaded(programs, log_lines):
    programs.write_text("a file")
    network = Small()
    predictor = Predictor(network, (300,), "fp32")
    assert list((programs.parent / "temporary").iterdir()) == []
    require_same_answers(network, predictor)
    assert f"{programs} cannot be written" in log_lines[0]
    assert "the exported program is not kept; PADDLE_VIDEO_PROGRAMS names another folder" in log_lines[0]


def test_without_a_home_that_can_be_written_a_program_is_exported_all_the_same(programs, tmp_path, monkeypatch):
    class Shifted(Small):  # one whose forward has not been exported yet
        def forward(self, x):
            return self.last(self.first(x)) + 1

    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PADDLE_VIDEO_PROGRAMS")
    network = Shifted()
    require_same_answers(network, Predictor(network, (300,), "fp32"))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert os.environ["HOME"] == str(tmp_path / "home")


def test_without_a_place_for_a_temporary_program_either_it_is_the_same_error(programs, monkeypatch):
    programs.write_text("a file")
    monkeypatch.setattr(tempfile, "tempdir", str(programs))
    with pytest.raises(CheckpointError, match="the program for the inference engine could not be written"):
        Predictor(Small(), (300,), "fp32")


def test_a_kept_program_is_as_open_to_others_as_the_umask_says(programs):
    before = os.umask(0o027)
    try:
        with exported_program(Small(), (300,), PADDLE) as program:
            assert stat.S_IMODE(program.stat().st_mode) == 0o750
    finally:
        os.umask(before)


def test_only_the_programs_used_last_are_kept_and_what_was_killed_long_ago_goes(tmp_path):
    now = time.time()
    names = [f"TSN-{i:024x}" for i in range(KEPT + 2)]
    for age, name in enumerate([*names, ".export-new", "mine"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").touch()
        os.utime(tmp_path / name, (now, now - 60 * age))
    (tmp_path / ".export-old").mkdir()
    os.utime(tmp_path / ".export-old", (now, now - 25 * 3600))
    remove_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[:KEPT], ".export-new", "mine"}
