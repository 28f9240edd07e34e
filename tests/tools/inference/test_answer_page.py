"""The page of an inference: whole videos, videos in spans, features, and so many that not all can be shown."""

import re
from pathlib import Path

import pytest

from tests.tools.inference.evaluated_runs import make_answers, make_evaluated
from tests.tools.pages.hostile import HOSTILE
from tests.tools.training.test_run_page import sections_of, words
from tools.inference import answer_page
from tools.inference.answer_cards import Budget
from tools.inference.answer_page import build_answer_page
from tools.inference.predictions import VideoClasses
from tools.pages.page import render_page
from tools.pages.pictures import MOST_BYTES


def page_of(answers, names=("one", "two"), num_classes=6, model="TSN") -> str:
    run = make_evaluated(model, "INFER", list(names), num_classes)
    return render_page(build_answer_page(run, answers, lambda: None)).decode()


def spans_of(path, class_ids, length=1.0):
    """Windows of a second, so many apart, whose best classes are these."""
    return [
        VideoClasses(path, path, None, [0.5, 0.25], [best, 5], length * i, length * i + 1, (30 * i, 30 * i + 7))
        for i, best in enumerate(class_ids)
    ]


def test_each_video_has_its_frames_and_its_classes_and_a_place_in_the_list(tmp_path):
    answers = make_answers(["a.mp4", "clips/b.mp4"], 6, tmp_path / "page.html", broken=["c.mp4 is broken"])
    page = page_of(answers)
    assert sections_of(page) == [
        "videos", "answers", "warnings", "origin", "differences", "settings", "environment",
    ]  # fmt: skip
    assert page.count("<img") == 6
    assert answers.dataset.asked == [("a.mp4", 3), ("clips/b.mp4", 3)]
    text = words(page)
    assert "TSN: classes of 2 videos videos 2 of 3 different best classes" in text
    for number, path in enumerate(("a.mp4", "clips/b.mp4")):
        assert f'<a href="#video-{number}"><bdi>{path}</bdi></a>' in page
        assert f'<li class="card" id="video-{number}">' in page
    assert "one 90.0 % two 45.0 % one 22.5 % two 11.2 % one 5.6 %" in text
    assert "Skipped: 1 record." in text
    assert "all answers TSN_infer_result.csv" in text
    assert 'data-timeline="' not in page


def test_one_video_needs_no_list_and_one_that_has_gone_has_its_classes(tmp_path):
    page = page_of(make_answers(["broken.mp4"], 6, tmp_path / "page.html"), names=[])
    assert "videos" not in sections_of(page)
    assert "<img" not in page
    assert "Its frames cannot be read any more: broken.mp4 is gone class 0 90.0 % class 1 45.0 %" in words(page)


def test_spans_make_a_timeline_and_neighbours_of_one_class_a_row_with_a_frame_that_the_network_saw(tmp_path):
    answers = make_answers(["films/a b.mp4"], 6, Path("out/page.html"), windows=1)
    answers.results[:] = spans_of("films/a b.mp4", [0, 0, 0, 2, 2, 0])
    page = page_of(answers, names=["cat", "dog", "cow"])
    assert answers.dataset.asked == [("films/a b.mp4", 3)]
    assert [int(number) for number in re.findall(r'alt="frame (\d+), ', page)] == [37, 127, 157]
    text = words(page)
    assert "0:00 to 0:03: cat 0:03 to 0:05: cow 0:05 to 0:06: cat" in text
    assert "cat 0:04 of 0:06 cow 0:02 of 0:06" in text
    assert "0:00 0:03 cat 50.0 % 3 0:03 0:05 cow 50.0 % 2 0:05 0:06 cat 50.0 % 1" in text
    assert re.findall(r'href="(\.[^"]*)"', page) == [f"../films/a%20b.mp4#t={start}" for start in (0, 3, 5)]
    assert page.count('data-timeline="') == 1


def test_windows_that_overlap_or_leave_gaps_take_no_time_of_others(tmp_path):
    for stride, expected in ((0.5, "cat 0:02 of 0:02.5 dog 0:00.5 of 0:02.5"), (2.0, "cat 0:03 of 0:07 dog 0:01")):
        answers = make_answers(["a.mp4", "b.mp4"], 6, tmp_path / "page.html", windows=1)
        answers.results[:] = spans_of("a.mp4", [0, 1, 0, 0], stride) + spans_of("b.mp4", [0])
        text = words(page_of(answers, names=["cat", "dog"]))
        assert expected in text
        length, share = ("0:02.5", "80") if stride < 1 else ("0:07", "43")
        assert f"a.mp4 {length} 4 cat {share} % 2 b.mp4 0:01 1 cat 100 % 1" in text


def test_a_long_video_shows_its_longest_stretches_and_says_where_the_others_are(tmp_path):
    answers = make_answers(["a.mp4"], 6, tmp_path / "page.html", windows=3000)
    text = words(page_of(answers))
    assert "3,000 windows; neighbours of the same best class are one." in text
    assert re.search(r"Frames are those of the 24 longest of \d+ stretches\.", text)
    assert re.search(r"The 200 longest of \d+ are shown; all of them are in TSN_infer_result_merged\.csv\.", text)
    assert answers.dataset.asked == [("a.mp4", 24)]


def test_features_have_ids_and_no_frames(tmp_path):
    answers = make_answers(["id00", "id<01>"], 20, tmp_path / "page.html", features=True)
    page = page_of(answers, model="AttentionCluster", num_classes=20)
    assert "<img" not in page
    assert answers.dataset.asked == []
    assert "id00 records.pkl 1 one 90.0 %" in words(page)
    assert '<h3 dir="auto">id&lt;01&gt;</h3>' in page


def test_what_is_left_out_of_very_many_videos_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(answer_page, "MOST_LISTED", 8)
    monkeypatch.setattr(answer_page, "MOST_SHOWN", 5)
    answers = make_answers([f"{i}.mp4" for i in range(9)], 6, tmp_path / "page.html", files=[Path("x.csv")])
    page = page_of(answers)
    assert (
        "Of 9 videos the first 8 are in this list, and the first 5 have more below; all answers are in x.csv."
    ) in words(page)
    assert page.count('href="#video-') == page.count('id="video-') == 5
    assert [path for path, _ in answers.dataset.asked] == [f"{i}.mp4" for i in range(5)]
    text = words(page)
    assert "7.mp4 " in text
    assert "8.mp4 " not in text


@pytest.mark.parametrize("num_videos", [1, 7, 60, 300, 1000])
def test_a_page_has_room_for_its_frames_whatever_the_number_of_videos(num_videos):
    for in_spans in (False, True):
        budget = Budget(num_videos, in_spans)
        assert budget.frame_bytes <= MOST_BYTES
        assert num_videos * budget.frames * budget.frame_bytes <= 3_000_000 + MOST_BYTES * budget.frames
        assert budget.frames >= 1
        assert budget.classes(0) == budget.classes(100) == (20 if num_videos <= 100 else 5)
        assert budget.classes(3) == 3


@pytest.mark.slow
def test_pages_of_very_many_videos_stay_bounded(tmp_path):
    paths = [f"clips/{HOSTILE[i % len(HOSTILE)]}_{i}.mp4" for i in range(8000)]
    for windows, most in ((0, 7_000_000), (30, 12_000_000)):
        answers = make_answers(paths, 400, tmp_path / "page.html", windows=windows)
        assert len(page_of(answers, HOSTILE, 400)) < most
