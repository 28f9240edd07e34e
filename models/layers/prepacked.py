"""Products of few rows with one large matrix, many times over, as recurrent networks need them."""

import ctypes
from functools import cache
from pathlib import Path

import paddle

# CBLAS's names for how a matrix lies in memory, and MKL's for one that it has packed.
_ROW_MAJOR, _AS_IS, _TRANSPOSED, _RIGHT, _PACKED = 101, 111, 112, 162, 151


class PrepackedMatrix:
    """The right-hand side of products: ``PrepackedMatrix(matrix)(rows)`` is ``rows @ matrix``.

    MKL (as in Paddle 3.3.1) copies the matrix into blocks anew for every product, which for few rows costs as much as
    the product itself; here that is done once. Elsewhere (on a GPU, in float64, in a Paddle without MKL) the product is
    Paddle's. It is not differentiable.

    matrix: (A, B), or (B, A) with ``transposed``; it is read once and later changes are not seen.
    num_rows: how many rows products will have at most, a hint.
    """

    def __init__(self, matrix, num_rows: int, transposed: bool = False):
        height, width = reversed(matrix.shape) if transposed else matrix.shape
        self.shape = height, width
        self._mkl = load_mkl() if matrix.place.is_cpu_place() and matrix.dtype == paddle.float32 else None
        if not self._mkl:
            self._matrix = matrix.t().contiguous() if transposed else matrix
            return
        matrix = matrix.contiguous()
        num_bytes = self._mkl.cblas_sgemm_pack_get_size(_RIGHT, num_rows, width, height)
        self._packed = paddle.empty([num_bytes], "uint8")
        self._mkl.cblas_sgemm_pack(
            *(_ROW_MAJOR, _RIGHT, _TRANSPOSED if transposed else _AS_IS),
            *(num_rows, width, height, 1.0, matrix.data_ptr(), matrix.shape[1], self._packed.data_ptr()),
        )

    def __call__(self, rows):
        """rows: (n, A) of the matrix's type and place -> (n, B)."""
        if not self._mkl:
            with paddle.no_grad():
                return rows @ self._matrix
        height, width = self.shape
        if rows.dtype != paddle.float32 or rows.ndim != 2 or rows.shape[1] != height or not rows.place.is_cpu_place():
            # MKL would read what lies behind them.
            came = f"{rows.shape} {rows.dtype} on {rows.place}"
            raise ValueError(f"rows must be (n, {height}) float32 on the CPU, not {came}")
        num_rows = rows.shape[0]
        rows = rows.contiguous()
        product = paddle.empty([num_rows, width], rows.dtype)
        self._mkl.cblas_sgemm_compute(
            *(_ROW_MAJOR, _AS_IS, _PACKED, num_rows, width, height),
            *(rows.data_ptr(), height, self._packed.data_ptr(), width, 0.0, product.data_ptr(), width),
        )
        return product


@cache
def load_mkl() -> ctypes.CDLL | None:
    """The MKL that Paddle's builds for Linux on x86 bring along and compute with; None in others."""
    try:
        library = ctypes.CDLL(str(Path(paddle.__path__[0]) / "libs" / "libmklml_intel.so"))
    except OSError:
        return None
    number, scalar, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    library.cblas_sgemm_pack_get_size.argtypes = [number] * 4
    library.cblas_sgemm_pack_get_size.restype = ctypes.c_size_t
    library.cblas_sgemm_pack.argtypes = [*[number] * 6, scalar, pointer, number, pointer]
    library.cblas_sgemm_pack.restype = None
    library.cblas_sgemm_compute.argtypes = [*[number] * 6, pointer, number, pointer, number, scalar, pointer, number]
    library.cblas_sgemm_compute.restype = None
    return library
