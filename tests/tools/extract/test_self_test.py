"""The self-test: files that give the published values pass it, and any other value is told."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.tensorflow_files import write_graph_def
from tools.errors import DataError
from tools.extract.self_test import LABELS, PAIR, PICTURE, Check, check_published
from tools.inference.youtube8m import Published
from tools.weights.extractors import GRAPH, Pca

CLASSES = {"n02497673": 75, "n02510455": 169}


def make_published():
    """Networks and PCAs that give the published values by construction."""
    with np.load(PAIR) as pair:
        numbers, described = pair["original"], pair["pca"]
    vectors = described[:, None] * numbers / (numbers @ numbers)
    picture_pca = Pca(np.zeros(2048, np.float32), vectors, np.full(1024, 1 - 1e-4))
    sound_pca = Pca(np.zeros(128, np.float32), 4.08 * np.eye(128), None)

    def listen(examples):
        signs = np.where(np.arange(128) % 2, 1, -1)
        return np.tile(0.343 * signs + 0.000657, (len(examples), 1)).astype(np.float32)

    def look(pictures):
        return np.zeros((len(pictures), 2048), np.float32)

    return Published(look, listen, picture_pca, sound_pca, digest="", device="cpu")


@pytest.fixture
def folder(tmp_path):
    """What the archive with the graph holds: the classifier's constants, the picture, and the classes' names."""
    biases = np.full(1008, np.log((1 - 0.89107 - 0.00779) / 1006))
    biases[[75, 169]] = np.log([0.00779, 0.89107])
    head = {"softmax/weights": np.zeros((2048, 1008), np.float32), "softmax/biases": biases.astype(np.float32)}
    write_graph_def(tmp_path / GRAPH, head)
    (tmp_path / PICTURE).write_bytes(cv2.imencode(".jpg", np.zeros((40, 50, 3), np.uint8))[1].tobytes())
    entries = [
        f'entry {{\n  target_class: {number}\n  target_class_string: "{name}"\n}}\n' for name, number in CLASSES.items()
    ]
    (tmp_path / LABELS).write_text("# -*- protobuffer -*-\n" + "".join(entries))
    return tmp_path


def test_files_that_give_what_was_published_pass(folder):
    checks = check_published(make_published(), folder)
    assert len(checks) == 7
    assert all(check.found is not None and check.holds for check in checks), checks
    assert checks[0].row() == ["giant panda in cropped_panda.jpg, probability", "0.89107", "0.89107", "as published"]


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (lambda it: it._replace(look=lambda pictures: np.full((1, 2048), np.nan, np.float32)), "giant panda"),
        (lambda it: it._replace(picture_pca=replace(it.picture_pca, values=np.ones(1024))), "PCA of a frame"),
        (
            lambda it: it._replace(listen=lambda examples: np.maximum(it.listen(examples), 0)),
            "embedding of a tone, mean",
        ),
        (lambda it: it._replace(sound_pca=replace(it.sound_pca, vectors=np.eye(128))), "bytes of a tone, standard"),
    ],
)
def test_any_other_value_is_told(folder, change, title):
    checks = check_published(change(make_published()), folder)
    failed = [check for check in checks if not check.holds]
    assert failed[0].title.startswith(title)
    assert "differs by more than" in failed[0].row()[-1]


def test_what_is_not_there_is_not_checked_and_says_so(folder):
    (folder / PICTURE).unlink()
    checks = check_published(make_published(), folder)
    assert [check.found for check in checks[:2]] == [None, None]
    assert checks[0].row()[2:] == ["-", f"not checked: {folder} has no cropped_panda.jpg, which the archive holds"]


def test_labels_without_the_class_are_an_error(folder):
    (folder / LABELS).write_text("nothing")
    with pytest.raises(DataError, match=f"{LABELS} names no class n02510455"):
        check_published(make_published(), folder)


def test_no_number_holds_nothing():
    assert not Check("a value", 1.0, float("nan"), 0.1).holds
