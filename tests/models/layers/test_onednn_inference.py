"""A ResNet and StNet's blocks in test mode by oneDNN, beside Paddle's own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
import pytest

import models  # noqa: F401
from models.layers.onednn.inference import FoldedBottleneck
from models.layers.onednn.library import Layout, Memory
from models.layers.resnet import Bottleneck, ResNet
from models.stnet.stnet import STNET
from models.tsn.tsn import TSN
from tests.conftest import PROJECT, clean_env
from tests.models.layers.test_onednn import computes_bf16, needs_onednn

pytestmark = needs_onednn
CLASSES, PIXELS = 7, {"image_mean": [0.5] * 3, "image_std": [0.2] * 3}
dtypes = pytest.mark.parametrize(
    ("dtype", "largest"), [("float32", 1e-5), pytest.param("bfloat16", 0.05, marks=computes_bf16)]
)


def random(*shape, seed=0):
    return paddle.to_tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def settle(network):
    """As after training: statistics and scales of every normalisation are its own."""
    generator = np.random.default_rng(0)
    for name, tensor in network.state_dict().items():
        low, high = {"_mean": (-0.3, 0.3), "_variance": (0.5, 2.0)}.get(name.rpartition(".")[2], (0, 0))
        low, high = (-0.5, 0.7) if "norm.weight" in name else (-0.2, 0.2) if "norm.bias" in name else (low, high)
        if high:
            tensor.set_value(generator.uniform(low, high, tensor.shape).astype(np.float32))
    network.eval()
    return network


def hold(expected, found, largest):
    """largest: difference, as a share of the largest number."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < largest * float(expected.abs().max())


@pytest.fixture(scope="module", params=[3, 6, 15])
def resnet(request):
    paddle.seed(0)
    return settle(ResNet(50, in_channels=request.param)), request.param


@dtypes
def test_a_resnet_gives_paddles_maps_for_batches_of_several_sizes_in_turn(resnet, dtype, largest):
    network, channels = resnet
    inputs = [random(count, channels, size, size, seed=count) for count, size in ((1, 64), (3, 64), (1, 64), (2, 45))]
    kept = [x.clone() for x in inputs]
    with paddle.no_grad():
        expected = [network(x) for x in inputs]
        network.infer_by_onednn(dtype)
        for x, before, one in zip(inputs, kept, expected, strict=True):
            hold(one, network(x), largest)
            assert bool((x == before).all())
    network._folded = None


@pytest.mark.parametrize("segments", [1, 2, 5])
@dtypes
def test_stnet_gives_paddles_logits_for_any_number_of_segments(segments, dtype, largest):
    paddle.seed(0)
    network = settle(STNET(50, CLASSES, seglen=5, **PIXELS))
    x = random(2, segments, 15, 64, 64)
    with paddle.no_grad():
        expected = network(x)
        network.infer_by_onednn(dtype)
        hold(expected, network(x), largest)
        hold(expected[:1], network(x[:1]), largest)


@dtypes
def test_tsn_gives_paddles_logits_also_of_bytes(dtype, largest):
    paddle.seed(0)
    network = settle(TSN(50, CLASSES, **PIXELS))
    x = paddle.to_tensor(np.random.default_rng(0).integers(0, 256, (2, 3, 3, 64, 64), np.uint8))
    with paddle.no_grad():
        expected = network(x)
        network.infer_by_onednn(dtype)
        hold(expected, network(x), largest)


def test_training_goes_on_in_paddle_and_the_weights_are_those_of_the_call():
    paddle.seed(0)
    network = settle(ResNet(50))
    x = random(2, 3, 32, 32)
    with paddle.no_grad():
        expected = network(x)
        network.infer_by_onednn()
        network.conv1.conv.weight.set_value(network.conv1.conv.weight * 0.5)
        hold(expected, network(x), 1e-5)
        network.infer_by_onednn()
        assert float((network(x) - expected).abs().max()) > 1e-3 * float(expected.abs().max())
    network.train()
    network(x).sum().backward()
    assert network.conv1.conv.weight.grad is not None


def test_a_temporal_block_has_the_weights_of_the_call():
    paddle.seed(0)
    network = settle(STNET(50, CLASSES, seglen=5, **PIXELS))
    x = random(1, 3, 15, 32, 32)
    with paddle.no_grad():
        network.infer_by_onednn("float32")
        before = network(x)
        for tensor in network.temporal1.state_dict().values():
            tensor.set_value(tensor * 2 + 1)
        assert bool((network(x) == before).all())


@dtypes
def test_threads_that_compute_at_once_do_not_disturb_one_another(dtype, largest):
    """As oneDNN lets others run meanwhile, and operations of the same shape are shared by all networks."""
    paddle.seed(0)
    block = settle(Bottleneck(64, 64, 2))
    folded = [FoldedBottleneck(block, dtype) for _ in range(2)]
    inputs = [random(2, 64, 56, 56, seed=seed) for seed in range(2)]

    def run(i):
        maps = Memory.of(inputs[i]).to(Layout.of_maps(inputs[i].shape, dtype))
        y = folded[i](maps)
        return y.copy_to(Memory.of(paddle.empty(y.layout.shape))).tensor.numpy()

    expected = [run(0), run(1)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, [0, 1] * 200))
    assert all((one == expected[i % 2]).all() for i, one in enumerate(found))


STEP = """
import sys
import paddle
from models.layers.onednn.library import load_onednn
from models.layers.resnet import ResNet
network, x = ResNet(50, in_channels=int(sys.argv[1])), paddle.randn([1, int(sys.argv[1]), 96, 96])
network.train_by_onednn(sys.argv[2])
network(x).sum().backward()
network.eval()
network.infer_by_onednn(sys.argv[2])
network(x)
"""


@pytest.mark.parametrize("channels", [3, 15])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=computes_bf16)])
def test_nothing_is_computed_by_the_plain_loops_of_onednn(channels, dtype):
    """Which it says nothing of, and which take a thousand times as long."""
    command = [sys.executable, "-c", STEP, str(channels), dtype]
    env = {**clean_env(), "ONEDNN_VERBOSE": "1"}
    shown = subprocess.run(
        command, cwd=PROJECT, env=env, capture_output=True, text=True, check=True, timeout=300
    ).stdout
    ran = [line.split(",")[5:7] for line in shown.splitlines() if ",exec,cpu," in line]
    assert {"convolution", "pooling"} <= {kind for kind, _ in ran}
    assert not [one for one in ran if one[1].startswith("ref")]
