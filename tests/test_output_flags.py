"""--save-probs of test.py and infer.py and --yt8m-csv, as a user runs them on data with known labels."""

import csv
import json

import numpy as np
import pytest

from metrics.youtube8m import YouTube8MMetrics
from tests.conftest import run_script
from tools.files.pickles import load_data_pickle

WEIGHTS = "--weights=checkpoints/AttentionCluster_best"
FLAGS = (WEIGHTS, "--threads=1", "--log-interval=0")


@pytest.fixture(scope="module")
def tested(trained, tmp_path_factory):
    """A folder with the scores and probabilities of test.py; to be read only."""
    folder = tmp_path_factory.mktemp("tested")
    run_script("test", *FLAGS, f"--save-probs={folder}/p.npz", f"--output={folder}/s.json", cwd=trained)
    return folder


@pytest.fixture(scope="module")
def scores(tested):
    return json.loads((tested / "s.json").read_text())["scores"]


def multi_hot(arrays):
    labels = np.zeros(arrays["probs"].shape, np.float32)
    for row, start, end in zip(labels, arrays["label_starts"], arrays["label_starts"][1:], strict=False):
        row[arrays["label_ids"][start:end]] = 1
    return labels


def score(probs, labels):
    metric = YouTube8MMetrics(num_classes=12, top_k=5)  # as tiny.txt says
    metric.update(probs, labels, 0.0)
    return metric.compute()


def test_probabilities_and_labels_of_a_test_give_its_scores(tested, scores):
    with np.load(tested / "p.npz") as arrays:
        values = score(arrays["probs"], multi_hot(arrays))
        assert arrays["probs"].dtype == np.float32
        assert arrays["ids"].tolist() == [f"val0_{i}" for i in range(10)] + [f"val1_{i}" for i in range(11)]
        assert [str(arrays[key]) for key in ("model", "filelist", "topk")] == ["AttentionCluster", "data/val.list", "5"]
    assert all(values[key] == pytest.approx(scores[key], abs=1e-9) for key in ("hit_at_one", "perr", "gap", "map"))


def test_a_submission_has_the_gap_of_the_test_whatever_infer_topk_says(trained, tested, scores, tmp_path):
    flags = ("--infer-topk=2", f"--save-dir={tmp_path}", f"--yt8m-csv={tmp_path}/sub.csv")
    shown = run_script("infer", *FLAGS, *flags, cwd=trained).stdout
    assert f"submission in {tmp_path}/sub.csv\n" in shown
    with np.load(tested / "p.npz") as arrays:
        ids, labels = arrays["ids"].tolist(), multi_hot(arrays)
    probs = np.zeros_like(labels)
    with open(tmp_path / "sub.csv") as file:
        rows = [*csv.DictReader(file)]
    assert [row["VideoId"] for row in rows] == ids
    for row, own in zip(rows, probs, strict=True):
        words = row["LabelConfidencePairs"].split()
        own[[int(word) for word in words[::2]]] = [float(word) for word in words[1::2]]
    assert score(probs, labels)["gap"] == pytest.approx(scores["gap"], abs=1e-4)


def test_an_inference_saves_what_its_pickle_has_in_half_the_room(trained, tested, tmp_path):
    flags = ("--infer-topk=0", f"--save-dir={tmp_path}", f"--save-probs={tmp_path}/p.npz", "--probs-dtype=float16")
    run_script("infer", *FLAGS, *flags, cwd=trained)
    items = load_data_pickle(f"{tmp_path}/AttentionCluster_infer_result")
    with np.load(tmp_path / "p.npz") as arrays, np.load(tested / "p.npz") as whole:
        assert arrays["probs"].dtype == np.float16
        assert arrays["ids"].tolist() == [video for video, _, _ in items]
        for row, (_, probs, class_ids) in zip(arrays["probs"], items, strict=True):
            np.testing.assert_array_equal(row[class_ids], np.float16(probs))
        np.testing.assert_array_equal(arrays["label_ids"], whole["label_ids"])  # known here too


@pytest.mark.slow
def test_two_processes_save_what_one_does(trained, tmp_path):
    for count in (1, 2):
        folder = tmp_path / str(count)
        names = [f"--save-dir={folder}", f"--save-probs={folder}/p.npz", f"--yt8m-csv={folder}/s.csv"]
        run_script("infer", *FLAGS, *names, f"--nproc={count}", cwd=trained)
        run_script("test", *FLAGS, f"--save-probs={folder}/t.npz", f"--nproc={count}", cwd=trained)
    for name in ("p.npz", "s.csv", "t.npz"):
        contents = {(tmp_path / str(count) / name).read_bytes() for count in (1, 2)}
        assert len(contents) == 1, name


BAD = [
    ("test", ["--save-probs=p.txt"], "error: --save-probs p.txt: the name of this file ends in .npz"),
    ("test", ["--save-probs=p.npz", "--output=p.npz"], "error: --output and --save-probs are the same file, p.npz"),
    ("test", ["--yt8m-csv=s.csv"], "unrecognized arguments: --yt8m-csv=s.csv"),
    ("infer", ["--save-probs=tiny.txt/p.npz"], "error: --save-probs tiny.txt/p.npz cannot be written: "),
    (
        "infer",
        ["--yt8m-csv=s.csv", "--model-name=TSN", "--config=tsn.txt"],
        "error: --yt8m-csv is for AttentionCluster",
    ),
    (
        "infer",
        ["--yt8m-csv=./AttentionCluster_infer_result.csv"],
        "the result AttentionCluster_infer_result.csv and --yt8m-csv are the same file",
    ),
    ("infer", ["--yt8m-csv=n.csv", "--class-names=n.csv"], "the class names and --yt8m-csv are the same file, n.csv"),
    ("infer", ["--probs-dtype=int8"], "argument --probs-dtype: invalid choice: 'int8'"),
]


@pytest.mark.parametrize(("script", "flags", "message"), BAD, ids=[" ".join(flags) for _, flags, _ in BAD])
def test_a_wrong_call_ends_in_one_line_before_the_work(trained, tmp_path, script, flags, message):
    from tests.test_clip_scripts import CONFIG

    (tmp_path / "tsn.txt").write_text(CONFIG)
    flags = [flag.replace("tsn.txt", f"{tmp_path}/tsn.txt") if flag.startswith("--config") else flag for flag in flags]
    weights = [] if "--model-name=TSN" in flags else [WEIGHTS]
    result = run_script(script, *weights, *flags, cwd=trained, check=False)
    assert result.returncode in (1, 2)
    (line,) = result.stderr.splitlines()
    assert message in line
