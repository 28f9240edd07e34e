"""Tests and inferences that never were, for their pages: of any number of classes, whatever they are called."""

import json
from pathlib import Path

import numpy as np

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from datareader.lists import ListEntry
from metrics.kinetics import KineticsMetrics
from metrics.youtube8m import YouTube8MMetrics
from tests.conftest import PROJECT
from tools.config.flags import ConfigSource, read_config
from tools.config.load import Override
from tools.errors import DataError
from tools.inference.answer_page import Answers
from tools.inference.mistakes import ShownMistake
from tools.inference.predictions import VideoClasses
from tools.inference.run_blocks import EvaluatedRun
from tools.inference.score_page import Scores
from tools.pages.blocks import Picture
from tools.pages.pictures import encode_picture
from tools.registry import METRICS, MODELS
from tools.weights.files import CHECKPOINT, WeightFile
from tools.weights.self_description import SelfDescription

NOISE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


def make_evaluated(model, section, names, num_classes, described=None, **facts) -> EvaluatedRun:
    """A run of a model by its demo config. names: of the classes, again and again; [] for none."""
    spec = MODELS.get(model)()
    config_path = str(PROJECT / f"configs/demo/{Path(spec.default_config).name}")
    source = ConfigSource(config_path, (Override("MODEL", "num_classes", num_classes, flag="--set"),))
    config = read_config(source, spec, model, ["MODEL", section], check=False)
    metric = METRICS.get(spec.metrics)(config)
    weights = WeightFile(f"checkpoints/{model}_best", CHECKPOINT, {})
    class_names = [names[i % len(names)] for i in range(num_classes)] if names else None
    return EvaluatedRun(model, spec, config, section, metric, weights, described, class_names, **facts)


def write_checkpoint(folder: Path, **state) -> SelfDescription:
    """What a checkpoint says of itself: its state.json, and the demo config of TSN."""
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"model": "TSN", **state}))
    (folder / "config.txt").write_text((PROJECT / "configs/demo/tsn.txt").read_text())
    return SelfDescription(folder, "TSN", str(folder / "config.txt"), None)


def count_clips(num_classes, videos_of_class=50, right=0.6) -> KineticsMetrics:
    """Clips of which so many are taken for their own class, some for their neighbour, and the rest for any."""
    rng = np.random.default_rng(0)
    metric = KineticsMetrics(num_classes)
    for label in range(num_classes - num_classes // 10):
        draws = rng.random(videos_of_class)
        other = np.where(draws < 0.8, (label + 1) % num_classes, rng.integers(0, num_classes, videos_of_class))
        np.add.at(metric.counts, (label, np.where(draws < right, label, other)), 1)
    metric.num_videos, metric.top5_hits = int(metric.counts.sum()), int(0.8 * metric.counts.sum())
    metric.loss_sums = [1.5 * metric.num_videos]
    return metric


def count_features(num_classes, num_videos=300) -> YouTube8MMetrics:
    rng = np.random.default_rng(0)
    metric = YouTube8MMetrics(num_classes, top_k=20)
    labels = (rng.random((num_videos, num_classes)) < 3 / num_classes).astype(np.float32)
    metric.update(np.clip(0.5 * labels + rng.random(labels.shape) / 2, 0, 1).astype(np.float32), labels, 0.5)
    return metric


def make_scores(metric, names, num_classes, *, with_frames=True, broken=(), notices=()) -> Scores:
    shown = [Picture(encode_picture(NOISE), f"frame {i} of {names[0]}", f"frame {i}") for i in range(3)] * with_frames
    best = [(i % num_classes, 0.5 / (i + 1)) for i in range(5)]
    mistakes = [
        ShownMistake(names[i % len(names)], f"data/{names[i % len(names)]}.mp4", [(0, 0.01)], best, shown)
        for i in range(12)
    ]
    return Scores(metric, metric.compute(), mistakes, f"{names[0]}.list", f"1 clip, {names[1]}", broken, notices)


class Frames:
    """A data set that has a picture for every frame of a clip, but of those called broken. asked: for how many."""

    protocol = "1 clip x the centre crop"

    def __init__(self, name):
        self.name, self.asked = name, []

    def pictures(self, entry, count):
        return dict(self.pictures_at(entry, range(count)))

    def pictures_at(self, entry, numbers):
        if entry.path == "broken.mp4":
            raise DataError("broken.mp4 is gone")
        self.asked.append((entry.path, len(numbers)))
        return ((number, NOISE) for number in numbers)


def make_answers(paths, num_classes, page, *, windows=0, features=False, files=(), **facts) -> Answers:
    """Of videos at these paths, in so many windows of a second each, 0 for whole ones; of features, their ids alone."""
    rng, results, entries = np.random.default_rng(0), [], {}
    for path in paths:
        kind, place = ("records.pkl", 1) if features else (path, None)
        if not features:
            entries[path, None] = ListEntry(path, written=path)
        best = 0
        for window in range(max(windows, 1)):
            best = best if rng.random() < 0.8 else int(rng.integers(num_classes))
            class_ids = [best, *(int(c) for c in (best + 1 + np.arange(4)) % num_classes)][:num_classes]
            times = {"start_sec": float(window), "end_sec": window + 1.0, "frames": (3 * window,)} if windows else {}
            probs = [0.9 / 2**i for i in range(len(class_ids))]
            results.append(VideoClasses(path if features else Path(path).stem, kind, place, probs, class_ids, **times))
    files = files or [Path("TSN_infer_result.csv"), Path("TSN_infer_result_merged.csv")]
    values = {"top_k": 5, "windows": "1 s every 1 s" if windows else "", "broken": (), "notices": ()} | facts
    return Answers(results, files, page, Frames("a.list"), entries, **values)
