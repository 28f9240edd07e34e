"""Whether the published files that are here give the numbers that were published with them.

The PCA pair, ``pca_pair.npz``, is from the tests of google/youtube-8m (Apache-2.0): a frame's 2048 numbers and what
their PCA made of them. The panda's probabilities are those of the tutorial that the graph was published for, and the
values of a tone those of VGGish's own test, which asks for them to a tenth.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datareader.clips.pictures import decode_image
from datareader.youtube8m.log_mel import VGGISH as VGGISH_RULE
from datareader.youtube8m.log_mel import make_examples
from datareader.youtube8m.pixels import resize_frame
from datareader.youtube8m.resample import RATE_HZ
from datareader.youtube8m.vectors import make_projection, quantize_truncating
from tools.errors import DataError
from tools.files.tensorflow.graph_def import load_constants
from tools.inference.youtube8m import Published
from tools.weights.extractors import GRAPH

PAIR = Path(__file__).with_name("pca_pair.npz")
PICTURE, LABELS = "cropped_panda.jpg", "imagenet_2012_challenge_label_map_proto.pbtxt"
HEAD = {"softmax/weights": (2048, 1008), "softmax/biases": (1008,)}
ANIMALS = {"giant panda": ("n02510455", 0.89107), "indri": ("n02497673", 0.00779)}  # name -> (in LABELS, probability)
TONE_HZ, TONE_SEC = 1000, 3


@dataclass(frozen=True)
class Check:
    """One published value. found: None where it could not be checked, for the reason in ``note``."""

    title: str
    published: float
    found: float | None
    tolerance: float
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.found is None or abs(self.found - self.published) <= self.tolerance

    def row(self) -> list[str]:
        """For a table: title, published, found, verdict."""
        if self.found is None:
            return [self.title, f"{self.published:.6g}", "-", f"not checked: {self.note}"]
        verdict = "as published" if self.holds else f"differs by more than {self.tolerance:.2g}"
        return [self.title, f"{self.published:.6g}", f"{self.found:.6g}", verdict]


def check_published(published: Published, folder: Path) -> list[Check]:
    """All checks. folder: where the archive with the graph was unpacked. Raises DataError."""
    return [*_check_panda(published, folder), _check_pca(published), *_check_tone(published)]


def _check_panda(published: Published, folder: Path) -> Iterator[Check]:
    """The probabilities of two animals in the graph's own picture."""
    picture, labels = folder / PICTURE, folder / LABELS
    missing = next((path.name for path in (picture, labels) if not path.is_file()), None)
    if missing is None:
        head = load_constants(folder / GRAPH, HEAD)
        frame = resize_frame(decode_image(picture.read_bytes(), str(picture)))
        logits = published.look(frame[None])[0].astype(np.float64) @ head["softmax/weights"] + head["softmax/biases"]
        probs = np.exp(logits - logits.max())
        probs /= probs.sum()
    for name, (synset, probability) in ANIMALS.items():
        title = f"{name} in {PICTURE}, probability"
        if missing:
            yield Check(title, probability, None, 0, f"{folder} has no {missing}, which the archive holds")
            continue
        found = float(probs[_find_class(labels, synset)])
        yield Check(title, probability, found, tolerance=0.01)


def _find_class(labels: Path, synset: str) -> int:
    pattern = rf'target_class:\s*([0-9]{{1,4}})\s+target_class_string:\s*"{synset}"'
    match = re.search(pattern, labels.read_text(errors="replace"))
    if not match or int(match[1]) >= HEAD["softmax/biases"][0]:
        raise DataError(f"{labels} names no class {synset}")
    return int(match[1])


def _check_pca(published: Published) -> Check:
    """How far what the PCA makes of the pair's numbers is from what was published, on average and relatively."""
    pca = published.picture_pca
    project = make_projection(pca.mean, pca.vectors, pca.values)
    with np.load(PAIR) as pair:
        found, wanted = project(pair["original"][None])[0], pair["pca"]
    difference = np.abs(found - wanted) / (0.01 + np.maximum(np.abs(found), np.abs(wanted)))
    return Check("PCA of a frame, mean relative difference", 0, float(difference.mean()), tolerance=1e-5)


def _check_tone(published: Published) -> Iterator[Check]:
    """What VGGish and its PCA make of a sine."""
    times = np.arange(TONE_SEC * RATE_HZ) / RATE_HZ
    examples = np.stack([*make_examples([np.sin(2 * np.pi * TONE_HZ * times)], VGGISH_RULE)])
    pca = published.sound_pca
    embedding = published.listen(examples)
    stored = quantize_truncating(make_projection(pca.mean, pca.vectors, pca.values)(embedding))
    for title, published_value, found in (
        ("embedding of a tone, mean", 0.000657, embedding.mean()),
        ("embedding of a tone, standard deviation", 0.343, embedding.std()),
        ("bytes of a tone, mean", 126.0, stored.mean()),
        ("bytes of a tone, standard deviation", 89.3, stored.std()),
    ):
        yield Check(title, published_value, float(found), tolerance=published_value / 10)
