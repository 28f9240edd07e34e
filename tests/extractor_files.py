"""The published files that make YouTube-8M's features, made up: in their form, at their size or at a small one."""

import io
import tarfile

import numpy as np

from tests import yt8m_recipe
from tests.tensorflow_files import write_checkpoint_v1, write_graph_def
from tools.weights import extractors
from tools.weights.extractor_names import inception_shapes, vggish_shapes
from tools.weights.extractors import GRAPH

SMALL_INCEPTION = {
    "conv/conv2d_params": (3, 3, 3, 4),
    "conv/batchnorm/moving_variance": (4,),
    "conv/batchnorm/beta": (4,),
}
SMALL_VGGISH = {"vggish/conv1/weights": (3, 3, 1, 8), "vggish/conv1/biases": (8,)}
OTHERS = {"softmax/biases": np.zeros(5, np.float32)}  # of the graph, which nobody asks for


def make_small(monkeypatch):
    """Let small networks be the published ones. The PCAs stay as large as they are."""
    monkeypatch.setattr(extractors, "inception_shapes", lambda: SMALL_INCEPTION)
    monkeypatch.setattr(extractors, "vggish_shapes", lambda: SMALL_VGGISH)


def make_arrays(shapes, seed=0):
    """name -> positive float32 array."""
    rng = np.random.default_rng(seed)
    return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


def visual_pca(rows=1100, seed=0):
    """File -> array, of values that pack well."""
    rng = np.random.default_rng(seed)
    return {
        "mean.npy": rng.integers(0, 4, (2048, 1)).astype(np.float32),
        "eigenvals.npy": np.linspace(2, 0, rows, dtype=np.float32)[:, None],
        "eigenvecs.npy": rng.integers(0, 2, (rows, 2048)).astype(np.float32),
    }


def audio_pca(seed=0):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal(128).astype(np.float32)
    return {"pca_eigen_vectors": rng.standard_normal((128, 128)).astype(np.float32), "pca_means": means}


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def packed(members):
    """A .tgz of file name -> content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, content in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            tar.addfile(item, io.BytesIO(content))
    return out.getvalue()


def published_files(folder, inception=None, vggish=None):
    """The four files, name -> content. inception, vggish: arrays by name, by default those of ``make_small``."""
    write_graph_def(folder / "made", (inception or make_arrays(SMALL_INCEPTION)) | OTHERS)
    graph = (folder / "made").read_bytes()
    write_checkpoint_v1(folder / "made", vggish or make_arrays(SMALL_VGGISH))
    checkpoint = (folder / "made").read_bytes()
    (folder / "made").unlink()
    sound = io.BytesIO()
    np.savez(sound, **audio_pca())
    return {
        "inception-2015-12-05.tgz": packed({GRAPH: graph, "LICENSE": b"a licence"}),
        "yt8m_pca.tgz": packed({f"yt8m_pca/{name}": npy(array) for name, array in visual_pca().items()}),
        "vggish_model.ckpt": checkpoint,
        "vggish_pca_params.npz": sound.getvalue(),
    }


def full_size(folder):
    """As ``published_files``, of all arrays of both networks: 450 MB."""
    return published_files(folder, make_arrays(inception_shapes()), make_arrays(vggish_shapes()))


def write_published_files(folder):
    """Write the four files at full size, of the weights of the recipe, which describe pictures and sound by numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    write_graph_def(folder / "graph", dict(yt8m_recipe.inception_weights()))
    (folder / "inception-2015-12-05.tgz").write_bytes(packed({GRAPH: (folder / "graph").read_bytes()}))
    (folder / "graph").unlink()
    names = ("mean.npy", "eigenvals.npy", "eigenvecs.npy")
    members = zip(names, yt8m_recipe.visual_pca(), strict=True)
    (folder / "yt8m_pca.tgz").write_bytes(packed({f"yt8m_pca/{name}": npy(array) for name, array in members}))
    write_checkpoint_v1(folder / "vggish_model.ckpt", dict(yt8m_recipe.vggish_weights()))
    vectors, means = yt8m_recipe.vggish_pca()
    np.savez(folder / "vggish_pca_params.npz", pca_eigen_vectors=vectors, pca_means=means)
