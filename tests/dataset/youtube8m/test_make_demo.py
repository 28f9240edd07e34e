"""The demo data: the same every time, of the right kind, and too hard for averaged frames."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize

from datareader.features.records import Expected, load_records, parse_record
from datareader.transforms import dequantize
from dataset.youtube8m import make_demo
from metrics.youtube8m import YouTube8MMetrics
from tests.conftest import PROJECT
from tests.dataset.programs import start

SCRIPT = PROJECT / "dataset" / "youtube8m" / "make_demo.py"
EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=20)


def make(folder):
    return subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert make(folder).returncode == 0
    return folder


def load(demo, split):
    names = (demo / f"{split}.list").read_text().split()
    return [parse_record(raw, EXPECTED, name) for name in names for raw in load_records(str(demo / name))]


def pooled(records):
    """Mean features (N, 1152) and multi-hot labels (N, 20)."""
    x = np.array([np.concatenate([dequantize(stream).mean(axis=0) for stream in record.streams]) for record in records])
    labels = np.zeros((len(records), 20))
    for row, record in zip(labels, records, strict=True):
        row[record.labels] = 1
    return x, labels


def test_it_has_the_promised_size(demo):
    train, val = load(demo, "train"), load(demo, "val")
    assert (len(train), len(val)) == (1000, 300)
    for records in (train, val):
        assert all(20 <= len(record.streams[0]) <= 60 for record in records)
        assert {len(record.labels) for record in records} == {1, 2, 3}
        assert set(np.concatenate([record.labels for record in records])) == set(range(20))
    assert len((demo / "class_names.txt").read_text().split()) == 20


@pytest.fixture
def short(monkeypatch):
    """Three of the files, to be made in this process."""
    monkeypatch.setattr(make_demo, "SPLITS", {"train": (2, 100), "val": (1, 100)})


def test_it_is_the_same_every_time(demo, short, tmp_path):
    make_demo.make_demo(tmp_path)
    for path in tmp_path.iterdir():
        if path.suffix != ".list":
            assert path.read_bytes() == (demo / path.name).read_bytes(), path.name
    assert len(list(tmp_path.glob("*.pkl"))) == 3


def test_it_is_made_once(demo):
    before = {path: path.stat().st_mtime_ns for path in demo.iterdir()}
    assert make(demo).stdout == f"{demo} is there already\n"
    assert {path: path.stat().st_mtime_ns for path in demo.iterdir()} == before


def test_what_was_left_half_made_is_made_again(demo, short, tmp_path, monkeypatch, capsys):
    make_demo.make_demo(tmp_path)
    (tmp_path / "made.json").unlink()
    (tmp_path / "train01.pkl").write_bytes(b"half")
    start(monkeypatch, make_demo, tmp_path)
    assert capsys.readouterr().out.startswith("made ")
    assert (tmp_path / "train01.pkl").read_bytes() == (demo / "train01.pkl").read_bytes()


def test_a_folder_that_cannot_be_written_is_one_line():
    result = make(SCRIPT)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {SCRIPT} cannot be written")
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_logistic_regression_on_averaged_frames_stays_far_below_attention(demo):
    """GAP 0.73 at best; the quickstart's AttentionCluster reaches 0.99 and must reach 0.90."""
    (x, labels), (x_val, labels_val) = pooled(load(demo, "train")), pooled(load(demo, "val"))
    mean, std = x.mean(axis=0), x.std(axis=0)
    x, x_val = (x - mean) / std, (x_val - mean) / std

    def objective(flat, decay):
        weights = flat.reshape(-1, 20)
        logits = x @ weights[:-1] + weights[-1]
        loss = (np.logaddexp(0, logits) - labels * logits).sum() / len(x) + decay / 2 * (weights[:-1] ** 2).sum()
        error = 1 / (1 + np.exp(-logits)) - labels
        gradient = np.vstack([x.T @ error / len(x) + decay * weights[:-1], error.mean(axis=0)])
        return loss, gradient.ravel()

    best = 0.0
    for decay in (0.01, 0.1, 1.0, 3.0):
        fitted = minimize(objective, np.zeros((x.shape[1] + 1) * 20), (decay,), "L-BFGS-B", jac=True)
        weights = fitted.x.reshape(-1, 20)
        probs = 1 / (1 + np.exp(-(x_val @ weights[:-1] + weights[-1])))
        metric = YouTube8MMetrics(num_classes=20, top_k=20)
        metric.update(probs.astype(np.float32), labels_val, loss=0.0)
        best = max(best, metric.compute()["gap"])
    assert 0.5 < best <= 0.85
