"""Inception gives the numbers of the released graph, from a frame to the bytes of YouTube-8M, and mistakes are seen."""

import sys

import numpy as np
import paddle
import pytest
from paddle import nn

from datareader.youtube8m import pixels, vectors
from datareader.youtube8m.pixels import resize_frame
from datareader.youtube8m.vectors import make_projection, quantize_rounding
from models.inception2015 import inception2015
from models.inception2015.inception2015 import Inception2015, constant_shapes, load_constants
from tests.conftest import PROJECT
from tests.yt8m_mistakes import place_by_centres, place_in_float64
from tests.yt8m_recipe import checksum, find_difference, image, inception_weights, load_golden, used_visual_pca
from tools.errors import CheckpointError
from tools.inference.predictor import Engine
from tools.weights.extractor_names import inception_shapes

NUMBERS, ARRAYS = load_golden("inception")
KEYS = ("a", "b")
BEFORE, AFTER = ("resized", "scaled"), ("pool_3", "pca", "bytes")
ACTIVATIONS = tuple(NUMBERS["images"]["a"]["activations"])


@pytest.fixture(scope="module")
def constants():
    return inception_weights()


@pytest.fixture(scope="module")
def network(constants):
    network = Inception2015()
    load_constants(network, constants)
    network.eval()
    return network


def run(network, x):
    with paddle.no_grad():
        return network(paddle.to_tensor(x)).numpy()


def compute_all(network, keys):
    """Picture -> name -> array with a first axis of 1, of every number that the goldens have of it."""
    frames = np.stack([resize_frame(image(key)) for key in keys])
    found = {"resized": frames.transpose(0, 2, 3, 1)}
    layers = dict(network.named_sublayers())

    def keep(name, tensor):
        found[name] = tensor.transpose([0, 2, 3, 1]).numpy()

    hooks = [network.conv.register_forward_pre_hook(lambda layer, inputs: keep("scaled", inputs[0]))]
    for name in ACTIVATIONS:
        hook = lambda layer, inputs, output, name=name: keep(name, output)  # noqa: E731
        hooks.append(layers[name.removesuffix("/join")].register_forward_post_hook(hook))
    try:
        found["pool_3"] = run(network, frames)
    finally:
        for hook in hooks:
            hook.remove()
    found["pca"] = make_projection(*used_visual_pca())(found["pool_3"])
    found["bytes"] = quantize_rounding(found["pca"])
    return {key: {name: values[i : i + 1] for name, values in found.items()} for i, key in enumerate(keys)}


def agrees(key, name, found):
    """Whether an array is as the golden says, within the tolerance for it."""
    numbers = NUMBERS["images"][key]
    if name == "resized":
        return checksum(found) == numbers["resized"]["sha256_float32"]
    if name == "scaled":
        return checksum(found) == numbers["scaled_sha256_float32"]
    if name in ACTIVATIONS:
        told = numbers["activations"][name]
        return find_difference(told, found) < 5e-4 * told["absmax"]
    if name == "bytes":
        differences = np.abs(found[0].astype(int) - ARRAYS[f"q_round_{key}"])
        return differences.max() <= 1 and (differences > 0).sum() <= 10
    tolerance = {"pool_3": 5e-3, "pca": 1e-3}[name]
    stored = ARRAYS[f"{name.replace('_', '')}_{key}"]
    return max(find_difference(numbers[name], found[0]), np.abs(found[0] - stored).max()) < tolerance


@pytest.fixture(scope="module")
def found(network):
    return compute_all(network, KEYS)


@pytest.mark.parametrize("name", [*BEFORE, *ACTIVATIONS, *AFTER])
@pytest.mark.parametrize("key", KEYS)
def test_every_number_is_that_of_the_released_graph(found, key, name):
    assert agrees(key, name, found[key][name])


# Mistakes: what is made with them -> the network


def centres(network, patch, constants):
    patch.setattr(pixels, "place_pixels", place_by_centres)
    return network


def places_in_float64(network, patch, constants):
    patch.setattr(pixels, "place_pixels", place_in_float64)
    return network


def blue_first(network, patch, constants):
    patch.setattr(sys.modules[__name__], "image", lambda key: image_as_made(key)[:, :, ::-1])
    return network


image_as_made = image


def scaled_to_1(network, patch, constants):
    patch.setattr(Inception2015, "scale_pixels", lambda self, x: x / 127.5 - 1)
    return network


def padding_counted(network, patch, constants):
    pools = [layer for layer in network.sublayers() if isinstance(layer, nn.AvgPool2D)]
    assert len(pools) == 9
    for layer in pools:
        patch.setattr(layer, "exclusive", False)
    return network


def mean_at_the_end(network, patch, constants):
    patch.setattr(network.mixed_10.tower_2.pool, "forward", inception2015.average_pool().forward)
    return network


def other_epsilon(network, patch, constants):
    patch.setattr(inception2015, "EPSILON", 1e-5)
    other = Inception2015()
    load_constants(other, constants)
    return other


def no_offset(network, patch, constants):
    patch.setattr(vectors, "EIGENVALUE_OFFSET", 0.0)
    return network


