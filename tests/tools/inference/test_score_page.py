"""The page of a test: of clips and of features, of weights that say how they were trained and of others."""

import re

import pytest

from metrics.kinetics import KineticsMetrics
from tests.tools.inference.evaluated_runs import (
    count_clips,
    count_features,
    make_evaluated,
    make_scores,
    write_checkpoint,
)
from tests.tools.pages.hostile import HOSTILE
from tests.tools.training.test_run_page import sections_of, words
from tools.inference.score_page import build_score_page
from tools.pages.page import render_page

VALID = {"loss": 1.25, "top1_acc": 61.5, "top5_acc": 90.0, "top1_low": 55.0, "top1_high": 67.0}


def page_of(run, scores) -> str:
    return render_page(build_score_page(run, scores)).decode()


def test_a_test_of_clips_has_all_of_its_sections(tmp_path):
    described = write_checkpoint(
        tmp_path / "TSN_best", epoch=3, step=0, valid=VALID, versions={"project": "9.9", "format": 2}
    )
    run = make_evaluated("TSN", "TEST", ["one", "two"], 6, described, facts=[("device", "cpu")])
    scores = make_scores(count_clips(6), ["one", "two"], 6, broken=["a.mp4 is broken"], notices=["6 classes"])
    page = page_of(run, scores)
    assert sections_of(page) == [
        "scores", "classes", "confusions", "mistakes", "warnings", "differences", "settings", "environment",
    ]  # fmt: skip
    text = words(page)
    low, high = scores.metric.interval(scores.values)
    top1 = scores.values["top1_acc"]
    assert text.startswith(
        f"To the content TSN: test of checkpoints/TSN_best top-1 accuracy {top1:.2f} % 95 %: {low:.1f}"
    )
    assert f"top-1 accuracy {top1:.2f} % {low:.1f} to {high:.1f}" in text
    assert "videos 300 of 301 records" in text
    assert "list one.list" in text
    assert "protocol 1 clip, two" in text
    assert "trained epoch 2" in text
    assert "loss 1.25, top-1 accuracy 61.50 %, top-5 accuracy 90.00 %, 95 %: 55.0 to 67.0" in text
    assert "written by project 9.9, format 2" in text
    assert "All 6 classes" in text
    assert "Skipped: 1 record" in text
    assert "a.mp4 is broken" in text
    assert "All are as the checkpoint has them." in text
    assert "device cpu" in text
    settings = text[text.index("All settings in force") :]
    assert "TEST.short_size" in settings
    assert "TRAIN." not in settings


def test_the_classes_that_each_is_taken_for_stand_in_its_row_and_in_the_matrix():
    metric = KineticsMetrics(6)
    metric.counts[0] = [5, 4, 3, 2, 1, 0]
    metric.counts[3, 3], metric.counts[5, 0] = 7, 1
    metric.num_videos, metric.loss_sums = int(metric.counts.sum()), [1.0]
    names = ["a", "b", "c", "d", "e", "f"]
    text = words(page_of(make_evaluated("TSN", "TEST", names, 6), make_scores(metric, names, 6)))
    assert "0 a 15 33.3 % 1 b (4), 2 c (3), 3 d (2), 1 more 5 f (1)" in text
    assert "3 d 7 100.0 % 0 a (2)" in text
    assert "videos of 0 1 2 3 4 5 others videos 0 a 5 4 3 2 1 15" in text
    metric.counts[:] = 0
    metric.counts[2, 2] = metric.num_videos = 5
    page = page_of(make_evaluated("TSN", "TEST", names, 6), make_scores(metric, names, 6))
    assert "No class was taken for another." in words(page)
    assert 'data-matrix="' not in page


def test_clips_without_known_classes_have_no_matrix():
    metric = KineticsMetrics(6)
    metric.num_videos, metric.loss_sums = 3, [0.0]
    page = page_of(make_evaluated("TSN", "TEST", [], 6), make_scores(metric, ["x", "y"], 6))
    assert {"classes", "confusions"}.isdisjoint(sections_of(page))


def test_a_test_of_features_has_average_precisions_and_ids_and_no_matrix():
    names = ["Vehicle", "Game"]
    run = make_evaluated("AttentionCluster", "TEST", names, 20)
    page = page_of(run, make_scores(count_features(20), names, 20, with_frames=False))
    assert "confusions" not in sections_of(page)
    assert "<img" not in page
    text = words(page)
    assert text.startswith("To the content AttentionCluster: test of checkpoints/AttentionCluster_best GAP ")
    assert "average precision against the number of videos" in text
    assert "No interval is computed for these scores." in text
    assert "What the weights were trained with is not known: they do not say." in text


def test_settings_that_are_not_those_of_the_weights_are_told(tmp_path):
    described = write_checkpoint(tmp_path / "TSN_best", epoch=3, step=7)
    config = tmp_path / "TSN_best/config.txt"
    config.write_text(config.read_text().replace("short_size = 72", "short_size = 80").replace("size = 20", "size = 5"))
    run = make_evaluated("TSN", "TEST", [], 6, described)
    text = words(page_of(run, make_scores(count_clips(6), ["x", "y"], 6)))
    assert "TEST.batch_size 20 5 no TEST.short_size 72 80 yes" in re.sub(" TEST.num_reader_threads.*? no", "", text)
    assert "epoch 3, after 7 of its steps" in text
    config.write_text("[MODEL]\nnonsense = 1\n")
    text = words(page_of(run, make_scores(count_clips(6), ["x", "y"], 6)))
    assert "What the weights were trained with is not known: " in text


@pytest.mark.parametrize("names", [HOSTILE, ["abseiling"]])
def test_four_hundred_classes_fit_into_five_megabytes(names):
    run = make_evaluated("TSN", "TEST", names, 400)
    scores = make_scores(count_clips(400), [names[0], "x"], 400, broken=HOSTILE, notices=HOSTILE)
    assert len(render_page(build_score_page(run, scores))) < 5_000_000
