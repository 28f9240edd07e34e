"""The page that a run keeps: it never ends a training, and is made of what was recorded."""

import json

import numpy as np
import pytest

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from metrics.kinetics import KineticsMetrics
from tests.conftest import PROJECT
from tools.config.load import load_config
from tools.inference.mistakes import WorstMistakes
from tools.registry import MODELS
from tools.runtime.log import record_event, start_log
from tools.training import run_page
from tools.training.checkpoint import CheckpointStore
from tools.training.options import TrainingOptions
from tools.training.report import RunReport
from tools.training.run_files import RunFiles


class NoDataset(list):
    notices = ("a notice",)


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path, "TSN")


@pytest.fixture
def report(files):
    """That of a run which has started and taken a step."""
    spec = MODELS.get("TSN")()
    config = load_config(str(PROJECT / "configs/demo/tsn.txt"), spec.schema, [], "TSN")
    store = CheckpointStore(str(files.folder), "TSN")
    start_log(str(files.folder), "TSN_train")
    report = RunReport(store, spec, config, TrainingOptions(ema=0.9, save_dir="x"), ["a"] * 6, "cpu")
    report.begin(resumed=None, processes=1, steps=3, datasets={"TRAIN": NoDataset(range(7))}, notices=["careful"])
    record_event("train_step", epoch=0, iter=0, loss=1.0, top1_acc=10.0, steps_taken=1)
    yield report
    store.close()


def validate(report, epoch):
    metric = KineticsMetrics(6)
    metric.update(np.eye(6), np.arange(6), loss=0.5)
    record_event("valid_epoch", epoch=epoch, videos=6, **metric.compute())
    report.keep(metric, WorstMistakes(), None, epoch=epoch)


def events_of(files, kind):
    events = [json.loads(line) for line in files.numbers.read_text().splitlines()]
    return [event for event in events if event["event"] == kind]


def test_a_start_is_recorded_with_all_that_it_goes_by(report, files):
    (start,) = events_of(files, "start")
    assert start["notices"] == ["careful", "[TRAIN] a notice"]
    assert start["flags"] == {"--ema": "0.9"}
    assert start["records"] == {"TRAIN": 7}
    assert start["environment"]["device"] == "cpu"
    assert {"Paddle", "NumPy", "processor", "threads", "processes"} <= start["environment"].keys()


def test_a_page_is_made_at_each_validation_and_at_the_end(report, files):
    validate(report, 0)
    report.write()
    assert "running when this page was written" in files.page.read_text()
    assert json.loads(files.validation.read_text())["epoch"] == 0
    validate(report, 1)
    report.write()
    assert json.loads(files.validation.read_text())["epoch"] == 1
    assert "By the last validation, epoch 1." in files.page.read_text()
    report.end("finished")
    assert "running when this page was written" not in files.page.read_text()
    assert "By the last validation, epoch 1." in files.page.read_text()


def test_what_was_skipped_is_recorded_when_it_has_become_more(report, files):
    for texts in ([], ["a"], ["a"], ["a", "b"]):
        report.skipped("VALID", texts)
    assert [event["texts"] for event in events_of(files, "skipped")] == [["a"], ["a", "b"]]


@pytest.mark.parametrize("error", [ValueError("two\nlines"), MemoryError(), ZeroDivisionError("x"), ImportError("no")])
def test_an_error_of_the_page_is_one_line_and_the_next_page_is_whole(report, files, log_lines, monkeypatch, error):
    def fail(run):
        raise error

    validate(report, 0)
    with monkeypatch.context() as patch:
        patch.setattr(run_page, "build_run_page", fail)
        report.write()
    (line,) = [line for line in log_lines if line.startswith("warning: ")]
    assert line.startswith(f"warning: the page {files.page} could not be made ({type(error).__name__}")
    assert "\n" not in line
    assert not files.page.exists()
    report.write()
    assert "By the last validation, epoch 0." in files.page.read_text()


def test_ctrl_c_while_a_page_is_made_is_not_swallowed(report, monkeypatch):
    def interrupt(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_page, "build_run_page", interrupt)
    with pytest.raises(KeyboardInterrupt):
        report.write()


def test_a_page_that_cannot_be_written_is_one_line(report, files, log_lines):
    files.page.mkdir()
    report.write()
    assert any("could not be written" in line for line in log_lines)
    assert list(files.page.iterdir()) == []


def test_a_damaged_file_of_the_last_validation_is_told_on_the_page_and_written_anew(report, files):
    files.validation.write_text("{")
    report.write()
    assert "is not what train.py writes" in files.page.read_text()
    validate(report, 0)
    report.write()
    assert "is not what train.py writes" not in files.page.read_text()
    assert json.loads(files.validation.read_text())["epoch"] == 0


def test_processes_but_the_first_make_no_page(tmp_path):
    report = RunReport(None, None, None, TrainingOptions(), None, "cpu")
    report.begin(resumed=None, processes=2, steps=3, datasets={}, notices=[])
    report.skipped("TRAIN", ["a"])
    report.keep(None, WorstMistakes(), None, epoch=0)
    report.write()
    report.end("finished")
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_jinja_is_one_line_that_says_how_to_install_it(report, log_lines, monkeypatch):
    def fail(run):
        raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")

    monkeypatch.setattr(run_page, "build_run_page", fail)
    report.write()
    assert log_lines[-1].endswith('could not be made (Jinja2 is not installed; python -m pip install "Jinja2>=3.0")')
