"""train.py --freeze backbone: what is kept, resuming, unfreezing, and wrong calls."""

import sqlite3
import sys

import numpy as np
import pytest

import train as train_script
from tests.conftest import run_script
from tests.datareader.clips.synthetic import make_frames, write_video
from tests.test_clip_scripts import CONFIG
from tools.training.options import TrainingOptions
from tools.weights.checkpoint_files import load_dict

FLAGS = ("--model-name=TSN", "--config=tsn.txt", "--freeze=backbone", "--cache-dir=kept")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tsn.txt").write_text(CONFIG)
    for i in range(8):
        write_video(tmp_path / f"{i}.mp4", make_frames(6 + i, seed=i))
    (tmp_path / "clips.list").write_text("".join(f"{i}.mp4 {i % 6}\n" for i in range(8)))
    return tmp_path


def train(folder, save_dir, *flags):
    return run_script("train", *FLAGS, f"--save-dir={save_dir}", *flags, cwd=folder).stdout


def weights(folder, checkpoint):
    return load_dict(folder / checkpoint / "model.pdparams")


def assert_same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], err_msg=name, **tolerance)


def count_kept(folder):
    connection = sqlite3.connect(folder / "kept" / "features.sqlite")
    ((count,),) = connection.execute("SELECT COUNT(*) FROM arrays").fetchall()
    connection.close()
    return count


@pytest.mark.slow
def test_clips_are_described_once_and_a_later_run_finds_them(folder):
    shown = train(folder, "one", "--epoch=2")
    assert "trunk of it is newly initialised" in shown
    assert count_kept(folder) == 8  # the list is that of the validation too, and of the same sizes
    train(folder, "two", "--epoch=2", "--ema=0.9")
    assert count_kept(folder) == 8
    one, two = weights(folder, "one/TSN_epoch1"), weights(folder, "two/TSN_epoch1")
    assert_same(one, two, rtol=0)
    start = weights(folder, "one/TSN_epoch0")
    changed = {name for name, value in one.items() if (value != start[name]).any()}
    assert changed == {"fc.weight", "fc.bias"}
    averaged = load_dict(folder / "two/TSN_epoch1/averaged.pdparams")
    assert_same({name: value for name, value in averaged.items() if name not in changed}, {
        name: value for name, value in one.items() if name not in changed
    }, rtol=0)  # fmt: skip


@pytest.mark.slow
def test_it_resumes_with_the_same_bits_before_and_after_everything_is_trained(folder):
    flags = "--epoch=3", "--unfreeze-at=2"
    shown = train(folder, "whole", *flags)
    assert "epoch 2: the backbone is trained too from here on" in shown
    for epoch in (0, 1):  # the backbone stays frozen for one more; is trained at once
        train(folder, f"from{epoch}", *flags, f"--resume=whole/TSN_epoch{epoch}")
        assert_same(weights(folder, f"from{epoch}/TSN_epoch2"), weights(folder, "whole/TSN_epoch2"), rtol=0)
    # Without the flags too, from what was frozen.
    plain = "--model-name=TSN", "--config=tsn.txt", "--epoch=3", "--save-dir=plain", "--resume=whole/TSN_epoch1"
    shown = run_script("train", *plain, cwd=folder).stdout
    assert "resumed whole/TSN_epoch1: --freeze was 'backbone' and is None now" in shown
    assert_same(weights(folder, "plain/TSN_epoch2"), weights(folder, "whole/TSN_epoch2"), rtol=0)
    last = weights(folder, "whole/TSN_epoch2")
    assert any(
        (last[name] != value).any() for name, value in weights(folder, "whole/TSN_epoch1").items() if "trunk" in name
    )


@pytest.mark.slow
def test_a_checkpoint_of_a_whole_training_goes_on_frozen_and_tells_so(folder):
    run_script("train", "--model-name=TSN", "--config=tsn.txt", "--save-dir=plain", "--epoch=1", cwd=folder)
    shown = train(folder, "frozen", "--epoch=2", "--resume=plain/TSN_epoch0")
    assert "resumed plain/TSN_epoch0: --freeze was None and is 'backbone' now" in shown
    before, after = weights(folder, "plain/TSN_epoch0"), weights(folder, "frozen/TSN_epoch1")
    assert {name for name, value in after.items() if (value != before[name]).any()} == {"fc.weight", "fc.bias"}


@pytest.mark.slow
def test_averages_of_a_whole_training_go_on_with_the_frozen_backbone(folder):
    flags = "--model-name=TSN", "--config=tsn.txt", "--ema=0.9"
    run_script("train", *flags, "--save-dir=plain", "--epoch=1", cwd=folder)
    shown = train(folder, "frozen", "--epoch=2", "--ema=0.9", "--resume=plain/TSN_epoch0")
    assert shown.count("its averaged weights are these from here on") == 1
    own, averaged = weights(folder, "frozen/TSN_epoch1"), load_dict(folder / "frozen/TSN_epoch1/averaged.pdparams")
    assert {name for name, value in own.items() if (value != averaged[name]).any()} == {"fc.weight", "fc.bias"}
    assert "from here on" not in train(folder, "again", "--epoch=3", "--ema=0.9", "--resume=frozen/TSN_epoch1")


@pytest.mark.slow
def test_two_processes_share_what_is_kept(folder):
    train(folder, "one", "--epoch=2", "--cache-views=2")
    assert count_kept(folder) == 24  # two views of each in training, one in validation
    train(folder, "two", "--epoch=2", "--cache-views=2", "--nproc=2", "--valid-first")
    assert count_kept(folder) == 24
    one, two = weights(folder, "one/TSN_epoch1"), weights(folder, "two/TSN_epoch1")
    changed = {name for name, value in one.items() if (value != two[name]).any()}
    assert changed == {"fc.weight", "fc.bias"}  # other videos stand in one step


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--unfreeze-at=2",), "error: --unfreeze-at: only together with --freeze backbone"),
        (
            ("--cache-dir=x", "--cache-views=2"),
            "error: --cache-views, --cache-dir: only together with --freeze backbone",
        ),
        (("--cache-size=10",), "error: --cache-size: only together with --freeze backbone"),  # as by default too
        (("--freeze=backbone", "--cache-size=-1"), "--cache-size"),
        (("--freeze=fc",), "invalid choice"),
    ],
)
def test_wrong_flags_end_with_a_line(monkeypatch, capsys, flags, message):
    monkeypatch.setattr(sys, "argv", ["train.py", "--model-name=TSN", *flags])
    with pytest.raises(SystemExit) as ended:
        train_script.parse_args()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_what_is_not_given_is_as_by_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--model-name=TSN", "--freeze=backbone", "--cache-views=3"])
    _, training, _ = train_script.parse_args()
    assert training == TrainingOptions(freeze="backbone", cache_views=3)


def test_a_model_without_a_backbone_is_refused(tiny):
    result = run_script("train", "--freeze=backbone", cwd=tiny, check=False)
    assert result.returncode == 1
    assert "--freeze backbone: AttentionCluster has none; TSN and STNET have one" in result.stderr
