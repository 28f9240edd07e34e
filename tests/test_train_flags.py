"""The flags of train.py: other names for them, and which cannot go together."""

import sys

import pytest

import train
from tools.errors import CheckpointError
from tools.training.checkpoint import CheckpointStore


def parse(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["train.py", "--model-name=TSN", *flags])
    return train.parse_args()


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        (("--learning-rate", "--lr"), "learning_rate", 0.5),
        (("--epoch", "--epochs", "--epoch-num"), "epoch", 7),
    ],
)
def test_flags_have_the_names_that_people_type(monkeypatch, flags, key, value):
    for flag in flags:
        (override,) = parse(monkeypatch, f"{flag}={value}")[0].config.overrides
        assert (override.section, override.key, override.value, override.flag) == ("TRAIN", key, value, flag)


def test_what_fine_tuning_adds_is_off_unless_asked_for(monkeypatch):
    options = parse(monkeypatch)[1]
    assert (options.label_smoothing, options.early_stop) == (0.0, 0)
    options = parse(monkeypatch, "--label-smoothing=0.1", "--early-stop=3")[1]
    assert (options.label_smoothing, options.early_stop) == (0.1, 3)
    assert {"--label-smoothing": 0.1, "--early-stop": 3}.items() <= options.shared().items()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--label-smoothing=1",), "'1' is not a number above 0 and below 1"),
        (("--early-stop=-1",), "'-1' is not a whole number"),
        (("--resume-changed",), "--resume-changed needs --resume, which names the checkpoint"),
        (("--early-stop=2", "--valid-interval=0"), "--early-stop needs validation; --valid-interval 0 turns it off"),
    ],
)
def test_flags_that_cannot_be_are_one_line(monkeypatch, capsys, flags, message):
    with pytest.raises(SystemExit):
        parse(monkeypatch, *flags)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "is in use by another run of AttentionCluster; name another folder"),
        (("--pretrain=gone",), "gone does not exist; give a checkpoint folder"),
        (("--resume=gone", "--save-dir=free"), "gone does not exist; give a checkpoint folder"),
    ],
)
def test_what_stops_a_run_is_told_before_its_data_is_looked_at(monkeypatch, tiny, processes, flags, message):
    monkeypatch.chdir(tiny)
    monkeypatch.setattr(train, "open_datasets", lambda *_: pytest.fail("its data was looked at"))
    command = ["train.py", "--model-name=AttentionCluster", "--config=tiny.txt", f"--nproc={processes}", *flags]
    monkeypatch.setattr(sys, "argv", command)
    store = CheckpointStore("checkpoints", "AttentionCluster")
    with pytest.raises(CheckpointError) as error:
        train.main()
    store.close()
    assert message in str(error.value)
