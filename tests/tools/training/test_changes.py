"""Settings that are not those of the checkpoint which a run resumes from: which are told, how, and when they end it."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tests.tools.expected_errors import error_of
from tools.config.load import Config, load_config
from tools.registry import MODELS
from tools.training.changes import TrainingSettings, find_changes, flags_of, require_unchanged
from tools.training.checkpoint import CheckpointStore, Progress, load_checkpoint
from tools.training.options import TrainingOptions
from tools.weights.self_description import describe_itself

NAMES = MODELS.names()
PROGRESS = Progress(batch_size=8, seed=0, records=40, data=1, epoch=1, steps_taken=5)
SILENT = {"epoch", "filelist", "format", "num_reader_threads", "pretrain_base", "topk", "use_gpu"}
LEARNING = {
    "accumulate": 2,
    "amp": "bf16",
    "sync_bn": True,
    "conv_engine": "onednn",
    "grad_clip": 1.0,
    "ema": 0.999,
    "label_smoothing": 0.1,
    "freeze": "backbone",
    "unfreeze_at": 3,
    "cache_views": 2,
}


def load(name):
    spec = MODELS.get(name)()
    return spec, load_config(str(PROJECT / spec.default_config), spec.schema, [], name, check=False)


def settings_of(name, config=None, options=None, device="cpu"):
    spec, published = load(name)
    flags = flags_of(options or TrainingOptions(), device)
    return TrainingSettings(name, spec, config or published, flags, steps_per_epoch=2000)  # about as published


def save(folder, name, **position):
    spec, config = load(name)
    store = CheckpointStore(str(folder), name, companions=describe_itself(config, spec.schema, None))
    progress = replace(PROGRESS, batch_size=config.TRAIN.batch_size, seed=config.TRAIN.seed, **position)
    path = store.save({"w": np.ones(1, np.float32)}, {}, progress, flags=settings_of(name).flags)
    store.close()
    return path


def forget(path, *names):
    """Leave out what earlier versions did not write."""
    state = json.loads((path / "state.json").read_text())
    state.pop("flags", None)
    for file in (*names, "state.json"):
        del state["files"][file]
    for file in names:
        (path / file).unlink()
    (path / "state.json").write_text(json.dumps(state))


def lines_of(path, name, *, progress=None, **options):
    checkpoint = load_checkpoint(path, name)
    changes = find_changes(checkpoint, progress or checkpoint.progress, settings_of(name, **options))
    return changes.lines() + changes.notes


def change(config, section, key):
    """The config with another value of one key, of the same kind."""
    value = getattr(config[section], key)
    if isinstance(value, list):
        other = [value[0], *value]
    elif isinstance(value, bool):
        other = not value
    else:
        other = value + 1 if isinstance(value, int | float) else "other"
    sections = {name: config[name] for name in ("MODEL", "TRAIN")}
    return Config(config.path, sections | {section: replace(sections[section], **{key: other})}, []), value, other


@pytest.mark.parametrize("name", NAMES)
def test_each_key_that_changes_what_is_learnt_is_told_in_one_line_and_no_other(tmp_path, name):
    path = save(tmp_path, name)
    config = load(name)[1]
    assert lines_of(path, name) == []
    for section in ("MODEL", "TRAIN"):
        for key in asdict(config[section]):
            if key in ("epoch", "batch_size", "seed"):  # which have tests of their own
                continue
            other, was, value = change(config, section, key)
            told = [] if key in SILENT else [f"{section}.{key} was {was!r} and is {value!r} now"]
            assert lines_of(path, name, config=other) == told


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_epochs_is_told_where_the_learning_rate_goes_by_it(tmp_path, name):
    path = save(tmp_path, name)
    config = load(name)[1]
    other, was, value = change(config, "TRAIN", "epoch")
    told = [f"TRAIN.epoch was {was} and is {value} now"] if name in ("TSN", "STNET") else []
    assert lines_of(path, name, config=other) == told


def test_the_number_of_epochs_is_not_told_where_the_rates_to_come_are_the_same(tmp_path):
    path = save(tmp_path, "TSN", steps_taken=10**9)
    assert lines_of(path, "TSN", config=change(load("TSN")[1], "TRAIN", "epoch")[0]) == []


@pytest.mark.parametrize("flag", [one.name for one in fields(TrainingOptions)])
def test_each_flag_that_changes_what_is_learnt_is_told_in_one_line_and_no_other(tmp_path, flag):
    path = save(tmp_path, "TSN")
    default = getattr(TrainingOptions(), flag)
    options = replace(TrainingOptions(), **{flag: LEARNING.get(flag, "other")})
    told = f"--{flag.replace('_', '-')} was {default!r} and is {LEARNING.get(flag)!r} now"
    assert lines_of(path, "TSN", options=options) == ([told] if flag in LEARNING else [])


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("batch_size", 4, "TRAIN.batch_size was 8 and is 4 now"),
        ("seed", 3, "TRAIN.seed was 0 and is 3 now"),
        ("world", 2, "the number of processes was 1 and is 2 now"),
        ("data", 2, "the data (the files, their order, or TRAIN.sampling) was 40 records with checksum 1 and is "
                    "40 records with checksum 2 now"),
        ("records", 41, "the data (the files, their order, or TRAIN.sampling) was 40 records with checksum 1 and is "
                        "41 records with checksum 1 now"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("older", [False, True])
def test_what_the_order_of_an_epoch_goes_by_is_told_of_checkpoints_of_all_versions(tmp_path, field, value, line, older):
    path = save(tmp_path, "TSN", step=2)
    if older:
        forget(path, "config.txt")
    checkpoint = load_checkpoint(path, "TSN")
    checkpoint = replace(checkpoint, progress=replace(checkpoint.progress, batch_size=8))
    changes = find_changes(checkpoint, replace(checkpoint.progress, **{field: value}), settings_of("TSN"))
    assert changes.lines() == [line]
    assert changes.of_order
    assert line in error_of(require_unchanged, checkpoint, changes)


def test_another_device_is_told(tmp_path):
    assert lines_of(save(tmp_path, "TSN"), "TSN", device="gpu") == ["device was 'cpu' and is 'gpu' now"]


def test_inside_an_epoch_an_error_names_each_setting_both_values_and_the_flag(tmp_path):
    path = save(tmp_path, "TSN", step=2)
    config = change(load("TSN")[1], "TRAIN", "momentum")[0]
    options = TrainingOptions(grad_clip=2.0)
    checkpoint = load_checkpoint(path, "TSN")
    changes = find_changes(checkpoint, checkpoint.progress, settings_of("TSN", config, options))
    message = error_of(require_unchanged, checkpoint, changes)
    assert message == (
        f"{path} stands inside an epoch, where a run can resume only as it was, but TRAIN.momentum was 0.9 and is 1.9 "
        "now, --grad-clip was 0.0 and is 2.0 now; resume from a finished epoch, or with the former settings and data, "
        "or pass --resume-changed to go on all the same"
    )
    assert not changes.of_order
    require_unchanged(replace(checkpoint, progress=replace(checkpoint.progress, step=0)), changes)
    require_unchanged(checkpoint, find_changes(checkpoint, checkpoint.progress, settings_of("TSN")))


def test_a_checkpoint_of_an_earlier_version_says_in_one_line_what_cannot_be_told(tmp_path):
    path = save(tmp_path, "TSN", step=2)
    forget(path)
    other = change(load("TSN")[1], "TRAIN", "learning_rate")[0]
    line, note = lines_of(path, "TSN", config=other, options=TrainingOptions(ema=0.9))
    assert line.startswith("TRAIN.learning_rate was ")
    assert note == (
        "it does not say with which flags it was trained: whether --accumulate, --amp, --sync-bn, --conv-engine, "
        "--grad-clip, --ema, --label-smoothing, --freeze, --unfreeze-at, --cache-views have changed cannot be told"
    )
    path = save(tmp_path, "TSN", step=3)
    forget(path, "config.txt")
    assert lines_of(path, "TSN", config=other, options=TrainingOptions(ema=0.9)) == [
        "it holds no config.txt and no flags, as those of earlier versions: whether settings such as the learning rate "
        "have changed cannot be told"
    ]
    checkpoint = load_checkpoint(path, "TSN")
    require_unchanged(checkpoint, find_changes(checkpoint, checkpoint.progress, settings_of("TSN", other)))


def test_a_config_that_this_version_cannot_read_is_told(tmp_path):
    path = save(tmp_path, "TSN")
    forget(path, "config.txt")
    (path / "config.txt").write_text("[MODEL]\nnum_classes = 2\nlayers_to_come = 3\n")
    (note,) = lines_of(path, "TSN")
    assert note.startswith("whether settings of a config have changed cannot be told: ")
    assert "section [TRAIN] is missing" in note


def test_flags_that_no_run_has_written_are_an_error(tmp_path):
    path = save(tmp_path, "TSN")
    state = json.loads((path / "state.json").read_text())
    del state["files"]["state.json"]
    (path / "state.json").write_text(json.dumps(state | {"flags": [1]}))
    assert "flags is [1], which no run has written" in error_of(load_checkpoint, path, "TSN")
