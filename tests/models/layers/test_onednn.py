"""A ResNet's layers in training by oneDNN, beside Paddle's own."""

import copy

import numpy as np
import paddle
import pytest

from models.layers import resnet as resnet_module
from models.layers.onednn import library
from models.layers.onednn.part import train_part
from models.layers.resnet import Bottleneck, ConvNorm, ResNet
from tools.errors import ConfigError
from tools.runtime.cpu import WITHOUT_AVX2, find_onednn, name_vectors

needs_onednn = pytest.mark.skipif(find_onednn() is None, reason="this Paddle holds no oneDNN")
pytestmark = needs_onednn
# A little of bfloat16 is 2**-8 of a number, as it has 8 bits. AVX-512 without bfloat16 computes the same, only slowly.
computes_bf16 = pytest.mark.skipif(name_vectors() != "AVX-512", reason="oneDNN has no bfloat16 without AVX-512")


def random(*shape, seed=0):
    return paddle.to_tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


class Stem(ResNet):
    """The beginning of a ResNet alone."""

    def __init__(self, in_channels):
        paddle.nn.Layer.__init__(self)
        self.conv1 = ConvNorm(in_channels, 64, 7, stride=2)

    def forward(self, x):
        return self.stem(x)


def set_norms(layer, kinks):
    """With kinks relu lets through about a half of each channel, and rounding decides on some; without, all or none."""
    generator = np.random.default_rng(0)
    for name, parameter in layer.named_parameters():
        spread = generator.uniform(0.2, 0.4, parameter.shape)
        if name.endswith("norm.weight"):
            parameter.set_value((3 * spread if kinks else spread).astype(np.float32))
        elif name.endswith("norm.bias"):
            far = (6.0 if "branch1" in name else 2.5) * generator.choice([-1.0, 1.0], parameter.shape)
            parameter.set_value((spread - 0.3 if kinks else far).astype(np.float32))


def compare(layer, x, kinks, by_onednn, largest, noise=1):
    """Hold maps, all gradients and running statistics of one step against Paddle's; weights are those of ``layer``.

    largest: the norm of a difference, as a share of that of Paddle's; some gradients are 0 but for rounding, as that of
    a constant before a normalisation, so that ``noise`` is added to the latter.
    """
    set_norms(layer, kinks)
    twin = copy.deepcopy(layer)
    inputs = [x.clone().detach() for _ in range(2)]
    for one in inputs:
        one.stop_gradient = False
    expected, found = layer(inputs[0]), by_onednn(twin, inputs[1])
    weights = random(*expected.shape, seed=1)
    for y in (expected, found):
        (y * weights).sum().backward()
    pairs = {"maps": (expected, found), "x": (inputs[0].grad, inputs[1].grad)}
    for (name, one), other in zip(layer.named_parameters(), twin.parameters(), strict=True):
        if not one.stop_gradient:
            pairs[f"gradient of {name}"] = one.grad, other.grad
    pairs |= {name: (tensor, twin.state_dict()[name]) for name, tensor in layer.state_dict().items()}
    differences = {name: float((other - one).norm() / (one.norm() + noise)) for name, (one, other) in pairs.items()}
    assert max(differences.values()) < largest, differences


@pytest.mark.parametrize(("channels", "stride"), [(256, 1), (64, 1), (128, 2)])
@pytest.mark.parametrize(("size", "kinks"), [(7, False), (10, False), (10, True)])
def test_a_bottleneck_has_the_maps_gradients_and_statistics_of_paddles(channels, stride, size, kinks):
    paddle.seed(0)
    layer, x = Bottleneck(channels, 64, stride), random(3, channels, size, size) * 0.3
    compare(layer, x, kinks, lambda twin, x: train_part(x, None, [twin]), 0.05 if kinks else 2e-3)


@computes_bf16
@pytest.mark.parametrize(("channels", "stride"), [(256, 1), (64, 1), (128, 2)])
@pytest.mark.parametrize("kinks", [False, True])
def test_a_bottleneck_in_bfloat16_is_near_paddles_in_float32(channels, stride, kinks):
    paddle.seed(0)
    layer, x = Bottleneck(channels, 64, stride), random(3, channels, 10, 10) * 0.3
    largest = 0.2 if kinks else 0.05
    compare(layer, x, kinks, lambda twin, x: train_part(x, None, [twin], "bfloat16"), largest, noise=30)


@computes_bf16
@pytest.mark.parametrize("in_channels", [3, 15])
def test_the_stem_in_bfloat16_is_near_paddles_in_float32(in_channels):
    paddle.seed(0)
    x = random(2, in_channels, 45, 45)
    compare(Stem(in_channels), x, True, lambda twin, x: train_part(x, twin.conv1, [], "bfloat16"), 0.2, noise=30)


@pytest.mark.parametrize("in_channels", [3, 15])
@pytest.mark.parametrize("size", [32, 45])
def test_the_stem_has_the_maps_gradients_and_statistics_of_paddles(in_channels, size):
    paddle.seed(0)
    x = random(2, in_channels, size, size)
    compare(Stem(in_channels), x, True, lambda twin, x: train_part(x, twin.conv1, []), 0.05)


@pytest.fixture(scope="module", params=["float32", pytest.param("bfloat16", marks=computes_bf16)])
def network(request):
    paddle.seed(0)
    network = ResNet(50)
    network.train_by_onednn(request.param)
    return network


def test_a_step_is_repeated_to_the_bit(network):
    network.train()
    x, start = random(2, 3, 64, 64), {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def step():
        network.set_state_dict(start)
        y = network(x)
        y.sum().backward()
        gradients = [one.grad.numpy() for one in network.parameters() if not one.stop_gradient]
        network.clear_gradients()
        return [y.numpy(), *gradients, *(tensor.numpy() for tensor in network.state_dict().values())]

    assert all((one == other).all() for one, other in zip(step(), step(), strict=True))


def test_in_test_mode_paddle_computes(network, monkeypatch):
    network.eval()
    monkeypatch.setattr(resnet_module, "train_part", None)
    x = random(1, 3, 32, 32)
    assert network(x).shape == [1, 2048, 1, 1]


def test_what_is_not_trained_gets_no_gradient():
    layer = Bottleneck(64, 64, 1)
    layer.branch2a.conv.weight.stop_gradient = True
    x = random(2, 64, 8, 8)
    train_part(x, None, [layer]).sum().backward()
    assert layer.branch2a.conv.weight.grad is None
    assert x.grad is None
    assert layer.branch2b.conv.weight.grad is not None


def test_training_by_plain_loops_is_refused(monkeypatch):
    monkeypatch.setattr(resnet_module, "name_vectors", lambda: WITHOUT_AVX2)
    with pytest.raises(ConfigError, match="--conv-engine onednn needs a processor with AVX2"):
        ResNet(50).train_by_onednn()


def test_a_paddle_without_onednn_is_one_clear_error(monkeypatch, tmp_path):
    damaged = tmp_path / "libdnnl.so.3"
    damaged.write_bytes(b"damaged")
    try:
        for path, reason in ((None, "none is in this one"), (damaged, "it cannot be loaded here .*libdnnl")):
            monkeypatch.setattr(library, "find_onednn", lambda path=path: path)
            library.load_onednn.cache_clear()
            for act in (ResNet.train_by_onednn, ResNet.infer_by_onednn):
                with pytest.raises(ConfigError, match=f"--engine onednn need oneDNN 3, .*, but {reason}"):
                    act(ResNet(50))
    finally:
        library.load_onednn.cache_clear()
