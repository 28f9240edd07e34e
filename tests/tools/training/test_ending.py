"""What a run says at its end."""

import sys

import pytest

from metrics.kinetics import KineticsMetrics
from tools.training.checkpoint import CheckpointStore, Progress
from tools.training.ending import describe_end

METRIC = KineticsMetrics(num_classes=6)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--epoch=3"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--epoch=3"])
    return CheckpointStore("saved", "TSN")


def save(store, epoch, **best):
    progress = Progress(batch_size=8, seed=0, records=40, data=1, epoch=epoch, **best)
    return store.save({}, {}, progress), progress


def test_the_command_is_as_the_run_was_started_and_takes_averaged_weights_where_those_were_scored(store, tmp_path):
    path, progress = save(store, 1, best_epoch=0, best_score=25.0)
    best = store.set_best(path)
    lines = describe_end(store, progress, METRIC, tmp_path.relative_to(tmp_path) / "c.txt")
    assert lines[0].startswith("best: epoch 0, top1_acc 25.000000 %, in saved/TSN_best; the checkpoints take ")
    assert lines[1] == "test it: python test.py --model-name=TSN --config=c.txt --weights=saved/TSN_best"
    (best / "averaged.pdparams").touch()
    assert describe_end(store, progress, METRIC, tmp_path)[1].endswith("--weights=saved/TSN_best/averaged.pdparams")
    assert len(describe_end(store, progress, METRIC, None)) == 1


def test_a_run_without_validation_names_its_last_checkpoint_and_one_without_checkpoints_nothing(store, tmp_path):
    assert describe_end(store, save(store, 1)[1], METRIC, None)[0].startswith(
        "no epoch was scored; the last is in saved"
    )
    _, progress = save(store, 2)
    lines = describe_end(store, progress, METRIC, tmp_path)
    assert lines[0].startswith("no epoch was scored; the last is in saved/TSN_epoch1; the checkpoints take ")
    assert lines[1].endswith("--weights=saved/TSN_epoch1")
    store.set_aside()
    assert describe_end(store, progress, METRIC, tmp_path) == []
