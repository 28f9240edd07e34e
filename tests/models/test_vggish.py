"""VGGish gives the numbers of its authors' code, from a sound to the bytes of YouTube-8M, and mistakes are seen."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from datareader.youtube8m import log_mel
from datareader.youtube8m.log_mel import VGGISH as SIDE_BY_SIDE
from datareader.youtube8m.log_mel import YOUTUBE8M, hann_window, make_examples
from datareader.youtube8m.resample import mix_down, resample
from datareader.youtube8m.vectors import make_projection, quantize_truncating
from models.vggish.vggish import VGGish, load_variables, variable_shapes
from tests.conftest import PROJECT
from tests.yt8m_recipe import find_difference, load_golden, used_vggish_pca, vggish_weights, wave
from tools.errors import CheckpointError
from tools.inference.predictor import Engine
from tools.weights.extractor_names import vggish_shapes

NUMBERS, ARRAYS = load_golden("vggish")
ACTIVATIONS = tuple(NUMBERS["waves"]["noise32"]["activations"])
WAVES = ("chirp", "noise05", "noise32")


@pytest.fixture(scope="module")
def variables():
    return vggish_weights()


@pytest.fixture(scope="module")
def network(variables):
    network = VGGish()
    load_variables(network, variables)
    network.eval()
    return network


def run(network, x):
    with paddle.no_grad():
        return network(paddle.to_tensor(x)).numpy()


def examples_of(key, rule):
    samples, rate_hz = wave(key)
    return np.stack([*make_examples(resample([mix_down(samples)], rate_hz), rule)])


def compute_all(network, examples):
    """Name -> array, of every number that the goldens have of some examples; places before channels."""
    found, layers, hooks = {"examples": examples}, dict(network.named_sublayers()), []

    def keep(name, tensor):
        found[name] = (tensor.transpose([0, 2, 3, 1]) if tensor.ndim == 4 else tensor).numpy()

    for name in ACTIVATIONS:
        hook = lambda layer, inputs, output, name=name: keep(name, output)  # noqa: E731
        scope = name.rpartition("/")[0].replace("/", ".")
        hooks.append(layers[scope].register_forward_post_hook(hook))
    try:
        found["embedding"] = run(network, examples)
    finally:
        for hook in hooks:
            hook.remove()
    found["pca"] = make_projection(*used_vggish_pca())(found["embedding"])
    found["bytes"] = quantize_truncating(found["pca"])
    return found


def agrees(name, found):
    """Whether an array of noise32, in examples side by side, is as the golden says."""
    numbers = NUMBERS["waves"]["noise32"]
    if name == "examples":
        return find_difference(numbers["examples_hop096"], found) < 1e-5
    if name in ACTIVATIONS:
        told = numbers["activations"][name]
        return find_difference(told, found) < 1e-5 * told["absmax"]
    if name == "bytes":
        return np.abs(found.astype(int) - ARRAYS["noise32_q_trunc"]).max() <= 1
    if name == "embedding" and find_difference(numbers["embedding_tf"], found) > 1e-4:
        return False
    return found.shape == (3, 128) and np.abs(found - ARRAYS[f"noise32_{name}"]).max() < 1e-4


NAMES = ("examples", *ACTIVATIONS, "embedding", "pca", "bytes")


@pytest.fixture(scope="module")
def found(network):
    return compute_all(network, examples_of("noise32", SIDE_BY_SIDE))


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_that_of_the_authors_code(found, name):
    assert agrees(name, found[name])


def test_the_chirp_that_was_resampled_otherwise_has_its_numbers(network):
    """Of the first example, whose rows the golden has."""
    found = compute_all(network, ARRAYS["chirp_example0"][None])
    for name, told in NUMBERS["waves"]["chirp"]["activations"].items():
        np.testing.assert_allclose(found[name].ravel()[:8], told["first8"], atol=1e-5 * told["absmax"])
    np.testing.assert_allclose(found["embedding"], ARRAYS["chirp_embedding"][:1], atol=1e-4)
    np.testing.assert_allclose(found["pca"], ARRAYS["chirp_pca"][:1], atol=1e-4)
    assert np.abs(found["bytes"].astype(int) - ARRAYS["chirp_q_trunc"][:1]).max() <= 1


@pytest.mark.parametrize("key", WAVES)
def test_an_example_a_second_has_the_numbers_of_mediapipes_chain(network, key):
    told = NUMBERS["mediapipe_style"]["waves"][key]
    found = compute_all(network, examples_of(key, YOUTUBE8M))
    for name in ("embedding", "pca"):
        np.testing.assert_allclose(found[name], ARRAYS[f"mp_{key}_{name}"], rtol=0, atol=1e-4)
        assert find_difference(told[name], found[name]) < 1e-4


# Mistakes


def activation_at_the_end(network, patch):
    forward = network.fc2.forward
    patch.setattr(network.fc2, "forward", lambda x: F.relu(forward(x)))


def channels_first(network, patch):
    patch.setattr(network, "flatten_places", lambda x: x.flatten(1))


def power(network, patch):
    patch.setattr(log_mel, "compute_magnitudes", lambda frames: np.abs(np.fft.rfft(frames * hann_window(), 512)) ** 2)


def symmetric_window(network, patch):
    patch.setattr(log_mel, "hann_window", lambda: np.hanning(400))


@pytest.mark.parametrize(
    ("mistake", "first", "mean", "most"),
    [
        (activation_at_the_end, "fc2/BiasAdd", 24, 93),
        (channels_first, "fc1/fc1_1/Relu", 25, 106),
        (power, "examples", 17.5, 66),
        (symmetric_window, "examples", 0.07, 1),
    ],
)
def test_a_usual_mistake_is_seen(network, monkeypatch, mistake, first, mean, most):
    """In the first number that it touches, and by as much in the bytes as was measured of it."""
    mistake(network, monkeypatch)
    found = compute_all(network, examples_of("noise32", SIDE_BY_SIDE))
    assert next(name for name in NAMES if not agrees(name, found[name])) == first
    moved = np.abs(found["bytes"].astype(int) - ARRAYS["noise32_q_trunc"])
    assert moved.mean() == pytest.approx(mean, rel=0.03, abs=0.01)
    assert abs(int(moved.max()) - most) <= 1


# The network


def test_an_example_has_the_same_features_alone_and_in_a_batch(network, found):
    np.testing.assert_allclose(run(network, found["examples"][1:2]), found["embedding"][1:2], atol=1e-5)


def test_the_inference_engine_answers_alike(network, found, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PADDLE_VIDEO_PROGRAMS", str(tmp_path))
    engine = Engine(network, (96, 64), "fp32")
    for chosen in ([0, 1, 2], [2], [1, 0, 0, 2]):
        embedding = engine(paddle.to_tensor(found["examples"][chosen])).numpy()
        np.testing.assert_allclose(embedding, found["embedding"][chosen], rtol=0, atol=1e-4)
    assert capfd.readouterr() == ("", "")


# Its weights


def test_the_variables_are_those_of_the_checkpoint_and_those_that_are_looked_for_in_it(variables, network):
    assert variable_shapes(network) == {name: array.shape for name, array in variables.items()} == vggish_shapes()
    assert len(variables) == 18


def test_the_page_counts_the_parameters(network):
    count = sum(parameter.size for parameter in network.parameters())
    assert count == 72_141_184
    assert f"{count:,} parameters" in (PROJECT / "models" / "vggish" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vggish/fc2/biases", None, "1 of 18 weights are missing: vggish/fc2/biases$"),
        ("vggish/conv1/weights", lambda array: array[..., :32], r"vggish/conv1/weights is \(3, 3, 1, 32\) float32; "),
        (
            "vggish/fc2/weights",
            np.transpose,
            r"vggish/fc2/weights is \(128, 4096\) float32; it should be \(4096, 128\) ",
        ),
        (
            "vggish/conv2/biases",
            lambda array: array * np.inf,
            "vggish/conv2/biases holds values that float32 does not ",
        ),
    ],
)
def test_variables_of_another_network_are_refused(variables, name, change, message):
    other = {key: array for key, array in variables.items() if key != name}
    if change:
        other[name] = change(variables[name])
    with pytest.raises(CheckpointError, match=f"^vggish.ckpt: {message}"):
        load_variables(VGGish(), other, "vggish.ckpt")
