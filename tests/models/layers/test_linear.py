"""The fast ways of linear layers lead to where Paddle's own do."""

import copy
import gc
import io
import weakref

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from models.layers import linear as module
from models.layers.linear import Linear, column_sums, linear, row_sums
from models.layers.prepacked import PrepackedMatrix, load_mkl
from tools.runtime.unchanged import unchanged_weights

RNG = np.random.default_rng(0)
WIDE = 512, 1024  # as large as weights that are packed have to be

needs_mkl = pytest.mark.skipif(load_mkl() is None, reason="the product is Paddle's here")


def random(*shape, dtype="float32"):
    return paddle.to_tensor(RNG.standard_normal(shape).astype(dtype))


@pytest.fixture
def packed(monkeypatch):
    """The matrices that layers have packed so far, as weak references."""
    made = []

    class Watched(PrepackedMatrix):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(weakref.ref(self))

    monkeypatch.setattr(module, "PrepackedMatrix", Watched)
    return made


def test_the_layer_begins_as_paddle_s_with_the_same_bits_and_names():
    layers = []
    for kind in (nn.Linear, Linear):
        paddle.seed(3)
        layers.append(kind(5, 4, weight_attr=nn.initializer.XavierUniform()))
    plain, own = (layer.state_dict() for layer in layers)
    assert list(plain) == list(own) == ["weight", "bias"]
    for name in plain:
        np.testing.assert_array_equal(plain[name].numpy(), own[name].numpy())


@needs_mkl
@pytest.mark.parametrize("bias", [None, False])
@pytest.mark.parametrize("shape", [(2,), (128,), (5, 7)])
def test_small_batches_in_test_mode_are_products_with_a_weight_packed_once(shape, bias, packed):
    layer, x = Linear(*WIDE, bias_attr=bias), random(*shape, WIDE[0])
    with paddle.no_grad(), unchanged_weights({}):
        for _ in range(2):
            found = layer(x)
            expected = F.linear(x, layer.weight, layer.bias)
            assert found.shape == expected.shape
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
        assert len(packed) == 1


@needs_mkl
def test_a_row_has_the_same_bits_in_all_batches_that_meet_the_packed_weight():
    layer, x = Linear(*WIDE), random(128, WIDE[0])
    with paddle.no_grad(), unchanged_weights({}):
        together = layer(x).numpy()
        for few in (3, 5, 16, 21, 64, 100):
            np.testing.assert_array_equal(layer(x[:few]).numpy(), together[:few])


def everyday_use(layer, x):
    return layer(x)


def with_gradients(layer, x):
    with paddle.enable_grad():
        return layer(x)


@pytest.mark.parametrize(
    ("layer", "x", "use"),
    [
        (Linear(*WIDE), random(1, WIDE[0]), everyday_use),
        (Linear(*WIDE), random(129, WIDE[0]), everyday_use),
        (Linear(*WIDE).to(dtype="float64"), random(8, WIDE[0], dtype="float64"), everyday_use),
        (Linear(40, 30), random(8, 40), everyday_use),
        (Linear(*WIDE), random(8, WIDE[0]), with_gradients),
    ],
    ids=["one row", "many rows", "float64", "a small weight", "gradients"],
)
def test_everything_else_is_paddle_s_product_to_the_bit(layer, x, use, packed):
    with paddle.no_grad(), unchanged_weights({}):
        found, expected = use(layer, x), use(lambda x: F.linear(x, layer.weight, layer.bias), x)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    with paddle.no_grad():  # weights that may change
        layer(random(8, WIDE[0]) if x.shape[1] == WIDE[0] and x.dtype == paddle.float32 else x)
    assert not packed


def test_without_mkl_it_is_paddle_s_product_too(monkeypatch, packed):
    monkeypatch.setattr(module, "load_mkl", lambda: None)
    layer, x = Linear(*WIDE), random(8, WIDE[0])
    with paddle.no_grad(), unchanged_weights({}):
        np.testing.assert_array_equal(layer(x).numpy(), F.linear(x, layer.weight, layer.bias).numpy())
    assert not packed


