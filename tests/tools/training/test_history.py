"""What is read of a run's .jsonl: killed runs, resumed ones, and files that somebody else has touched."""

import json
import math

import numpy as np
import pytest

from tests.tools.training.recorded_runs import START, epoch_of, events_of, step_of, valid_of
from tools.training.history import History


def write(path, events, end="\n"):
    path.write_text("\n".join(json.dumps(event) for event in events) + end)
    return path


def read(path):
    history = History(path)
    history.update()
    return history


def test_a_run_is_read_to_its_last_line(tmp_path):
    history = read(write(tmp_path / "a.jsonl", [{"event": "begin", "time": 1}, START, *events_of(range(3))]))
    assert history.steps.column("loss").tolist() == pytest.approx([1, 1 / 1.5, 1 / 2, 1 / 2.5, 1 / 3, 1 / 3.5])
    assert history.steps.taken()[0].tolist() == [1, 11, 21, 31, 41, 51]
    assert [one["epoch"] for one in history.epochs] == [0, 1, 2]
    assert [one["top1_acc"] for one in history.validations] == [55, 70, 77.5]
    assert history.end is None
    assert history.busy_sec == 1055 + 120 - 1000
    assert (history.damaged, history.earlier_runs) == (0, 0)


def test_reading_on_gives_what_reading_at_once_does(tmp_path):
    path, events = tmp_path / "a.jsonl", [START, *events_of(range(4)), {"event": "end", "reason": "finished"}]
    whole = "".join(f"{json.dumps(event)}\n" for event in events)
    history = History(path)
    for length in range(0, len(whole), 173):  # in the middle of lines too
        path.write_text(whole[:length])
        history.update()
        assert history.damaged <= 1
    path.write_text(whole)
    history.update()
    at_once = read(path)
    assert history.damaged == at_once.damaged == 0
    assert (history.epochs, history.validations, history.end) == (at_once.epochs, at_once.validations, at_once.end)
    for name, column in at_once.steps.values().items():
        np.testing.assert_array_equal(history.steps.column(name), column)


def test_a_run_that_went_back_has_its_later_steps_once(tmp_path):
    resumed = {**START, "resumed": "TSN_epoch1_step10", "time": 5000.0}
    again = [step_of(1, 10, loss=9.0), epoch_of(1), valid_of(1, 42.0), *events_of([2])]
    history = read(write(tmp_path / "a.jsonl", [START, *events_of(range(4)), resumed, *again]))
    assert history.steps.taken()[0].tolist() == [1, 11, 21, 31, 41, 51]
    assert history.steps.column("loss")[3] == 9
    assert [one["epoch"] for one in history.epochs] == [0, 1, 2]
    assert [one["top1_acc"] for one in history.validations] == [55, 42, 77.5]
    assert len(history.starts) == 2
    assert history.busy_sec < 2000  # not what lies between the starts


def test_scores_before_training_and_of_averaged_weights_stay_beside_those_of_the_epoch(tmp_path):
    events = [valid_of(-1, 10.0), *events_of([0]), valid_of(0, 50.0, averaged=True), *events_of([1])]
    history = read(write(tmp_path / "a.jsonl", events))
    assert [(one["epoch"], one["averaged"]) for one in history.validations] == [
        (-1, False), (0, False), (0, True), (1, False),
    ]  # fmt: skip


def test_a_line_that_a_kill_cut_is_passed_over_and_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", [*events_of([0]), step_of(1, 0)], end="")
    path.write_text(path.read_text()[:-20])
    assert read(path).damaged == 1
    assert len(read(path).steps) == 2
    path.write_text(path.read_text() + "\n" + json.dumps(step_of(1, 10)) + "\n")  # as a resumed run goes on
    history = read(path)
    assert (history.damaged, len(history.steps)) == (1, 3)


def test_runs_of_earlier_versions_in_one_file_are_told_apart_and_have_steps_at_estimated_places(tmp_path):
    old = [{key: value for key, value in event.items() if key != "steps_taken"} for event in events_of(range(2))]
    history = read(write(tmp_path / "a.jsonl", [*old, {"event": "begin"}, *old]))
    assert history.earlier_runs == 1
    assert [one["epoch"] for one in history.validations] == [0, 1]
    places, is_known = history.steps.taken()
    assert not is_known
    assert places.tolist() == [1, 11, 12, 22]


@pytest.mark.parametrize(
    "line",
    [
        "[1, 2]", "null", "7", '"text"', '{"event"', "\udcff\0", "[" * 100_000, '{"event": [], "epoch": {}}',
        '{"event": "train_step", "epoch": "1", "iter": 2}', '{"event": "train_step", "epoch": 1, "iter": null}',
        '{"event": "train_step", "epoch": 1, "iter": -1}', '{"event": "valid_epoch", "epoch": true}',
        '{"event": "valid_epoch", "epoch": 1e400}', f'{{"event": "valid_epoch", "epoch": {"9" * 400}}}',
        '{"event": "skipped", "texts": 5}', '{"event": "start", "time": "x", "flags": 3}', '{"time": {}}',
    ],
)  # fmt: skip
def test_no_line_that_somebody_wrote_ends_the_reading(tmp_path, line):
    path = write(tmp_path / "a.jsonl", events_of([0]))
    path.write_bytes(path.read_bytes() + line.encode("utf-8", "surrogateescape") + b"\n")
    history = read(path)
    assert len(history.steps) == 2
    assert len(history.epochs) == len(history.validations) == 1
    assert history.flags() == {}


def test_numbers_that_are_none_are_left_out(tmp_path):
    odd = step_of(0, 0, loss=math.nan, top1_acc="high", extra=True)
    steps = read(write(tmp_path / "a.jsonl", [odd, step_of(0, 10)])).steps
    assert np.isnan(steps.column("loss")).tolist() == [True, False]
    assert np.isnan(steps.column("top1_acc")).tolist() == [True, False]
    assert "extra" not in steps.values()


def test_numbers_that_no_run_measures_are_infinite(tmp_path):
    digits = "0" * 400
    numbers = f'"time": 1{digits}, "loss": -1e308, "n": 9{digits}'
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"event": "start", "time": 1}}\n{{"event": "train_step", "epoch": 0, "iter": 0, {numbers}}}\n')
    history = read(path)
    assert history.steps.column("loss").tolist() == [-math.inf]
    assert history.steps.column("n").tolist() == [math.inf]
    assert history.busy_sec == 0
