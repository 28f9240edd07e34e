"""Whole reports: it fails exactly where training does, healthy data have no finding, and how the program ends."""

import fcntl
import os
import pickle
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter

import numpy as np
import pytest

from tests.conftest import PROJECT, clean_env, make_record
from tests.tools.doctor.planted_faults import plant_clips, plant_features
from tests.tools.doctor.reports import examine, load_config, train_ends_with_an_error
from tools.doctor import __main__ as doctor
from tools.doctor import examination
from tools.doctor.text import format_report
from tools.errors import DataError
from tools.registry import READERS


@pytest.mark.parametrize("skip_broken", [0, 1])
def test_it_fails_exactly_where_training_does(features, skip_broken):
    planted = plant_features(features / "data")
    healthy = (features / "data/train.list").read_text()
    for line in [None, *planted]:
        (features / "data/train.list").write_text(healthy + ("" if line is None else f"{line}\n"))
        report, _ = examine("tiny.txt", "--section=TRAIN", "--section=VALID", f"--skip-broken={skip_broken}")
        assert report["verdict"]["fails"] == train_ends_with_an_error("tiny.txt", skip_broken), line
        assert report["verdict"]["fails"] == (
            line is not None and (not skip_broken or planted[line] in ("missing", "unreadable"))
        )


@pytest.mark.parametrize("skip_broken", [0, 1])
def test_it_fails_exactly_where_training_on_clips_does(clips, skip_broken):
    planted = plant_clips(clips / "data")
    healthy = (clips / "data/train.list").read_text()
    always = {"gone.mp4 1", "n" * 300, "far.mp4 5", "plain.mp4"}
    for line in [None, *planted]:
        (clips / "data/train.list").write_text(healthy + ("" if line is None else f"{line}\n"))
        report, _ = examine("clips.txt", "--deep", f"--skip-broken={skip_broken}")
        assert report["verdict"]["fails"] == train_ends_with_an_error("clips.txt", skip_broken), line
        assert report["verdict"]["fails"] == (line is not None and (not skip_broken or line in always)), line


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_healthy_features_have_no_finding_and_training_would_start(features, deep):
    report, _ = examine("tiny.txt", *deep)
    assert report["findings"] == []
    assert report["verdict"] == {"what": "training", "fails": False, "reasons": []}
    assert format_report(report).endswith("training would start")
    part = report["sections"]["TRAIN"]
    assert (part["records"], part["batches"], report["sections"]["VALID"]["batches"]) == (40, 5, 3)
    records = [r for i in range(3) for r in pickle.loads((features / f"data/train{i}.pkl").read_bytes())]
    labels = Counter(label for record in records for label in record["label"])
    assert part["classes"]["counts"] == dict(sorted(labels.items()))
    assert part["classes"]["empty"] == sorted(set(range(12)) - set(labels))
    frames = [len(record["feature"]) for record in records]
    assert (part["frames"]["min"], part["frames"]["max"], part["frames"]["sum"]) == (
        min(frames),
        max(frames),
        sum(frames),
    )
    assert part["bytes"] == sum((features / f"data/train{i}.pkl").stat().st_size for i in range(3))


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_healthy_clips_have_no_finding_and_training_would_start(clips, deep):
    report, _ = examine("clips.txt", *deep)
    assert report["findings"] == []
    assert not report["verdict"]["fails"]
    part = report["sections"]["TRAIN"]
    assert part["frames"] == {"known": 2, "min": 4, "median": 4.5, "max": 5, "sum": 9}
    assert part["seconds"]["sum"] == pytest.approx(5 / 25)
    assert part["classes"]["counts"] == {0: 2}
    assert part["classes"]["empty"] == [1, 2, 3, 4]
    assert "[TRAIN] all labels are of class 0; a classifier trained on one class says nothing" in format_report(report)


