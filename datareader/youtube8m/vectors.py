"""From what the two networks give to what YouTube-8M stores: fewer, whitened numbers, as bytes."""

from dataclasses import dataclass

import numpy as np

from tools.errors import DataError

AUDIO_DIM = 128  # of a second's stored features
LIMIT = 2.0  # bytes stand for -2 to 2
EIGENVALUE_OFFSET = 1e-4  # added below the root, so that directions without variance are not blown up


@dataclass(frozen=True)
class Projection:
    """(vectors - mean) @ matrix.T, a principal component analysis with its whitening.

    mean: (D,) float64. matrix: (K, D) float64, a row for each number of the result.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(N, D) float32 -> (N, K) float32, with sums in float64 so that N shows in no row."""
        return ((vectors - self.mean) @ self.matrix.T).astype(np.float32)


def make_projection(mean: np.ndarray, vectors: np.ndarray, values: np.ndarray | None) -> Projection:
    """That of a PCA: ``vectors @ (x - mean)``, whitened by the roots of the values.

    mean: (D,). vectors: (K, D), a component a row. values: (K,) at least 0, the variances of the components; None where
    the vectors whiten already.
    """
    matrix = vectors.astype(np.float64)
    if values is not None:
        matrix /= np.sqrt(values.astype(np.float64) + EIGENVALUE_OFFSET)[:, None]
    return Projection(mean.astype(np.float64), matrix)


def quantize_rounding(vectors: np.ndarray) -> np.ndarray:
    """Projected rgb -> the bytes of YouTube-8M, uint8 of the same shape; each is the nearest, as in its first program.

    Values beyond -2 and 2 become 0 and 255. Raises DataError for values that are no numbers.
    """
    return np.rint(_scale(vectors)).astype(np.uint8)


def quantize_truncating(vectors: np.ndarray) -> np.ndarray:
    """Projected audio -> the bytes of YouTube-8M: as ``quantize_rounding``, but each is the next below."""
    return _scale(vectors).astype(np.uint8)


def _scale(vectors: np.ndarray) -> np.ndarray:
    if not np.isfinite(vectors).all():
        raise DataError("features came out infinite or as no numbers; weights or input are damaged")
    return (np.clip(vectors.astype(np.float64), -LIMIT, LIMIT) + LIMIT) * (255 / (2 * LIMIT))
