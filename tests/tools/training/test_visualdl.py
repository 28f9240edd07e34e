"""--visualdl: scalars of what a run records, where the package is installed."""

import sys
import types
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.tools.runtime.test_packages import run_with
from tools.errors import ConfigError, PackageError
from tools.runtime.log import record_event, start_log
from tools.training.visualdl import NAME, require_visualdl, write_scalars


class FakeWriter:
    """Takes the part of visualdl.LogWriter that is used; prints when it goes on in a file, as VisualDL 2.5.3 does."""

    made = ()

    def __init__(self, logdir, file_name):
        self.path, self.scalars, self.closed = Path(logdir, file_name), [], False
        if self.path.exists():
            print("exists, VisualDL will add logs to it")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        FakeWriter.made = (*FakeWriter.made, self)

    def add_scalar(self, tag, value, step):
        assert "%" not in tag  # VisualDL refuses it
        self.scalars.append((tag, value, step))

    def close(self):
        self.closed = True


@pytest.fixture
def writers(monkeypatch):
    module = types.ModuleType("visualdl")
    module.LogWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "visualdl", module)
    monkeypatch.setattr(FakeWriter, "made", ())
    start_log()
    return lambda: FakeWriter.made


def record_run(resumed=None):
    record_event("start", resumed=resumed)
    record_event("train_step", epoch=1, iter=2, loss=0.5, gap=0.25, learning_rate=0.1, steps_taken=23)
    record_event("train_epoch", epoch=1, loss=9.0)
    record_event("valid_epoch", epoch=1, videos=60, loss=float("nan"), gap=0.5)
    record_event("valid_epoch", epoch=1, averaged=True, videos=60, gap=0.75)


def test_loss_rate_and_scores_are_written_by_step_and_by_epoch(writers, tmp_path):
    with write_scalars(tmp_path, "TSN"):
        record_run()
    record_run()  # heard no more
    (writer,) = writers()
    assert writer.path == tmp_path / "TSN" / NAME
    assert writer.scalars == [
        ("train/loss", 0.5, 23), ("train/gap", 0.25, 23), ("train/learning_rate", 0.1, 23),
        ("valid/gap", 0.5, 1), ("valid averaged/gap", 0.75, 1),
    ]  # fmt: skip
    assert writer.closed


def test_a_resumed_run_goes_on_in_its_file_and_a_new_one_moves_it_aside(writers, tmp_path, capsys):
    for resumed in (None, "TSN_epoch0"):
        with write_scalars(tmp_path, "TSN"):
            record_run(resumed)
    assert [path.name for path in tmp_path.iterdir()] == ["TSN"]
    assert capsys.readouterr().out == ""
    for _ in range(2):
        with write_scalars(tmp_path, "TSN"):
            record_run()
    aside = sorted(path.name for path in tmp_path.iterdir())
    assert len(aside) == 3
    assert aside[0] == "TSN"
    assert all(name.startswith("TSN_before_") for name in aside[1:])


def test_an_error_of_visualdl_is_one_line_and_ends_no_training(writers, tmp_path, log_lines, monkeypatch):
    def fail(self, *scalar):
        raise OSError("disk full")

    monkeypatch.setattr(FakeWriter, "add_scalar", fail)
    with write_scalars(tmp_path, "TSN"):
        record_run()
        record_run()
    assert log_lines == [f"warning: no more scalars for VisualDL in {tmp_path}: OSError: disk full"]


def test_without_a_folder_nothing_is_imported_or_written(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "visualdl", None)
    with write_scalars(None, "TSN"):
        record_run()
    with pytest.raises(PackageError, match=r"python -m pip install -r requirements-visualdl\.txt"):
        require_visualdl(tmp_path)


def test_a_folder_that_cannot_be_written_is_told_at_the_start(writers, tmp_path):
    require_visualdl(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--visualdl .*file cannot be written"):
        require_visualdl(tmp_path / "file")


def test_a_run_that_asks_for_it_without_the_package_is_one_line_at_its_start(tmp_path):
    (tmp_path / "visualdl.py").write_text("raise ModuleNotFoundError('No module named visualdl', name='visualdl')")
    flags = ["--model-name=TSN", f"--config={PROJECT}/configs/demo/tsn.txt", f"--visualdl={tmp_path}/scalars"]
    result = run_with(tmp_path, ["train.py"], *flags, f"--save-dir={tmp_path}/saved")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "error: --visualdl: VisualDL is not installed; python -m pip install -r requirements-visualdl.txt, or leave "
        "the flag out\n"
    )
    assert not (tmp_path / "saved").exists()


def test_what_is_written_can_be_read_by_visualdl_itself(tmp_path):
    visualdl = pytest.importorskip("visualdl", reason="VisualDL is not installed")
    start_log()
    for resumed in (None, "TSN_epoch1"):
        with write_scalars(tmp_path, "TSN"):
            record_run(resumed)
    reader = visualdl.LogReader(file_path=str(tmp_path / "TSN" / NAME))
    assert [(one.id, one.value) for one in reader.get_data("scalar", "train/loss")] == [(23, 0.5)] * 2
    assert [(one.id, one.value) for one in reader.get_data("scalar", "valid averaged/gap")] == [(1, 0.75)] * 2
