"""The server's answers are those of infer.py."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import run_script
from tests.tools.serve.conftest import FLAGS
from tests.tools.serve.readers import part_of
from tools.serve.answers import Findings

NAMES = ("one.mp4", "two.avi", "three.mp4", "p.pkl")


def infer(films, save_dir, *flags):
    """What infer.py writes of the films, by the name of their file."""
    names = "--class-names=names.txt"
    run_script("infer", *FLAGS, names, f"--save-dir={save_dir}", *flags, "--video", *NAMES, cwd=films)
    items = {}
    for item in json.loads((save_dir / "TSN_infer_result.json").read_text()):
        items.setdefault(item["path"], []).append(item)
    return items


@pytest.fixture(scope="module")
def expected(films, tmp_path_factory):
    return infer(films, tmp_path_factory.mktemp("whole"))


def assert_same_classes(found, expected):
    assert [(one["rank"], one["class_id"], one["name"]) for one in found] == [
        (one["rank"], one["class_id"], one["name"]) for one in expected
    ]
    probs = [[one["probability"] for one in classes] for classes in (found, expected)]
    np.testing.assert_allclose(*probs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_has_the_classes_that_infer_gives_it(server, films, expected, name):
    answer = server.send((films / name).read_bytes(), name=name)
    assert answer.status == 200
    assert_same_classes(answer.json["classes"], expected[name][0]["classes"])
    assert answer.json["model"] == "TSN"
    assert answer.json["id"] == ("p" if name == "p.pkl" else name)
    assert answer.json["seconds"] > 0
    assert server.uploads() == []


def test_an_upload_keeps_its_place_until_the_network_has_no_more_of_it():
    futures, calls = [Future(), Future()], []
    waiting = iter(futures)
    findings = Findings(SimpleNamespace(submit=lambda batch: next(waiting)))
    for _ in futures:
        findings.add(part_of(np.zeros((1, 3), np.uint8)))
    findings.when_done(lambda: calls.append("done"))
    futures[0].set_result(None)
    assert calls == []
    futures[1].set_result(None)
    assert calls == ["done"]


def test_a_raw_body_has_no_name_and_topk_says_how_many_classes(server, films, expected):
    answer = server.send((films / "one.mp4").read_bytes(), "topk=2").json
    assert answer["id"] is None
    assert_same_classes(answer["classes"], expected["one.mp4"][0]["classes"][:2])


def test_windows_have_the_times_and_classes_that_infer_gives_them(server, films, tmp_path):
    flags = ("--window-sec=1", "--stride-sec=0.5")
    names = ("two.avi", "three.mp4")
    run_script(
        "infer", *FLAGS, "--class-names=names.txt", f"--save-dir={tmp_path}", *flags, "--video", *names, cwd=films
    )
    items = json.loads((tmp_path / "TSN_infer_result.json").read_text())
    merged = json.loads((tmp_path / "TSN_infer_result_merged.json").read_text())
    for name in names:
        answer = server.send((films / name).read_bytes(), "window_sec=1&stride_sec=0.5&frames=1", name).json
        expected = [item for item in items if item["path"] == name]
        assert len(answer["windows"]) == len(expected)
        for window, item in zip(answer["windows"], expected, strict=True):
            assert (window["start_sec"], window["end_sec"]) == (item["start_sec"], item["end_sec"])
            assert_same_classes(window["classes"], item["classes"])
            assert window["frame"].startswith("data:image/jpeg;base64,")
        kept = ("start_sec", "end_sec", "class_id", "name", "spans")
        of_name = [item for item in merged if item["path"] == name]
        assert [[one[key] for key in kept] for one in answer["merged"]] == [
            [one[key] for key in kept] for one in of_name
        ]


def test_frames_are_those_that_the_network_saw(server, films):
    frames = server.send((films / "one.mp4").read_bytes(), "frames=1&topk=1").json["frames"]
    assert len(frames) == 2  # seg_num
    assert all(frame.startswith("data:image/jpeg;base64,") for frame in frames)


def test_every_class_is_given_for_topk_0(server, films):
    assert len(server.send((films / "one.mp4").read_bytes(), "topk=0").json["classes"]) == 6


@pytest.mark.slow
def test_200_requests_of_8_clients_have_the_answers_of_infer(server, films, expected):
    contents = {name: (films / name).read_bytes() for name in NAMES}

    def ask(number):
        name = NAMES[number % len(NAMES)]
        return name, server.send(contents[name], name=name if number % 3 else None)

    with ThreadPoolExecutor(8) as pool:
        for name, answer in pool.map(ask, range(200)):
            assert answer.status == 200
            assert_same_classes(answer.json["classes"], expected[name][0]["classes"])
    text = server.ask("GET", "/metrics").body.decode()
    sizes = dict(line.split()[::1] for line in text.splitlines() if line.startswith("video_batch_size_"))
    assert float(sizes["video_batch_size_sum"]) > float(sizes["video_batch_size_count"])  # some went together
    assert server.uploads() == []