@pytest.mark.parametrize("kind", ["features", "clips"])
def test_what_looks_wrong_with_classes_is_said_as_training_says_it(kind, request):
    folder = request.getfixturevalue(kind)
    config, expected = "clips.txt", "all labels are of class 0"
    if kind == "features":
        records = [make_record(np.random.default_rng(0), f"v{i}", labels=[1 + i % 11]) for i in range(30)]
        (folder / "data/train.list").write_text("ones.pkl")
        (folder / "data/ones.pkl").write_bytes(pickle.dumps(records, protocol=4))
        config, expected = "tiny.txt", "class ids are 1 to 11 with num_classes = 12"
    said = [check["text"] for check in examine(config)[0]["checks"] if check["name"] == "classes"]
    reader = "clips" if kind == "clips" else "feature_segments"
    notices = READERS.get(reader)(load_config(config), "TRAIN", training=True, skip_broken=0).notices
    assert [text for text in said if "[TRAIN]" in text] == [f"[TRAIN] {notice}" for notice in notices[1:]]
    assert notices[1].startswith(expected)


def test_a_batch_larger_than_the_training_data_fails_as_training_does(features):
    report, _ = examine("tiny.txt", "--batch-size=41")
    (reason,) = report["verdict"]["reasons"]
    assert "40 records, which do not fill one training batch of 41" in reason
    assert not examine("tiny.txt", "--batch-size=40")[0]["verdict"]["fails"]


def test_only_what_training_reads_decides_unless_a_section_is_named(features):
    config = (features / "tiny.txt").read_text()
    (features / "tiny.txt").write_text(
        config.replace('[TEST]\nbatch_size = 8\nfilelist = "data/val', '[TEST]\nbatch_size = 8\nfilelist = "data/none')
    )
    report, _ = examine("tiny.txt")
    assert [(f["section"], f["kind"]) for f in report["findings"]] == [("TEST", "bad list")]
    assert not report["verdict"]["fails"]
    report, _ = examine("tiny.txt", "--section=test")
    assert report["verdict"]["fails"]
    assert list(report["sections"]) == ["TEST"]
    assert format_report(report).splitlines()[-1].startswith("reading TEST would fail: [TEST] file list data/none.list")
    (features / "data/val.list").unlink()
    assert examine("tiny.txt")[0]["verdict"]["fails"]
    assert not examine("tiny.txt", "--valid-interval=0")[0]["verdict"]["fails"]


def test_what_cannot_be_written_is_told_before_anything_is_read(features, monkeypatch):
    monkeypatch.setattr(examination, "inspect_list", lambda *arguments: pytest.fail("a list was read"))
    for flag, message in (
        ("--json=data", "--json data cannot be written: .*is a folder"),
        ("--json=tiny.txt/report.json", "--json tiny.txt/report.json cannot be written"),
        ("--write-clean-list=tiny.txt/clean.list", "tiny.txt/clean.list cannot be written"),
        ("--write-clean-list=data/train.list", "is the list itself"),
    ):
        monkeypatch.setattr(sys, "argv", ["doctor", "--config=tiny.txt", "--section=TRAIN", flag])
        with pytest.raises(DataError, match=message):
            doctor.main()


def test_help_needs_no_paddle_and_names_the_program_as_it_is_typed():
    command = [sys.executable, "-X", "importtime", "-m", "tools.doctor", "--help"]
    result = subprocess.run(command, cwd=PROJECT, env=clean_env(), capture_output=True, text=True, check=True)
    assert result.stdout.startswith("usage: python -m tools.doctor [-h]")
    assert "paddle" not in result.stderr


def test_ctrl_c_ends_it_at_once(features):
    """Sent when the bar appears, over a list that takes minutes to decode."""
    lines = [f"train{i % 3}.pkl" for i in range(30_000)]
    (features / "data/train.list").write_text("\n".join(lines))
    terminal, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # in no columns there is room for no bar
    command = [sys.executable, "-m", "tools.doctor", f"--config={features / 'tiny.txt'}", "--deep"]
    env = {**clean_env(), "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(command, cwd=features, env=env, stdout=subprocess.PIPE, stderr=stderr)
    os.close(stderr)
    shown = b""
    while b"reading" not in shown:
        shown += os.read(terminal, 1000)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == b""
    assert process.returncode == 130
    os.close(terminal)
