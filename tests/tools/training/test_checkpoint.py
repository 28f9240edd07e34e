"""Checkpoints on disk: complete or absent, found in order, and read only if they are whole."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from models.optimizers import FluidAdam
from tests.tools.expected_errors import error_of
from tests.tools.small_networks import Network, train
from tools.training.checkpoint import CheckpointStore, Progress, load_checkpoint, rank_validation
from tools.training.optimizer_state import load_into_optimizer, optimizer_arrays
from tools.training.resume import TrainingState, set_later_aside
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import load_weights

WEIGHTS = {"fc.weight": np.ones((2, 3), np.float32)}


def position(epoch, step=0):
    return Progress(batch_size=8, seed=0, records=40, data=1, epoch=epoch, step=step)


def save(store, epoch, step=0):
    return store.save(WEIGHTS, {"steps": 1}, position(epoch, step))


def names(store):
    return [path.name for path in store.found()]


def listing(folder):
    """What a user sees in a folder, and anything hidden but the lock."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path), "TSN")


def reopen(store):
    """The store of the next run, after the process of this one has ended."""
    store.close()
    return CheckpointStore(str(store.save_dir), "TSN")


def test_a_finished_epoch_is_named_after_its_number_from_0(store):
    assert save(store, epoch=1).name == "TSN_epoch0"
    assert save(store, epoch=1, step=5).name == "TSN_epoch1_step5"


def test_what_is_saved_is_read_back_and_paddle_reads_it_too(store):
    path = save(store, epoch=1)
    checkpoint = load_checkpoint(path, "TSN")
    np.testing.assert_array_equal(checkpoint.weights["fc.weight"], WEIGHTS["fc.weight"])
    assert checkpoint.optimizer == {"steps": 1}
    assert checkpoint.progress == position(1)
    np.testing.assert_array_equal(paddle.load(str(path / "model.pdparams"))["fc.weight"], WEIGHTS["fc.weight"])


def test_of_equal_scores_that_of_the_lower_loss_is_better():
    found = [(0.6, 9.0), (0.5, 0.2), (0.5, 3.0), (0.4, 0.1)]
    assert sorted(found, key=lambda one: rank_validation(*one)) == [(0.4, 0.1), (0.5, 3.0), (0.5, 0.2), (0.6, 9.0)]
    for unknown in (None, float("nan"), float("inf")):
        assert rank_validation(0.4, 9.0) < rank_validation(0.5, unknown) < rank_validation(0.5, 9.0)


def test_the_latest_position_comes_first(store):
    for epoch, step in ((1, 0), (1, 5), (2, 0), (10, 0)):
        save(store, epoch, step)
    assert names(store) == ["TSN_epoch9", "TSN_epoch1", "TSN_epoch0"]
    save(store, 10, 3)
    assert names(store)[0] == "TSN_epoch10_step3"


def test_a_checkpoint_inside_an_epoch_goes_when_the_next_one_is_written(store):
    save(store, 0, 5)
    save(store, 0, 10)
    assert names(store) == ["TSN_epoch0_step10"]
    save(store, 1)
    assert names(store) == ["TSN_epoch0"]


def test_keep_bounds_the_finished_epochs_and_spares_the_best(tmp_path):
    store = CheckpointStore(str(tmp_path), "TSN", keep=2)
    store.set_best(save(store, 1))
    for epoch in (2, 3, 4):
        save(store, epoch)
    assert names(store) == ["TSN_epoch3", "TSN_epoch2"]
    save(store, 4, 7)
    assert names(store) == ["TSN_epoch4_step7", "TSN_epoch3", "TSN_epoch2"]
    assert load_checkpoint(store.best_path, "TSN").progress.epoch == 1


def test_the_best_is_replaced_as_a_whole(store):
    for epoch in (1, 2):
        store.set_best(save(store, epoch))
    assert load_checkpoint(store.best_path, "TSN").progress.epoch == 2
    assert listing(store.save_dir) == ["TSN_best", "TSN_epoch0", "TSN_epoch1"]


def test_a_run_killed_while_it_replaced_the_best_still_has_one(store, tmp_path):
    store.set_best(save(store, 1))
    store.best_path.rename(tmp_path / ".TSN_best.old")  # where the swap stood when the power went
    (tmp_path / ".TSN_best.tmp-1").mkdir()
    reopen(store)
    assert load_checkpoint(tmp_path / "TSN_best", "TSN").progress.epoch == 1
    assert listing(tmp_path) == ["TSN_best", "TSN_epoch0"]


