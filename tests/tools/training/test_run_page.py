"""The page of a training run, from runs of every kind."""

import re
import time

import pytest

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from tests.tools.pages.hostile import HOSTILE
from tests.tools.training.recorded_runs import START, events_of, make_validation, step_of, valid_of, write_run
from tools.errors import DataError
from tools.pages.page import render_page
from tools.pages.texts import show_text
from tools.training.run_files import load_run
from tools.training.run_page import build_run_page, find_best


def page_of(files) -> str:
    return render_page(build_run_page(load_run(files))).decode()


def sections_of(page):
    return re.findall(r'<section id="(\w+)"', page)


def words(page):
    """What a reader sees, without mark-up, a space between."""
    body = page[page.index("<body>") : page.rindex("<script>")]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_a_run_has_all_of_its_sections(tmp_path):
    events = [START, *events_of(range(3)), {"event": "skipped", "section": "VALID", "texts": ["a.mp4 is broken"]}]
    files = write_run(tmp_path, events, make_validation(2, ["one", "two"], 6), learning_rate=0.5)
    page = page_of(files)
    names = ["epochs", "steps", "scores", "classes", "mistakes", "warnings", "settings", "environment"]
    assert sections_of(page) == names
    text = words(page)
    assert "best top-1 accuracy 77.50 % epoch 2, 95 %: 72.5 to 82.5" in text
    assert "epochs done 3 of 9 running when this page was written, or killed since" in text
    assert "time taken 2 min 55 s until " in text
    assert "By the last validation, epoch 2." in text
    assert "All 6 classes, the worst first" in text
    assert "1 one" not in text
    assert "0 one 1 two" in text  # taken for
    assert "Skipped in VALID: 1 a.mp4 is broken" in text
    assert "[TRAIN] 6 classes" in text
    assert "TRAIN.learning_rate 0.5 0.01 - yes" in text
    assert "flags that are not as by default --ema 0.99" in text
    assert "python train.py --epoch=9" in text


def test_the_end_of_a_run_is_told(tmp_path):
    for reason in ("finished", "stopped by SIGINT", "early stop"):
        files = write_run(tmp_path, [START, *events_of(range(2)), {"event": "end", "time": 2000.0, "reason": reason}])
        text = words(page_of(files))
        assert f"epochs done 2 of 9 {reason}" in text
        assert "time taken 16 min 40 s Curves by epoch" in text  # without the time at which the page is made
    resumed = {**START, "resumed": "TSN_epoch1", "time": 3000.0}
    text = words(page_of(write_run(tmp_path, [START, *events_of(range(2)), {"event": "end", "reason": "x"}, resumed])))
    assert "running when this page was written" in text
    assert "Start 2" in text
    assert "from TSN_epoch1" in text


def test_the_best_epoch_is_that_of_the_trainer(tmp_path):
    scores = {0: (50.0, 55.0), 1: (70.0, 60.0), 2: (60.0, 60.0)}  # as trained, averaged: these choose
    events = [valid_of(-1, 99.0)]
    for epoch, (plain, averaged) in scores.items():
        events += [step_of(epoch, 0), valid_of(epoch, plain), valid_of(epoch, averaged, averaged=True)]
    best = find_best(load_run(write_run(tmp_path, events)))
    assert (best["epoch"], best["averaged"], best["top1_acc"]) == (1, True, 60.0)


def test_of_epochs_of_one_score_that_of_the_lowest_loss_is_the_best(tmp_path):
    losses = (2.0, 0.4, 0.3, 0.3, 0.5)
    events = [{**valid_of(epoch, 50.0), "loss": loss} for epoch, loss in enumerate(losses)]
    assert find_best(load_run(write_run(tmp_path, events)))["epoch"] == 2


def test_a_run_without_validation_settings_or_starts_has_what_there_is(tmp_path):
    old = [event for event in events_of(range(2)) if event["event"] != "valid_epoch"]
    files = write_run(tmp_path, [{k: v for k, v in event.items() if k != "steps_taken"} for event in old])
    page = page_of(files)
    assert sections_of(page) == ["epochs", "steps", "warnings", "settings"]
    assert "Their places are estimated" in words(page)
    assert "None, and nothing was skipped." in words(page)
    files.settings.unlink()
    page = page_of(files)
    assert sections_of(page) == ["epochs", "steps", "warnings"]
    assert "The settings are not known, nor the units of scores" in words(page)


def test_what_is_known_of_another_validation_than_the_last_is_not_shown(tmp_path):
    files = write_run(tmp_path, [START, *events_of(range(2))], make_validation(7, ["one"], 6))
    assert "classes" not in sections_of(page_of(files))
    files.validation.write_text('{"epoch": 1, "averaged": false}')
    page = page_of(files)
    assert "is not what train.py writes" in words(page)
    files.validation.write_bytes(b"\xff\xfe broken")
    assert "is not what train.py writes" in words(page_of(files))


def test_a_run_that_has_not_begun_is_one_line(tmp_path):
    files = write_run(tmp_path, [START])
    with pytest.raises(DataError, match=r"TSN_train\.jsonl holds no step and no score; the run has not begun to train"):
        load_run(files)


def test_names_of_classes_and_files_stay_text(tmp_path):
    events = [{**START, "notices": HOSTILE, "command": HOSTILE, "environment": dict.fromkeys(HOSTILE, HOSTILE[0])}]
    events += [*events_of(range(2)), {"event": "skipped", "section": HOSTILE[0], "texts": HOSTILE}]
    page = page_of(write_run(tmp_path, events, make_validation(1, HOSTILE, 30)))
    assert page.count("<script>") == 1
    assert not re.search(r"<img (?!src=\"data:image/jpeg;base64,)", page)
    assert "onerror=alert(2)&gt;" in page
    assert show_text("half \ud800 a pair \udcff") in page
    assert "\u202e" not in page


@pytest.mark.parametrize("num_classes", [2, 6, 400, 3862])
def test_a_page_stays_small_and_is_made_fast(tmp_path, num_classes):
    steps = range(0, 100, 10)
    files = write_run(tmp_path, [START, *events_of(range(1000), steps)], make_validation(999, HOSTILE, num_classes))
    run = load_run(files)
    began = time.process_time()
    data = render_page(build_run_page(run))
    assert time.process_time() - began < 5
    assert len(data) < 5_000_000
    assert f"All {num_classes:,} classes" in data.decode()
    assert "Many points: a line is the mean of up to" in data.decode()
