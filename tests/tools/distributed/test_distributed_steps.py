"""Steps of several processes, and steps accumulated, change the weights as those of one process do."""

import subprocess
import sys
from collections import Counter

import numpy as np
import paddle
import pytest

from datareader.sharding import Shard
from models.layers.resnet import Bottleneck
from models.stnet.stnet import TemporalBlock, TemporalXception
from tests.conftest import PROJECT, clean_env
from tests.distributed_steps import build, split, statistics_of, take_steps, write_eigenvalues
from tools.distributed.group import ProcessGroup

# Weights change by 1e-6 to 1e-2. Sums of 1e4 numbers in float64, in any order, are the same to 1e4 * 2**-53 = 1e-12,
# and three steps multiply that by up to a thousand.
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def steps_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    write_eigenvalues(folder)
    return folder


@pytest.mark.parametrize("name", ["AttentionCluster", pytest.param("AttentionLSTM", marks=pytest.mark.slow)])
def test_a_batch_accumulated_in_four_parts_changes_the_weights_as_a_whole_one(name, steps_folder):
    whole = take_steps(name, steps_folder, ProcessGroup(), plain=True)
    parts = take_steps(name, steps_folder, ProcessGroup(), accumulate=4, plain=True)
    before = dict(build(name, steps_folder)[0].state_dict())
    for key, expected in whole.items():
        assert key == "losses" or np.abs(expected - before[key].numpy()).max() > 0 or "score.bias" in key
        rounding = 1e-6 if key == "losses" else ROUNDING
        np.testing.assert_allclose(parts[key], expected, rtol=0, atol=rounding * max(1, np.abs(expected).max()))


def test_sync_batch_norm_keeps_names_and_values_so_that_released_weights_fit():
    paddle.seed(0)
    network = paddle.nn.Sequential(Bottleneck(8, 2, 1), TemporalBlock(4), TemporalXception(6, 4))
    before = {name: value.numpy() for name, value in network.state_dict().items()}
    names = {value.name: name for name, value in network.state_dict().items()}
    converted = paddle.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    kinds = Counter(type(layer).__name__ for layer in converted.sublayers())
    assert kinds["SyncBatchNorm"] == 3 + 1 + 3
    assert not {"BatchNorm1D", "BatchNorm2D", "BatchNorm3D"} & kinds.keys()
    after = converted.state_dict()
    assert list(after) == list(before)
    assert {value.name: name for name, value in after.items()} == names
    assert all((after[name].numpy() == value).all() for name, value in before.items())
    assert sum(not value.stop_gradient for value in after.values()) == sum(
        not name.endswith(("._mean", "._variance")) for name in after
    )


WITH_BATCH_NORM = ("NEXTVLAD", "TSN", "STNET")


def run_steps(folder, world, accumulate, *names):
    command = [sys.executable, "-m", "tests.distributed_steps", str(folder), str(world), str(accumulate), *names]
    subprocess.run(command, cwd=PROJECT, env=clean_env(), check=True, timeout=600)


def require_same_steps(name, folder, world, expected):
    """Three steps of so many processes against those of one, ``expected``, which normalised over the same batches."""
    found = np.load(folder / f"{name}_{world}x1.npz")
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-6)  # of float32
    for key, value in expected.items():
        if key == "losses" or "statistics0/" in key or key.endswith(("._mean", "._variance")):
            continue
        np.testing.assert_allclose(found[key], value, rtol=0, atol=ROUNDING, err_msg=key)
    statistics = [statistics_of_shard(name.partition("+")[0], folder, Shard(rank, world)) for rank in range(world)]
    for key in statistics[0]:
        mean = np.mean([part[key] for part in statistics], axis=0)
        np.testing.assert_allclose(found[f"statistics0/{key}"], mean, rtol=ROUNDING, atol=ROUNDING, err_msg=key)


def statistics_of_shard(name, folder, shard):
    """The running statistics after one forward pass over a process's share of the first step."""
    network = build(name, folder)[0]
    network.train()
    (batch,) = split(name, 0, shard, accumulate=1)
    network(*map(paddle.to_tensor, batch.inputs))
    return statistics_of(network)


def test_two_processes_take_the_steps_of_one(steps_folder):
    weighted = "AttentionCluster+weighted"
    run_steps(steps_folder, 2, 1, "AttentionCluster", weighted, "NEXTVLAD")
    found = {}
    for name, accumulate in (("AttentionCluster", 1), (weighted, 1), ("NEXTVLAD", 2)):
        found[name] = take_steps(name, steps_folder, ProcessGroup(), accumulate)
        require_same_steps(name, steps_folder, 2, found[name])
    assert abs(found[weighted]["losses"][0] - found["AttentionCluster"]["losses"][0]) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_all_models_take_the_steps_of_one_process(steps_folder, world):
    names = ("AttentionCluster", "AttentionLSTM")
    normalising = (*WITH_BATCH_NORM, "TSN+weighted")
    run_steps(steps_folder, world, 1, *names, *normalising)
    run_steps(steps_folder, 1, 1, *names)
    run_steps(steps_folder, 1, world, *normalising)
    for name in (*names, *normalising):
        accumulate = world if name in normalising else 1
        require_same_steps(name, steps_folder, world, np.load(steps_folder / f"{name}_1x{accumulate}.npz"))
