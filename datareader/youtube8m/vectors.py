"""From what the two networks give to what YouTube-8M stores: fewer, whitened numbers, as bytes."""

from dataclasses import dataclass

import numpy as np

from tools.errors import CheckpointError, DataError

RGB_DIM, AUDIO_DIM = 1024, 128  # of a frame's stored features
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


def visual_projection(mean: np.ndarray, eigenvals: np.ndarray, eigenvecs: np.ndarray, where: str) -> Projection:
    """2048 -> 1024, of the three arrays of yt8m_pca.tgz.

    mean: (2048,) or (2048, n), of which the first column is used. eigenvals: (K,) or (K, n), the same. eigenvecs:
    (K, 2048), an eigenvector in a row; K is 1024 or more. where: what the arrays are of, for messages. Raises
    CheckpointError for others.
    """
    mean, eigenvals = (array[:, 0] if array.ndim == 2 and array.shape[1] else array for array in (mean, eigenvals))
    num_rows = len(eigenvecs) if eigenvecs.ndim else 0
    shapes = {
        "mean": (mean, (2048,)),
        "eigenvals": (eigenvals, (num_rows,)),
        "eigenvecs": (eigenvecs, (num_rows, 2048)),
    }
    _require_shapes(shapes, where)
    if num_rows < RGB_DIM:
        raise CheckpointError(f"{where}: eigenvecs has {num_rows} rows, fewer than the {RGB_DIM} that are used")
    variances = eigenvals[:RGB_DIM].astype(np.float64) + EIGENVALUE_OFFSET
    if not (variances > 0).all():
        raise CheckpointError(f"{where}: eigenvals are variances, but one is {eigenvals[:RGB_DIM].min()}")
    matrix = eigenvecs[:RGB_DIM].astype(np.float64) / np.sqrt(variances)[:, None]
    return Projection(mean.astype(np.float64), matrix)


def audio_projection(eigen_vectors: np.ndarray, means: np.ndarray, where: str) -> Projection:
    """128 -> 128, of ``pca_eigen_vectors`` (128, 128) and ``pca_means`` (128,) of vggish_pca_params.npz.

    The vectors are whitened already. means: (128, 1) is taken too. Raises CheckpointError for other arrays.
    """
    means = means[:, 0] if means.ndim == 2 and means.shape[1] == 1 else means
    size = AUDIO_DIM
    _require_shapes({"pca_eigen_vectors": (eigen_vectors, (size, size)), "pca_means": (means, (size,))}, where)
    return Projection(means.astype(np.float64), eigen_vectors.astype(np.float64))


def _require_shapes(arrays: dict[str, tuple[np.ndarray, tuple[int, ...]]], where: str) -> None:
    for name, (array, shape) in arrays.items():
        if array.shape != shape or array.dtype.kind != "f":
            wanted = f"floating-point numbers of shape {shape}"
            raise CheckpointError(f"{where}: {name} has shape {array.shape} {array.dtype}; these should be {wanted}")
        if not np.isfinite(array).all():
            raise CheckpointError(f"{where}: {name} holds values that are infinite or no numbers")


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
