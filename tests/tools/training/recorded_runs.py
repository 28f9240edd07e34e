"""Files of training runs that never were: what they record, epoch by epoch."""

import json
from pathlib import Path

import numpy as np

from tests.conftest import PROJECT
from tools.inference.mistakes import ShownMistake
from tools.pages.blocks import Picture
from tools.pages.pictures import encode_picture
from tools.training.run_files import RunFiles
from tools.training.validation_file import Validation

START = {
    "event": "start", "time": 1000.0, "resumed": None, "command": ["python", "train.py", "--epoch=9"],
    "flags": {"--ema": "0.99"}, "environment": {"Paddle": "3.3.1", "device": "cpu"}, "epochs": 9, "steps_per_epoch": 20,
    "records": {"TRAIN": 200, "VALID": 60}, "notices": ["[TRAIN] 6 classes"],
}  # fmt: skip


def step_of(epoch, number, **values):
    loss = 1 / (1 + epoch + number / 20)
    found = {"event": "train_step", "time": 1000 + 60 * epoch + number, "epoch": epoch, "iter": number, "loss": loss}
    found |= {"top1_acc": 50.0, "top5_acc": 90.0, "learning_rate": 0.01, "videos_per_sec": 300.0}
    return found | {"data_sec": 0.01, "step_sec": 0.2, "steps_taken": 20 * epoch + number + 1} | values


def epoch_of(epoch):
    found = {"event": "train_epoch", "time": 1050 + 60 * epoch, "epoch": epoch, "loss": 1 / (1 + epoch)}
    return found | {"top1_acc": 60.0, "top5_acc": 95.0, "videos_per_sec": 312.5, "data_wait": 0.03}


def valid_of(epoch, top1=None, **facts):
    top1 = 100 - 90 / (2 + epoch) if top1 is None else top1
    found = {"event": "valid_epoch", "time": 1055 + 60 * epoch, "epoch": epoch, **facts, "videos": 60, "loss": 0.5}
    return found | {"top1_acc": top1, "top5_acc": 99.0, "top1_low": max(top1 - 5, 0), "top1_high": min(top1 + 5, 100)}


def events_of(epochs, steps=range(0, 20, 10)):
    for epoch in epochs:
        yield from (step_of(epoch, number) for number in steps)
        yield epoch_of(epoch)
        yield valid_of(epoch)


def write_run(folder: Path, events, validation: Validation | None = None, **changes) -> RunFiles:
    """A run of TSN as train.py leaves it. changes: of its settings, text -> text."""
    folder.mkdir(parents=True, exist_ok=True)
    files = RunFiles(folder, "TSN")
    files.numbers.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    settings = (PROJECT / "configs/demo/tsn.txt").read_text()
    for key, value in changes.items():
        before = next(line for line in settings.splitlines() if line.startswith(f"{key} ="))
        settings = settings.replace(before, f"{key} = {value}", 1)
    files.settings.write_text(settings)
    if validation:
        validation.write(files.validation)
    return files


def make_validation(epoch, names, num_classes, *, pictures=True) -> Validation:
    """Of so many classes, which are called by ``names`` again and again."""
    rng = np.random.default_rng(0)
    class_names = [names[i % len(names)] for i in range(num_classes)]
    per_class = [
        {"class_id": i, "videos": int(rng.integers(1, 60)), "top1_acc": float(100 * rng.random())}
        for i in range(num_classes - num_classes // 10)
    ]
    confusions = [
        {"label": i % num_classes, "predicted": (i + 1) % num_classes, "videos": 20 - i, "share_percent": 50.0}
        for i in range(20)
    ]
    noise = rng.integers(0, 256, (120, 160, 3), np.uint8)
    shown = [Picture(encode_picture(noise), f"frame {i} of {names[0]}", f"frame {i}") for i in range(3)] * pictures
    best = [(i % num_classes, 0.5 / (i + 1)) for i in range(5)]
    mistakes = [
        ShownMistake(names[i % len(names)], f"data/{names[i % len(names)]}.mp4", [(0, 0.01)], best, shown, names[0])
        for i in range(12)
    ]
    report = {"per_class": per_class, "confusions": confusions}
    return Validation(epoch, False, num_classes, class_names, report, mistakes)
