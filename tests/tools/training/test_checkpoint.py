"""Checkpoints on disk: complete or absent, found in order, and matched to networks by name and shape."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from models.optimizers import FluidAdam, split_parameters
from tools.errors import CheckpointError
from tools.training.checkpoint import (
    CheckpointStore,
    Progress,
    load_checkpoint,
    load_into_optimizer,
    network_arrays,
    optimizer_arrays,
)
from tools.weights.files import load_weights
from tools.weights.loading import load_into_network, own_file

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


def error_of(function, *arguments, **options):
    with pytest.raises(CheckpointError) as error:
        function(*arguments, **options)
    return str(error.value)


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

    monkeypatch.setattr("tools.training.checkpoint.open", refuse, raising=False)
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
    store.set_aside(after=(2, 0))
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


def test_files_that_are_no_weights_are_named(tmp_path):
    path = tmp_path / "x.pdparams"
    for content, message in (
        (b"junk", "x.pdparams is no file of weights, but a file that begins b'junk'"),
        (b"\x80\x04junk", "x.pdparams cannot be read (Un"),
        (pickle.dumps([1]), "x.pdparams holds a list, expected weights by name"),
        (pickle.dumps({"a": "text"}), "x.pdparams: 'a' is not an array under a name, so this is no file of weights"),
        (pickle.dumps({"a": os.getcwd}), "x.pdparams cannot be read (UnsafePickle: it names posix.getcwd"),
    ):
        path.write_bytes(content)
        assert message in error_of(load_weights, str(path), "TSN")


class Network(nn.Layer):
    classifier = "last"

    def __init__(self, num_classes=4):
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.last = nn.Linear(5, num_classes)

    def forward(self, x):
        return self.last(self.first(x))


def test_what_paddle_saves_itself_is_read(tmp_path):
    network = Network()
    paddle.save(network.state_dict(), str(tmp_path / "x.pdparams"))
    match = load_into_network(Network(), load_weights(str(tmp_path / "x.pdparams"), "TSN"))
    assert str(match) == "4 matched, 0 missing, 0 unexpected, 0 mismatched"


def test_weights_that_do_not_fit_are_named_with_both_shapes():
    weights = network_arrays(Network(7))
    del weights["first.bias"]
    weights["extra"] = np.zeros(1)
    message = error_of(load_into_network, Network(4), own_file("w", weights))
    assert message == (
        "w does not fit this network: 1 matched, 1 missing (first.bias), 1 unexpected (extra), "
        "2 mismatched (last.weight [5, 7] for [5, 4], last.bias [7] for [4])"
    )


def test_no_match_at_all_is_an_error():
    assert "no weight fits this network" in error_of(load_into_network, Network(), own_file("w", {"a": np.zeros(1)}))


def test_another_number_of_classes_skips_the_classifier_only_when_fine_tuning():
    source, target = Network(7), Network(4)
    match = load_into_network(target, own_file("w", network_arrays(source)), fine_tune=True)
    assert match.matched == ["first.weight", "first.bias"]
    assert match.notes == ["newly initialised, classifier: last.weight [5, 7] for [5, 4], last.bias [7] for [4]"]
    np.testing.assert_array_equal(target.first.weight.numpy(), source.first.weight.numpy())
    wrong = network_arrays(source) | {"first.bias": np.zeros(9, np.float32)}
    assert "first.bias [9] for [5]" in error_of(load_into_network, target, own_file("w", wrong), fine_tune=True)


def train(network, optimizer, steps):
    x = paddle.to_tensor(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    for _ in range(steps):
        (network(x) ** 2).sum().backward()
        optimizer.step()
        optimizer.clear_grad()


def adam(network):
    return FluidAdam(0.01, network.parameters())


def grouped_adam(network):
    last, others = split_parameters(network, lambda name: name.startswith("last"))
    return FluidAdam(0.01, [{"params": last, "weight_decay": 0.1}, {"params": others}])


def grouped_rmsprop(network):
    bias, others = split_parameters(network, lambda name: name.endswith("bias"))
    groups = [{"params": others, "weight_decay": 0.1}, {"params": bias}]
    return paddle.optimizer.RMSProp(0.01, rho=0.95, epsilon=1e-6, centered=True, parameters=groups)


@pytest.mark.parametrize("build", [adam, grouped_adam, grouped_rmsprop])
def test_an_optimizer_goes_on_with_the_same_bits_where_parameters_have_other_names(build):
    network = Network()
    optimizer = build(network)
    train(network, optimizer, 3)
    weights = {name: value.copy() for name, value in network_arrays(network).items()}
    state = pickle.loads(pickle.dumps(optimizer_arrays(optimizer, network)))
    train(network, optimizer, 3)

    other = Network()  # whose parameters Paddle names otherwise, as another process may
    load_into_network(other, own_file("w", weights))
    resumed = build(other)
    load_into_optimizer(resumed, other, state, "w")
    train(other, resumed, 3)
    for name, value in network_arrays(network).items():
        np.testing.assert_array_equal(network_arrays(other)[name], value)


def test_weight_decay_reaches_its_own_group_only():
    network = Network()
    before = network_arrays(network)
    optimizer = grouped_rmsprop(network)
    (network(paddle.zeros([1, 3])) * 0).sum().backward()
    optimizer.step()
    after = network_arrays(network)
    assert (before["first.weight"] != after["first.weight"]).all()
    np.testing.assert_array_equal(before["first.bias"], after["first.bias"])


def test_the_state_of_the_optimizer_is_kept_under_the_network_s_names():
    network = Network()
    optimizer = FluidAdam(0.01, network.parameters())
    train(network, optimizer, 2)
    arrays = optimizer_arrays(optimizer, network)
    assert arrays["steps"] == 2
    assert arrays["moment1/first.weight"].shape == (3, 5)
    assert {key.partition("/")[0] for key in arrays} == {
        "moment1",
        "moment2",
        "beta1_pow_acc",
        "beta2_pow_acc",
        "steps",
    }


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
    path.write_text(change if isinstance(change, str) else json.dumps(state | change))
    assert "TSN_epoch0" in error_of(load_checkpoint, path.parent, "TSN")


@pytest.mark.parametrize(
    "change",
    [
        {"steps": -1}, {"steps": "x"}, {"moment1/none": np.zeros((3, 5), np.float32)}, {5: 1},
        {"moment1/first.weight": np.zeros((5, 3), np.float32)}, {"moment1/first.weight": np.zeros((3, 5), np.int64)},
        {"moment1/first.weight": None},
    ],
    ids=str,
)  # fmt: skip
def test_an_optimizer_state_of_another_network_is_refused(change):
    network = Network()
    optimizer = FluidAdam(0.01, network.parameters())
    train(network, optimizer, 1)
    arrays = optimizer_arrays(optimizer, network)
    assert "w: " in error_of(load_into_optimizer, FluidAdam(0.01, network.parameters()), network, arrays | change, "w")
    del arrays["moment1/first.weight"]
    assert "moment1 of first.weight is missing" in error_of(load_into_optimizer, optimizer, network, arrays, "w")


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


def test_weights_that_are_not_finite_or_not_numbers_are_refused(tmp_path):
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"first.bias": np.array([np.nan], np.float32)}))
    assert "first.bias holds values that are not finite" in error_of(load_weights, str(path), "TSN")
    network = Network()
    whole = network_arrays(network)
    message = error_of(load_into_network, network, own_file("w", whole | {"first.bias": np.zeros(5, np.int64)}))
    assert message == "w: first.bias holds int64, expected float32"
    load_into_network(network, own_file("w", {name: value.astype(np.float64) for name, value in whole.items()}))


def test_damaged_weights_are_noticed_without_resuming_too(store):
    path = save(store, 1) / "model.pdparams"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    assert f"{path} is damaged" in error_of(load_weights, str(path.parent), "TSN")


def test_values_can_be_added_to_the_state(store):
    path = save(store, 1)
    store.add_to_state(path, best_score=0.5)
    assert json.loads((path / "state.json").read_text())["best_score"] == 0.5
    assert load_checkpoint(path, "TSN").progress.epoch == 1
