"""Linear layers that take a CPU's fast ways where there are any: in test mode, and for the gradient of the bias."""

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.autograd import PyLayer

from models.layers.prepacked import PrepackedMatrix, load_mkl
from tools.runtime.unchanged import are_unchanged, make_once

# Where a packed weight is faster, 1.1 to 4 times (one core with AVX2; most at widths that are multiples of 1024). One
# row is a product with a vector, which is faster as it is; for many rows it does not matter that MKL packs anew.
_FEWEST_ROWS, _MOST_ROWS = 2, 128
_LEAST_WEIGHTS = 1 << 19


class Linear(nn.Linear):
    """``nn.Linear``, with the same parameters and, but for rounding, the same results and gradients.

    With float32 on a CPU, for small batches in test mode, a large weight is packed once (see ``PrepackedMatrix``) while
    weights are unchanged, as ``tools.inference.predict`` says they are; meanwhile it takes twice its memory. On the
    gradient of the bias see ``linear``.

    Shape: x (..., in_features) -> (..., out_features).
    """

    def forward(self, x):
        if not self._is_packed_for(x):
            return linear(x, self.weight, self.bias)
        packed = make_once(self, lambda: PrepackedMatrix(self.weight, _MOST_ROWS))
        product = packed(x.flatten(0, -2)).reshape([*x.shape[:-1], self.weight.shape[1]])
        return product if self.bias is None else product.add_(self.bias)

    def _is_packed_for(self, x) -> bool:
        if not are_unchanged() or paddle.is_grad_enabled() or not _computes_here(x, self.weight):
            return False
        num_rows = x.size // self.weight.shape[0]
        return _FEWEST_ROWS <= num_rows <= _MOST_ROWS and self.weight.size >= _LEAST_WEIGHTS and load_mkl() is not None


def linear(x, weight, bias):
    """``F.linear``, whose gradient of the bias is a product on a CPU: Paddle's (3.3.1) sum takes up to a third of all.

    Shape: x (..., A), weight (A, B), bias (B,) or None -> (..., B).
    """
    if bias is None or not paddle.is_grad_enabled() or not _computes_here(x, weight):
        return F.linear(x, weight, bias)
    product = F.linear(x, weight)
    if product.stop_gradient or bias.stop_gradient:  # a PyLayer would have to leave out a gradient
        return product + bias
    return _AddBias.apply(product, bias)


class _AddBias(PyLayer):
    """x (..., B) + bias (B,)."""

    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, gradient):
        return gradient, column_sums(gradient.flatten(0, -2))


def column_sums(x):
    """``x.sum(axis=-2)``, on a CPU as a product, 5 to 10 times as fast: (..., A, B) -> (..., B)."""
    if not _computes_here(x, x):
        return x.sum(axis=-2)
    return (paddle.ones([1, x.shape[-2]], x.dtype) @ x).squeeze(-2)


def row_sums(x):
    """``x.sum(axis=-1, keepdim=True)``, as ``column_sums``: (..., A, B) -> (..., A, 1)."""
    if not _computes_here(x, x):
        return x.sum(axis=-1, keepdim=True)
    return x @ paddle.ones([x.shape[-1], 1], x.dtype)


def _computes_here(x, weight) -> bool:
    """Whether a product is computed at once, not exported, on a CPU, where nothing makes other types of float32."""
    if not paddle.in_dynamic_mode() or not x.place.is_cpu_place():
        return False
    return x.dtype == weight.dtype == paddle.float32
