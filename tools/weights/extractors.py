"""The published files that turn videos into YouTube-8M's features, and the arrays in them.

- ``inception-2015-12-05.tgz``: Inception v3 as a TensorFlow graph, whose layer ``pool_3`` describes a frame;
- ``yt8m_pca.tgz``: the PCA that makes 1024 numbers of its 2048;
- ``vggish_model.ckpt``: VGGish as a TensorFlow checkpoint of version 1, which describes a second of sound;
- ``vggish_pca_params.npz``: the PCA of its 128 numbers.

Sizes and sums are those that others have told; none was published with the files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.errors import DataError, DataIssue
from tools.files.arrays import NoArrayError, load_npy, load_npz
from tools.files.fetch import DEFAULT_RETRY, RetryPolicy
from tools.weights.extractor_names import inception_shapes, vggish_shapes
from tools.weights.published_files import PublishedFile, find_published

CALLED = "yt8m-features"  # what python -m tools.download calls all of them
GRAPH = "classify_image_graph_def.pb"
MEAN, VALUES, VECTORS = "mean.npy", "eigenvals.npy", "eigenvecs.npy"
AUDIO_MEAN, AUDIO_VECTORS = "pca_means", "pca_eigen_vectors"
NUM_FEATURES, NUM_COMPONENTS, NUM_AUDIO = 2048, 1024, 128

INCEPTION = PublishedFile(
    "inception-2015-12-05.tgz",
    "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
    CALLED,
    largest=400_000_000,
    size="88.9 MB",
    members=(GRAPH,),
    sums={GRAPH: {"md5": "e6bb154e85f5d4331c22abcddb5dcf31"}},
)
EIGENVALUES = Path("dataset/youtube8m/yt8m_pca/eigenvals.npy")  # where NeXtVLAD's published config looks for some of it
VISUAL_PCA = PublishedFile(
    "yt8m_pca.tgz",
    "http://data.yt8m.org/yt8m_pca.tgz",
    CALLED,
    largest=200_000_000,
    size="15 to 25 MB",
    members=(MEAN, VALUES, VECTORS),
)
VGGISH = PublishedFile(
    "vggish_model.ckpt",
    "https://storage.googleapis.com/audioset/vggish_model.ckpt",
    CALLED,
    largest=1_000_000_000,  # it may hold the state of an optimizer too
    size="about 289 MB",
    sums={
        "vggish_model.ckpt": {
            "md5": "d1c7011e6366aa34176bb05c705e31a8",
            "sha256": "0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6",
        }
    },
)
AUDIO_PCA = PublishedFile(
    "vggish_pca_params.npz",
    "https://storage.googleapis.com/audioset/vggish_pca_params.npz",
    CALLED,
    largest=2_000_000,
    size="about 0.1 MB",
    sums={
        "vggish_pca_params.npz": {
            "md5": "c80cae691033abe7c7ecd11ea39fc834",
            "sha256": "4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d",
        }
    },
)


@dataclass(frozen=True)
class Pca:
    """A PCA of published features: ``vectors @ (x - mean)``, and then whitened where there are ``values``.

    mean: (D,) float32. vectors: (K, D) float32, a component a row. values: (K,) float32, at least 0, the variances of
    the components; None where the vectors whiten too.
    """

    mean: np.ndarray
    vectors: np.ndarray
    values: np.ndarray | None


def load_inception(
    *, weights_dir: str | None = None, offline: bool = False, retry: RetryPolicy = DEFAULT_RETRY
) -> dict[str, np.ndarray]:
    """The constants of Inception v3 up to ``pool_3`` by the names of ``inception_shapes``, float32 and finite.

    Fetched if they are not here yet; arguments and errors are those of ``find_published``.
    """
    return _load(INCEPTION, weights_dir, offline, retry)


def load_vggish(
    *, weights_dir: str | None = None, offline: bool = False, retry: RetryPolicy = DEFAULT_RETRY
) -> dict[str, np.ndarray]:
    """The variables of VGGish by the names of ``vggish_shapes``, float32 and finite; else as ``load_inception``."""
    return _load(VGGISH, weights_dir, offline, retry)


def load_visual_pca(
    *, weights_dir: str | None = None, offline: bool = False, retry: RetryPolicy = DEFAULT_RETRY
) -> Pca:
    """That of frames: 1024 components of 2048 numbers, with their values; else as ``load_inception``."""
    return _load(VISUAL_PCA, weights_dir, offline, retry)


def load_audio_pca(*, weights_dir: str | None = None, offline: bool = False, retry: RetryPolicy = DEFAULT_RETRY) -> Pca:
    """That of sound: 128 components of 128 numbers, which whiten too; else as ``load_inception``."""
    return _load(AUDIO_PCA, weights_dir, offline, retry)


def find_extractor(
    item: PublishedFile, *, weights_dir: str | None = None, offline: bool = False, retry: RetryPolicy = DEFAULT_RETRY
) -> Path:
    """Where one of EXTRACTORS lies, the file or the folder of its members, once its arrays were read and right."""
    return find_published(item, EXTRACTORS[item.name][1], weights_dir=weights_dir, offline=offline, retry=retry)[0]


def find_eigenvalues(*, weights_dir: str | None, offline: bool) -> str:
    """Those of the published PCA, which NeXtVLAD whitens by too. Raises as ``find_extractor``."""
    return str(find_extractor(VISUAL_PCA, weights_dir=weights_dir, offline=offline) / VALUES)


def read_inception(folder: Path, called: str) -> dict[str, np.ndarray]:
    """As ``load_inception``, of a folder with the graph. called: what errors begin with. Raises DataError."""
    from tools.files.tensorflow.graph_def import load_constants  # and protobuf, which takes long to import

    where = f"{GRAPH} of {called}"
    constants = load_constants(folder / GRAPH, inception_shapes(), where)
    for name, array in constants.items():
        _require_numbers(array, f"{where}: {name}", is_variance=name.endswith("/moving_variance"))
    return constants


def read_vggish(path: Path, called: str) -> dict[str, np.ndarray]:
    """As ``load_vggish``, of the file. Raises DataError."""
    from tools.files.tensorflow.checkpoints import load_variables  # and protobuf

    variables = load_variables(path, vggish_shapes(), called)
    for name, array in variables.items():
        _require_numbers(array, f"{called}: {name}")
    return variables


def read_visual_pca(folder: Path, called: str) -> Pca:
    """As ``load_visual_pca``, of a folder with the three arrays. Raises DataError.

    ``mean.npy`` is (2048,) or (2048, 1 or more), of which the first column counts, ``eigenvals.npy`` (K,) or
    (K, 1 or more) likewise, and ``eigenvecs.npy`` (K, 2048), a component a row, with K of 1024 or more. They are the
    extractor's of 2017, which took the first 1024.
    """
    vectors, where = _load_numbers(folder / VECTORS, f"{VECTORS} of {called}")
    if vectors.ndim != 2 or vectors.shape[1] != NUM_FEATURES or len(vectors) < NUM_COMPONENTS:
        raise _other_shape(where, vectors, f"({NUM_COMPONENTS} or more, {NUM_FEATURES})")
    vectors = _as_float32(vectors[:NUM_COMPONENTS], where)
    mean, where = _load_numbers(folder / MEAN, f"{MEAN} of {called}")
    if mean.ndim not in (1, 2) or len(mean) != NUM_FEATURES or not mean.size:
        raise _other_shape(where, mean, f"({NUM_FEATURES}, 1)")
    mean = _as_float32(_first_column(mean), where)
    values, where = _load_numbers(folder / VALUES, f"{VALUES} of {called}")
    if values.ndim not in (1, 2) or len(values) < NUM_COMPONENTS or not values.size:
        raise _other_shape(where, values, f"({NUM_COMPONENTS} or more, 1)")
    values = _as_float32(_first_column(values)[:NUM_COMPONENTS], where, is_variance=True)
    return Pca(mean, vectors, values)


def read_audio_pca(path: Path, called: str) -> Pca:
    """As ``load_audio_pca``, of the file. Raises DataError."""
    try:
        arrays = load_npz(path, [AUDIO_VECTORS, AUDIO_MEAN], AUDIO_PCA.largest)
    except NoArrayError as error:
        raise DataError(f"{called} is not the .npz archive that was expected: {error}", DataIssue.DAMAGED) from None
    mean, vectors = arrays[AUDIO_MEAN], arrays[AUDIO_VECTORS]
    if mean.shape not in ((NUM_AUDIO,), (NUM_AUDIO, 1)):
        raise _other_shape(f"{AUDIO_MEAN} of {called}", mean, f"({NUM_AUDIO},)")
    if vectors.shape != (NUM_AUDIO, NUM_AUDIO):
        raise _other_shape(f"{AUDIO_VECTORS} of {called}", vectors, f"({NUM_AUDIO}, {NUM_AUDIO})")
    mean = _as_float32(_first_column(mean), f"{AUDIO_MEAN} of {called}")
    return Pca(mean, _as_float32(vectors, f"{AUDIO_VECTORS} of {called}"), values=None)


# name -> (what it is, what reads it), in the order in which they are fetched
EXTRACTORS: dict[str, tuple[PublishedFile, Callable[[Path, str], object]]] = {
    item.name: (item, read)
    for item, read in (
        (INCEPTION, read_inception),
        (VISUAL_PCA, read_visual_pca),
        (VGGISH, read_vggish),
        (AUDIO_PCA, read_audio_pca),
    )
}


def _load(item: PublishedFile, weights_dir: str | None, offline: bool, retry: RetryPolicy):
    read = EXTRACTORS[item.name][1]
    return find_published(item, read, weights_dir=weights_dir, offline=offline, retry=retry)[1]


def _load_numbers(path: Path, where: str) -> tuple[np.ndarray, str]:
    try:
        return load_npy(path), where
    except NoArrayError as error:
        raise DataError(f"{where} is not the .npy array that was expected: {error}", DataIssue.DAMAGED) from None


def _first_column(array: np.ndarray) -> np.ndarray:
    return array[:, 0] if array.ndim == 2 else array


def _other_shape(where: str, array: np.ndarray, expected: str) -> DataError:
    return DataError(f"{where} has the shape {array.shape}, expected {expected}", DataIssue.SHAPE)


def _as_float32(array: np.ndarray, where: str, is_variance: bool = False) -> np.ndarray:
    """Numbers of any floating type as finite float32 in C order."""
    if array.dtype.kind != "f":
        raise DataError(f"{where} holds {array.dtype}, expected float32", DataIssue.DTYPE)
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        array = np.ascontiguousarray(array, np.float32)
    _require_numbers(array, where, is_variance)
    return array


def _require_numbers(array: np.ndarray, where: str, is_variance: bool = False) -> None:
    """Raise DataError unless an array is float32 and finite, and a variance nowhere below 0."""
    if array.dtype != np.float32:
        raise DataError(f"{where} holds {array.dtype}, expected float32", DataIssue.DTYPE)
    if not np.isfinite(array).all():
        raise DataError(f"{where} holds values that are not finite")
    if is_variance and (array < 0).any():
        raise DataError(f"{where} holds values below 0, which no variance is")