def test_half_written_folders_are_never_found_and_are_cleared(store, tmp_path):
    save(store, 1)
    (tmp_path / ".TSN_epoch1.tmp-99").mkdir()
    assert names(store) == ["TSN_epoch0"]
    reopen(store)
    assert listing(tmp_path) == ["TSN_epoch0"]


@pytest.mark.parametrize("name", ["model.pdparams", "optimizer.pdopt"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_refused_with_the_file_named(store, name, damage):
    path = save(store, 1) / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-5] if damage == "cut" else content)
    assert f"{path} is damaged" in error_of(load_checkpoint, path.parent, "TSN")


@pytest.mark.parametrize("name", ["model.pdparams", "optimizer.pdopt"])
def test_a_file_of_a_checkpoint_that_the_system_does_not_let_us_read_is_named(store, name, monkeypatch):
    path = save(store, 1) / name

    def refuse(file, *arguments, **options):
        if Path(file) == path:
            raise PermissionError(13, "Permission denied", str(path))
        return open(file, *arguments, **options)

    monkeypatch.setattr("tools.files.sums.open", refuse, raising=False)
    assert f"{path} cannot be read: [Errno 13] Permission denied" in error_of(load_checkpoint, path.parent, "TSN")


def test_a_full_disk_leaves_earlier_checkpoints_and_no_trace(store, tmp_path, monkeypatch):
    save(store, 1)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.training.checkpoint.pickle.dump", full)
    message = error_of(save, store, 2)
    assert "TSN_epoch1 could not be written ([Errno 28] No space left on device)" in message
    assert listing(tmp_path) == ["TSN_epoch0"]


def test_weights_that_are_not_finite_never_replace_good_ones(store, tmp_path):
    save(store, 0, 5)
    broken = {"fc.weight": np.array([[1.0, np.nan]], np.float32)}
    message = error_of(store.save, broken, {}, position(0, 10))
    assert message.startswith("fc.weight is no longer finite")
    assert listing(tmp_path) == ["TSN_epoch0_step5"]


def test_a_new_run_moves_earlier_checkpoints_aside(store):
    store.set_best(save(store, 1))
    save(store, 2)
    moved = store.set_aside()
    assert names(store) == []
    assert sorted(path.name for path in moved.iterdir()) == ["TSN_best", "TSN_epoch0", "TSN_epoch1"]
    assert store.set_aside() is None


def test_a_run_from_an_older_checkpoint_moves_later_ones_aside(store):
    for epoch in (1, 2, 3):
        save(store, epoch)
    store.set_aside((2, 0))
    assert names(store) == ["TSN_epoch1", "TSN_epoch0"]


def test_checkpoints_of_other_models_are_left_alone(store, tmp_path):
    other = CheckpointStore(str(tmp_path), "TSN_wide")
    save(other, 1)
    assert names(store) == []
    store.set_aside()
    assert names(other) == ["TSN_wide_epoch0"]


def test_a_save_dir_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert f"--save-dir {tmp_path}/file cannot be written" in error_of(CheckpointStore, str(tmp_path / "file"), "TSN")


def test_what_is_given_as_weights_is_named_when_it_holds_none(store, tmp_path):
    assert "does not exist; give a checkpoint folder" in error_of(load_weights, str(tmp_path / "no"), "TSN")
    assert "holds no weights (model.pdparams, or variables); it holds nothing" in error_of(
        load_weights, str(tmp_path), "TSN"
    )
    save(store, 1)
    message = error_of(load_weights, str(tmp_path), "TSN")
    assert message.endswith("name one of the checkpoints in it: TSN_epoch0")
    assert "holds TSN, but --model-name is STNET" in error_of(load_weights, str(tmp_path / "TSN_epoch0"), "STNET")


def test_two_runs_of_a_model_cannot_share_a_folder(store, tmp_path):
    assert "is in use by another run of TSN" in error_of(CheckpointStore, str(tmp_path), "TSN")
    CheckpointStore(str(tmp_path), "STNET")


@pytest.mark.parametrize(
    "change",
    [
        "[1]", "5", "[" * 100_000, "{", {"files": 3}, {"files": {}}, {"files": {"model.pdparams": 5}},
        {"epoch": "1"}, {"epoch": None}, {"epoch": -5}, {"step": 1.5}, {"steps_taken": True}, {"best_score": "x"},
        {"best_score": float("nan")}, {"validated": "no"}, {"batch_size": None}, {"model": 3},
    ],
    ids=lambda change: str(change)[:30],
)  # fmt: skip
def test_a_state_that_no_run_wrote_is_refused(store, change):
    path = save(store, 1) / "state.json"
    state = json.loads(path.read_text())
    del state["files"]["state.json"]  # without its own sum, as in earlier versions
    path.write_text(change if isinstance(change, str) else json.dumps(state | change))
    assert "TSN_epoch0" in error_of(load_checkpoint, path.parent, "TSN")


