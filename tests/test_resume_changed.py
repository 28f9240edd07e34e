"""train.py --resume with settings that are not the checkpoint's: what is said of them, and what they end."""

import json

import pytest

from tests.conftest import run_script

SAVED = "checkpoints/AttentionCluster_epoch0"
INSIDE = "checkpoints/AttentionCluster_epoch1_step2"
SHORT = ("--resume=auto", "--epoch=2", "--valid-interval=0")
CUT = f"error: {INSIDE} stands inside an epoch, where a run can resume only as it was, but "
AFTER = "; resume from a finished epoch, or with the former settings and data, or pass {} to go on all the same"
TWICE = f"resumed {INSIDE}: of this epoch's records some may come twice and others not at all"


@pytest.fixture
def cut(trained_copy):
    """A run that was stopped before the last of the three steps of its second epoch."""
    folder = (trained_copy / SAVED).rename(trained_copy / INSIDE)
    change_state(folder, epoch=1, step=2, steps_taken=5)
    return trained_copy


def change_state(folder, *without, **values):
    """Another state, with no sum of its own as those of earlier versions."""
    state = json.loads((folder / "state.json").read_text()) | values
    for name in without:
        del state[name]
    state["files"].pop("state.json", None)  # which a fixture may have left out already
    (folder / "state.json").write_text(json.dumps(state))


def resume(folder, *flags):
    """The lines on what was resumed, but for the first, which says where the run goes on."""
    shown = run_script("train", *SHORT, *flags, cwd=folder).stdout
    lines = [line for line in shown.splitlines() if "resumed " in line]
    assert "; next is epoch 1, iter " in lines[0]
    return [line[line.index("resumed ") :] for line in lines[1:]]


def test_what_changes_no_training_and_what_is_as_it_was_is_not_told(trained_copy):
    text = (trained_copy / "tiny.txt").read_text()
    names = (trained_copy / "data/train.list").read_text()
    (trained_copy / "data/again.list").write_text(names)
    (trained_copy / "other.txt").write_text(text.replace("data/train.list", "data/again.list"))
    flags = ("--num-workers=0", "--threads=1", "--log-interval=1", "--save-every=2", "--keep=1", "--skip-broken=1")
    more = ("--set", "MODEL.topk=3", "--set", "TEST.batch_size=3", "--early-stop=0")
    assert resume(trained_copy, "--config=other.txt", *flags, *more) == []


def test_each_setting_that_changes_a_training_is_told_in_one_line(trained_copy):
    flags = ("--lr=0.5", "--batch-size=6", "--seed=4", "--accumulate=2", "--grad-clip=3", "--label-smoothing=0.1")
    weights = ("--set", "TRAIN.class_weights='balanced'", "--set", "MODEL.drop_rate=0.25")
    found = resume(trained_copy, *flags, *weights, "--ema=0.9")
    changes = [
        "MODEL.drop_rate was 0.5 and is 0.25 now",
        "TRAIN.batch_size was 8 and is 6 now",
        "TRAIN.learning_rate was 0.001 and is 0.5 now",
        "TRAIN.seed was 0 and is 4 now",
        "TRAIN.class_weights was None and is 'balanced' now",
        "--accumulate was 1 and is 2 now",
        "--grad-clip was 0.0 and is 3.0 now",
        "--ema was None and is 0.9 now",
        "--label-smoothing was 0.0 and is 0.1 now",
        "it holds no averaged weights: they begin with these",
    ]
    assert found == [f"resumed {SAVED}: {change}" for change in changes]
    assert changes[2] in (trained_copy / "checkpoints/AttentionCluster_report.html").read_text()
    state = json.loads((trained_copy / "checkpoints/AttentionCluster_epoch1/state.json").read_text())
    assert (state["flags"]["--ema"], state["flags"]["--accumulate"]) == (0.9, 2)


def test_inside_an_epoch_the_same_settings_say_nothing(cut):
    assert resume(cut) == []


@pytest.mark.parametrize(
    ("flags", "change"),
    [
        (("--batch-size=4",), "TRAIN.batch_size was 8 and is 4 now"),
        (
            ("--lr=0.5", "--accumulate=2"),
            "TRAIN.learning_rate was 0.001 and is 0.5 now, --accumulate was 1 and is 2 now",
        ),
    ],
)
def test_inside_an_epoch_a_changed_setting_is_an_error_and_a_flag_allows_it(cut, flags, change):
    result = run_script("train", *SHORT, *flags, cwd=cut, check=False)
    assert (result.returncode, result.stderr) == (1, f"{CUT}{change}{AFTER.format('--resume-changed')}\n")
    lines = [f"resumed {INSIDE}: {one}" for one in change.split(", ")]
    assert resume(cut, *flags, "--resume-changed") == lines + [TWICE] * ("--batch-size=4" in flags)
    assert (cut / "checkpoints/AttentionCluster_epoch1").is_dir()


def test_inside_an_epoch_other_data_is_an_error_and_where_fewer_steps_are_left_than_were_done_it_ends(cut):
    path = cut / "data/train.list"
    path.write_text(path.read_text() * 2)
    result = run_script("train", *SHORT, "--batch-size=48", cwd=cut, check=False)
    batch = "TRAIN.batch_size was 8 and is 48 now"
    data = "the data (the files, their order, or TRAIN.sampling) was 24 records with checksum "
    assert result.stderr.startswith(f"{CUT}{batch}, {data}")
    found = resume(cut, "--batch-size=48", "--resume-changed")
    assert (found[0], found[2]) == (f"resumed {INSIDE}: {batch}", TWICE)
    state = json.loads((cut / "checkpoints/AttentionCluster_epoch1/state.json").read_text())
    assert (state["epoch"], state["step"], state["steps_taken"]) == (2, 0, 5)


def test_a_checkpoint_without_settings_resumes_and_says_that_they_cannot_be_compared(cut):
    for name in ("config.txt", "class_names.csv"):
        (cut / INSIDE / name).unlink(missing_ok=True)
    files = json.loads((cut / INSIDE / "state.json").read_text())["files"]
    kept = {name: sums for name, sums in files.items() if (cut / INSIDE / name).exists()}
    change_state(cut / INSIDE, "flags", "versions", files=kept)
    (line,) = resume(cut, "--lr=0.5")
    assert line.endswith("whether settings such as the learning rate have changed cannot be told")
