"""Products with a matrix that is packed once are the same as with one that is not."""

import platform

import numpy as np
import paddle
import pytest

from models.layers import prepacked
from models.layers.prepacked import PrepackedMatrix

RNG = np.random.default_rng(0)


def random(*shape, dtype="float32"):
    return paddle.to_tensor(RNG.standard_normal(shape).astype(dtype))


@pytest.fixture(params=["with MKL", "without MKL"])
def library(request, monkeypatch):
    if request.param == "without MKL":
        monkeypatch.setattr(prepacked, "load_mkl", lambda: None)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 20), (33, 7), (512, 1024)])
def test_products_are_those_of_the_matrix(library, height, width, dtype, transposed):
    matrix = random(height, width, dtype=dtype)
    packed = PrepackedMatrix(matrix.t().contiguous() if transposed else matrix, 16, transposed)
    assert packed.shape == (height, width)
    for num_rows in (1, 2, 7, 16, 40):  # fewer and more than announced
        rows = random(num_rows, height, dtype=dtype)
        product = packed(rows)
        assert product.dtype == matrix.dtype
        np.testing.assert_allclose(product.numpy(), rows.numpy() @ matrix.numpy(), rtol=1e-5, atol=1e-4)


def test_matrices_and_rows_may_be_views(library):
    matrix, rows = random(40, 30), random(9, 60)
    views = matrix[3:23, 5:25], rows[2:6, 10:30]
    product = PrepackedMatrix(views[0], 4)(views[1])
    np.testing.assert_allclose(product.numpy(), views[1].numpy() @ views[0].numpy(), rtol=1e-5, atol=1e-5)
    turned = PrepackedMatrix(matrix.t(), 4)(rows[:, :30])
    np.testing.assert_allclose(turned.numpy(), rows[:, :30].numpy() @ matrix.numpy().T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [random(3, 19), random(20), random(3, 20, dtype="float64")])
def test_rows_that_do_not_fit_are_refused(rows):
    if not prepacked.load_mkl():
        pytest.skip("the product is Paddle's here")
    with pytest.raises(ValueError, match=r"rows must be \(n, 20\) float32 on the CPU"):
        PrepackedMatrix(random(20, 8), 4)(rows)


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="no MKL in this build of Paddle"
)
def test_the_mkl_of_paddle_is_found():
    assert prepacked.load_mkl(), "AttentionLSTM is slower without it"