def test_a_state_can_be_saved_again_before_it_was_used(store):
    network = Network()
    optimizer = FluidAdam(0.01, network.parameters())
    train(network, optimizer, 1)
    first = store.save(network_arrays(network), optimizer_arrays(optimizer, network), position(1))
    read = load_checkpoint(first, "TSN")
    resumed = FluidAdam(0.01, network.parameters())
    load_into_optimizer(resumed, network, read.optimizer, "w")
    second = store.save(read.weights, optimizer_arrays(resumed, network), position(2))
    assert load_checkpoint(second, "TSN").optimizer.keys() == read.optimizer.keys()


def test_damaged_weights_are_noticed_without_resuming_too(store):
    path = save(store, 1) / "model.pdparams"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    assert f"{path} is damaged" in error_of(load_weights, str(path.parent), "TSN")


def test_a_checkpoint_of_earlier_versions_without_sums_of_its_state_and_companions_is_read(store):
    path = save(store, 1)
    state = json.loads((path / "state.json").read_text())
    assert set(state["files"]) == {"model.pdparams", "optimizer.pdopt", "state.json"}
    del state["files"]["state.json"]
    (path / "state.json").write_text(json.dumps(state))
    assert load_checkpoint(path, "TSN").progress == position(1)
    store.add_to_state(path, best_score=0.5)
    assert json.loads((path / "state.json").read_text())["files"].keys() == {*state["files"], "state.json"}
    assert load_checkpoint(path, "TSN").progress.best_score == 0.5


def test_values_can_be_added_to_the_state(store):
    path = save(store, 1)
    store.add_to_state(path, best_score=0.5)
    assert json.loads((path / "state.json").read_text())["best_score"] == 0.5
    assert load_checkpoint(path, "TSN").progress.epoch == 1


@pytest.mark.parametrize("damage", ["not yet written", "cut", "gone"])
def test_a_best_whose_state_is_not_that_of_its_epoch_is_mended_by_the_next_run(store, damage):
    """Earlier versions wrote the state of the epoch first, and could be killed before that of the best."""
    paths = [save(store, epoch) for epoch in (1, 2, 3)]
    best = store.set_best(paths[1]) / "state.json"
    for number, path in enumerate(paths):
        scored = min(number, 1)
        store.add_to_state(path, validated=True, best_score=scored / 2, best_epoch=scored)
    if damage == "not yet written":
        store.add_to_state(store.best_path, validated=False)
    else:
        best.write_text(best.read_text()[:-20]) if damage == "cut" else best.unlink()
    reopen(store)
    assert best.read_bytes() == (paths[1] / "state.json").read_bytes()
    assert load_checkpoint(store.best_path, "TSN").progress.epoch == 2


def test_a_best_is_not_given_the_state_of_other_weights(store):
    best = store.set_best(save(store, 1))
    store.add_to_state(best, validated=False)
    before = (best / "state.json").read_bytes()
    weights = {"fc.weight": np.full((2, 3), 7, np.float32)}
    for epoch, state in enumerate(({}, {"files": {}}, {"files": 3}, {"epoch": "x"}, {"epoch": None}), start=2):
        other = store.save(weights, {}, position(epoch))
        store.add_to_state(other, **{"validated": True, "best_epoch": epoch - 1} | state)
    reopen(store)
    assert (best / "state.json").read_bytes() == before


def test_a_run_that_resumes_drops_what_it_should_have_dropped_when_it_was_killed(store):
    for epoch in (1, 2, 3):
        latest = save(store, epoch)
    store.set_best(latest)
    state = TrainingState(None, None, position(3), None, None)
    store.keep = 1
    set_later_aside(state, store, load_checkpoint(latest, "TSN"), here=False)  # another run, which moves them away
    (moved,) = store.save_dir.glob("TSN_before_*")
    assert listing(moved) == ["TSN_best", "TSN_epoch0", "TSN_epoch1", "TSN_epoch2"]
    for epoch in (1, 2, 3):
        (moved / f"TSN_epoch{epoch - 1}").rename(store.save_dir / f"TSN_epoch{epoch - 1}")
    set_later_aside(state, store, load_checkpoint(latest, "TSN"), here=True)
    assert names(store) == ["TSN_epoch2"]
