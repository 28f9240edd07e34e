"""Training goes on from a folder of 2019: weights, moments, steps and epoch."""

import numpy as np
import pytest

from models.optimizers import FluidAdam
from tests.conftest import run_script
from tests.tools.weights.golden_networks import golden_arrays, training_state
from tools.config.flags import ConfigSource
from tools.training.checkpoint import Progress
from tools.training.fluid_checkpoint import as_checkpoint
from tools.training.optimizer_state import load_into_optimizer, optimizer_arrays
from tools.weights.files import FLUID_FOLDER, WeightFile, load_weights
from tools.weights.fluid_files import write_folder
from tools.weights.fluid_names import trained_names, variables_of
from tools.weights.networks import build_network

pytestmark = pytest.mark.usefixtures("no_sync")


def resumed(network, optimizer, path, name="NEXTVLAD"):
    progress = Progress(batch_size=8, seed=0, records=40, data=1)
    return as_checkpoint(load_weights(str(path), name), network, optimizer, progress, 100, name)


def test_a_training_folder_of_2019_goes_on_with_weights_moments_steps_and_epoch(nextvlad, tmp_path):
    network, arrays = nextvlad
    state = training_state(network, arrays, steps=250)
    write_folder(tmp_path / "NEXTVLAD_epoch3", arrays | state)
    optimizer = FluidAdam(0.01, network.parameters())
    checkpoint = resumed(network, optimizer, tmp_path / "NEXTVLAD_epoch3")
    assert (checkpoint.progress.epoch, checkpoint.progress.steps_taken) == (4, 250)
    assert checkpoint.notes == ("the best score is looked for anew",)
    load_into_optimizer(optimizer, network, checkpoint.optimizer, "x")
    kept = optimizer_arrays(optimizer, network)
    assert kept["steps"] == 250
    for own, name in trained_names(network).items():
        np.testing.assert_array_equal(kept[f"moment1/{own}"], state[f"{name}_moment1_0"])
        np.testing.assert_array_equal(kept[f"beta2_pow_acc/{own}"], state[f"{name}_beta2_pow_acc_0"])


def test_moments_of_1x1_convolutions_turn_with_their_weights(golden, tmp_path):
    run = golden("AttentionCluster")
    arrays = golden_arrays(run)
    state = training_state(run.network, arrays)
    write_folder(tmp_path / "w", arrays | state)
    checkpoint = resumed(run.network, FluidAdam(0.1, run.network.parameters()), tmp_path / "w", "AttentionCluster")
    found = checkpoint.optimizer["moment1/attention.0.score.weight"]
    np.testing.assert_array_equal(found, state["satt0.conv.weight_moment1_0"][:, :, 0, 0].T)
    assert checkpoint.optimizer["moment2/attention.1.scale"].shape == (3, 1)


def test_what_a_folder_does_not_hold_starts_afresh_and_is_named(nextvlad, tmp_path):
    network, arrays = nextvlad
    optimizer = FluidAdam(0.01, network.parameters())
    write_folder(tmp_path / "w", arrays)
    checkpoint = resumed(network, optimizer, tmp_path / "w")
    assert checkpoint.optimizer is None
    assert checkpoint.notes == (
        "the optimizer is newly initialised: there is none of its state",
        "epochs are counted from 0: w is not called NEXTVLAD_epoch and a number",
        "the steps taken are not known, having no @LR_DECAY_COUNTER@: the learning rate continues as after 0 steps, "
        "0 epochs of 100",
        "the best score is looked for anew",
    )
    state = training_state(network, arrays)
    del state["gating_fc1_weights_moment2_0"]
    write_folder(tmp_path / "nextvlad_epoch1", arrays | state)
    checkpoint = resumed(network, optimizer, tmp_path / "nextvlad_epoch1")
    assert (checkpoint.progress.epoch, checkpoint.progress.steps_taken) == (2, 3)
    assert "the optimizer is newly initialised: there is no gating_fc1_weights_moment2_0" in checkpoint.notes


@pytest.mark.parametrize("name", [pytest.param("AttentionLSTM", marks=pytest.mark.slow), "TSN"])
def test_the_state_of_every_optimizer_of_2019_has_its_place(name, golden):
    run = golden(name)
    arrays = golden_arrays(run)
    kinds = {"AttentionLSTM": ("momentum", "mean_square", "mean_grad"), "TSN": ("velocity",)}[name]
    trained = trained_names(run.network)
    state = {
        f"{variable}_{kind}_0": np.broadcast_to(np.float32(1), arrays[variable].shape)
        for variable in trained.values()
        for kind in kinds
    }
    file = WeightFile("w", FLUID_FOLDER, arrays | state)
    progress = Progress(batch_size=8, seed=0, records=40, data=1)
    checkpoint = as_checkpoint(file, run.network, run.optimizer, progress, 100, name)
    assert checkpoint.optimizer.keys() == {f"{kind}/{own}" for own in trained for kind in kinds}
    load_into_optimizer(run.optimizer, run.network, checkpoint.optimizer, "x")


def test_training_goes_on_from_a_folder_of_2019_in_the_script(trained_copy):
    network = build_network("AttentionCluster", ConfigSource(str(trained_copy / "tiny.txt")))
    own = load_weights(str(trained_copy / "checkpoints" / "AttentionCluster_epoch0"), "AttentionCluster").arrays
    arrays = {
        item.name: item.layout.to_released(own[key]) for key, item in variables_of(network, released=True).items()
    }
    state = training_state(network, arrays)
    del state["@LR_DECAY_COUNTER@"]  # Adam at a constant rate had none
    (trained_copy / "old").mkdir()
    write_folder(trained_copy / "old" / "AttentionCluster_epoch1", arrays | state)
    run = ["--valid-interval=0", "--epoch=3", "--save-dir=new"]
    result = run_script("train", "--resume=old/AttentionCluster_epoch1", *run, cwd=trained_copy)
    text = result.stdout
    assert (
        "resumed old/AttentionCluster_epoch1: weights, optimizer and 3 steps of the schedule; next is epoch 2" in text
    )
    assert sorted(path.name for path in (trained_copy / "new").iterdir() if path.is_dir()) == [
        "AttentionCluster_epoch1",
        "AttentionCluster_epoch2",
    ]
