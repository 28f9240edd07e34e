"""Files of --save-probs as two models would leave them, of the same videos."""

import numpy as np

from tools.ensemble.inputs import open_input
from tools.ensemble.merging import merge_inputs
from tools.inference.predictions import VideoClasses
from tools.inference.probs_file import LabelledVideo, RunFacts, write_probs

CLASSES = 6


def make_probs(rng, labels, hits):
    """(N, CLASSES) float32 whose rows sum to 1; those that ``hits`` says have their label as the best class."""
    probs = rng.random((len(labels), CLASSES)).astype(np.float32)
    probs[np.arange(len(labels)), labels] = np.where(hits, 2, 0)
    return probs / probs.sum(axis=1, keepdims=True)


def write_run(
    path, probs, labels, *, ids=None, paths=None, multilabel=False, names=None, model="TSN", dtype=np.float32
):
    """labels: class ids, or tuples of them, None for one that is not known."""
    ids = ids or [f"v{i}" for i in range(len(probs))]
    paths = paths or [f"{name}.mp4" for name in ids]
    known = [one if isinstance(one, tuple) or one is None else (int(one),) for one in labels]
    videos = [
        LabelledVideo(VideoClasses(name, place, line, [], []), own)
        for line, (name, place, own) in enumerate(zip(ids, paths, known, strict=True), start=1)
    ]
    metrics = "youtube8m" if multilabel else "kinetics"
    facts = RunFacts(model, metrics, multilabel, probs.shape[1], 5 if multilabel else 0, "my.list", names)
    write_probs(path, videos, [probs.astype(dtype)], dtype, facts)
    return path


def write_pair(folder, count=60):
    """Two runs whose mistakes are not the same, with the labels; (paths, labels, probabilities of both)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, count)
    probs = [make_probs(rng, labels, rng.random(count) < share) for share in (0.7, 0.6)]
    paths = [write_run(folder / f"{name}.npz", one, labels) for name, one in zip("ab", probs, strict=True)]
    return paths, labels, probs


def merge(*paths, skip_missing=False):
    return merge_inputs([open_input(path) for path in paths], skip_missing=skip_missing)