@needs_mkl
def test_the_packed_weight_is_gone_with_what_held_it_and_the_layer_keeps_nothing(packed):
    layer, x, made = Linear(*WIDE), random(8, WIDE[0]), {}
    before = set(vars(layer))
    with paddle.no_grad(), unchanged_weights(made):
        layer(x)
    assert set(vars(layer)) == before
    assert packed[0]() is not None
    del made
    gc.collect()
    assert packed[0]() is None


@needs_mkl
@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_layer_computes_with_its_own_weight(twin, packed):
    layer, x = Linear(*WIDE), random(8, WIDE[0])
    with paddle.no_grad(), unchanged_weights({}):
        layer(x)
        other = twin(layer)
        if twin is copy.deepcopy:
            other.weight.set_value(-layer.weight)
        np.testing.assert_allclose(other(x).numpy(), F.linear(x, other.weight, other.bias).numpy(), atol=1e-4)


def gradients(function, x, weight, bias, frozen=()):
    """The output, and the gradients of all three after two micro-batches; None where there is none."""
    tensors = {name: value.detach().clone() for name, value in {"x": x, "weight": weight, "bias": bias}.items()}
    for name, tensor in tensors.items():
        tensor.stop_gradient = name in frozen
    for _ in range(2):  # gradients add up
        output = function(*tensors.values())
        if not output.stop_gradient:
            (output * paddle.cos(output)).sum().backward()
    return [output, *(tensor.grad for tensor in tensors.values())]


@pytest.mark.parametrize("frozen", [(), ("x",), ("weight",), ("bias",), ("x", "weight"), ("x", "weight", "bias")])
@pytest.mark.parametrize("shape", [(1,), (300,), (4, 25), (2, 3, 5)])
def test_gradients_are_those_of_paddle_and_all_but_the_bias_s_to_the_bit(shape, frozen):
    values = random(*shape, 6), random(6, 11), random(11)
    found, expected = gradients(linear, *values, frozen), gradients(F.linear, *values, frozen)
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert (one is None) == (other is None)
        if one is not None and i < 3:
            np.testing.assert_array_equal(one.numpy(), other.numpy())
        elif one is not None:
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-5)
    doubles = gradients(F.linear, *(value.astype("float64") for value in values), frozen)
    if found[3] is not None:
        np.testing.assert_allclose(found[3].numpy(), doubles[3].numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 3), (500, 7), (2, 30, 4)])
@pytest.mark.parametrize("axis", [-1, -2])
def test_sums_of_rows_and_of_columns_are_sums_with_their_gradient(shape, dtype, axis):
    x = random(*shape, dtype=dtype)
    x.stop_gradient = False
    sums = row_sums(x) if axis == -1 else column_sums(x).unsqueeze(-2)
    np.testing.assert_allclose(sums.numpy(), x.numpy().sum(axis=axis, keepdims=True), rtol=1e-5, atol=1e-5)
    (sums * sums).sum().backward()
    expected = np.broadcast_to(2 * sums.numpy(), shape)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


def test_an_exported_layer_is_paddle_s(tmp_path):
    layer = nn.Sequential(Linear(6, 5), Linear(5, 4, bias_attr=False))
    path, x = str(tmp_path / "exported"), random(3, 2, 6)
    with unchanged_weights({}):
        paddle.jit.save(layer, path, input_spec=[paddle.static.InputSpec([None, None, 6], "float32")])
    np.testing.assert_allclose(paddle.jit.load(path)(x).numpy(), layer(x).numpy(), rtol=1e-6, atol=1e-6)


def test_its_weights_are_saved_and_loaded_as_paddle_s_are():
    own, plain, file = Linear(6, 5), nn.Linear(6, 5), io.BytesIO()
    paddle.save(own.state_dict(), file)
    file.seek(0)
    assert plain.set_state_dict(paddle.load(file)) == ([], [])
    x = random(3, 6)
    np.testing.assert_array_equal(own(x).numpy(), plain(x).numpy())