@pytest.mark.parametrize(
    ("mistake", "first", "mean", "most"),
    [
        (centres, "resized", 15.8, 84),
        (places_in_float64, "resized", 0.01, 1),
        (blue_first, "resized", 16.7, 91),
        (scaled_to_1, "scaled", 2.3, 13),
        (padding_counted, "mixed_1/join", 9.8, 55),  # of the first block, few of the told values are at an edge
        (mean_at_the_end, "mixed_10/join", 14.8, 63),
        (other_epsilon, "conv", 2.4, 10),
        (no_offset, "pca", 7.0, 65),
    ],
)
def test_a_usual_mistake_is_seen(network, constants, monkeypatch, mistake, first, mean, most):
    """In the first number that it touches, and by as much in the bytes as was measured of it."""
    found = compute_all(mistake(network, monkeypatch, constants), "a")["a"]
    wrong = [name for name in (*BEFORE, *ACTIVATIONS, *AFTER) if not agrees("a", name, found[name])]
    assert wrong[0] == first
    moved = np.abs(found["bytes"][0].astype(int) - ARRAYS["q_round_a"])
    assert moved.mean() == pytest.approx(mean, rel=0.02, abs=0.01)
    assert abs(int(moved.max()) - most) <= 1


# The network


def test_a_frame_has_the_same_features_alone_and_in_a_batch(network, found):
    alone = run(network, resize_frame(image("b"))[None])
    np.testing.assert_allclose(alone, found["b"]["pool_3"], atol=1e-3)


def test_bytes_are_taken_as_their_numbers(network):
    frame = np.random.default_rng(0).integers(0, 256, (1, 3, 299, 299), dtype=np.uint8)
    assert (run(network, frame) == run(network, frame.astype(np.float32))).all()


def test_the_inference_engine_answers_alike(network, found, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PADDLE_VIDEO_PROGRAMS", str(tmp_path))
    engine = Engine(network, (3, 299, 299), "fp32")
    frames = np.stack([resize_frame(image(key)) for key in KEYS])
    for chosen in ([0, 1], [1], [1, 0, 0]):
        features = engine(paddle.to_tensor(frames[chosen])).numpy()
        expected = np.concatenate([found[KEYS[i]]["pool_3"] for i in chosen])
        assert features.shape == expected.shape
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
        assert all(agrees(KEYS[i], "pool_3", features[place : place + 1]) for place, i in enumerate(chosen))
    assert capfd.readouterr() == ("", "")


# Its weights


def test_the_constants_are_those_of_the_graph_and_those_that_are_looked_for_in_it(constants):
    shapes = constant_shapes(Inception2015())
    assert shapes == {name: array.shape for name, array in constants.items()} == inception_shapes()
    assert len(constants) == 470
    assert sum(array.size for array in constants.values()) == 21_820_000


def test_the_page_counts_the_parameters(network):
    count = sum(parameter.size for parameter in network.parameters())
    assert f"{count:,} parameters" in (PROJECT / "models" / "inception2015" / "README.md").read_text()


def test_other_constants_of_the_graph_are_passed_over_and_float64_is_taken(network, constants):
    other = Inception2015()
    wider = {name: array.astype(np.float64) for name, array in constants.items()}
    load_constants(other, wider | {"softmax/weights": np.zeros((2048, 1008)), "Mul/y": np.float32(1 / 128)})
    values = network.state_dict()
    assert all((value == values[name]).all() for name, value in other.state_dict().items())


def changed(name, change):
    return lambda constants: constants | {name: change(constants[name])}


def with_value(value):
    return lambda array: np.where(np.arange(array.size).reshape(array.shape) == 1, value, array)


VARIANCE = "mixed_9/tower/mixed/conv/batchnorm/moving_variance"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda constants: {}, "470 of 470 weights are missing: conv/conv2d_params, .*, conv/batchnorm/.*, [.]{3}$"),
        (
            lambda constants: {name: array for name, array in constants.items() if name != VARIANCE},
            f"1 of 470 weights are missing: {VARIANCE}$",
        ),
        (
            changed("conv/conv2d_params", lambda array: array.transpose(3, 2, 0, 1)),
            r"conv/conv2d_params is \(32, 3, 3, 3\) float32; it should be \(3, 3, 3, 32\) of floating-point numbers$",
        ),
        (
            changed("conv_4/batchnorm/beta", lambda array: array.astype(int)),
            r"conv_4/batchnorm/beta is \(192,\) int64; ",
        ),
        (changed(VARIANCE, with_value(np.nan)), f"{VARIANCE} holds values that float32 does not have$"),
        (changed(VARIANCE, with_value(-0.5)), f"{VARIANCE} holds -0.5, less than 0$"),
        (
            lambda constants: changed("conv/batchnorm/gamma", with_value(3e38))(
                changed("conv/batchnorm/moving_variance", with_value(0.0))(constants)
            ),
            "conv gives weights that float32 does not have$",
        ),
    ],
)
def test_constants_of_another_graph_are_refused(constants, change, message):
    with pytest.raises(CheckpointError, match=f"^graph.pb: {message}"):
        load_constants(Inception2015(), change(constants), "graph.pb")
