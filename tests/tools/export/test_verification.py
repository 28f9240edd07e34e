"""How programs are compared with networks."""

import math

import numpy as np
import paddle
import pytest

from models.spec import LENGTHS, InputArray
from tools.export.verification import MOST_DIFFERENT, Comparison, compare, make_batches
from tools.inference.deployed import pad_frames


class Doubling:
    """A network whose probabilities are half of its input."""

    def __call__(self, x):
        return x

    def eval(self):
        pass

    def probs(self, logits):
        return logits / 2


def test_the_largest_difference_and_other_best_classes_are_counted_over_all_batches():
    batches = [(np.array([[0.2, 0.4]], np.float32),), (np.array([[0.6, 0.5], [0.1, 0.9]], np.float32),)]
    programs = {"same": lambda x: x, "turned": lambda x: x.flip(1), "lost": lambda x: x * math.nan}
    found = compare(Doubling(), programs, batches)
    assert found["same"] == Comparison(3, 0.0, 0)
    assert found["same"].holds
    assert (found["turned"].num_inputs, found["turned"].changed) == (3, 3)
    assert found["turned"].largest == pytest.approx(0.4)
    assert not found["turned"].holds
    assert not found["lost"].holds
    assert Comparison(1, MOST_DIFFERENT, 0).holds


def test_made_inputs_have_the_shapes_of_the_network_and_the_usual_range():
    lengths = InputArray(LENGTHS, (), "int64", 1, 300, "frames")
    ragged = list(make_batches((lengths, InputArray("rgb", (None, 4), "float32", -2, 2, "features"))))
    assert [len(batch[0]) for batch in ragged] == [1, 3]
    for count, rgb in ragged:
        assert rgb.shape == (count.sum(), 4)
        assert (rgb.min() < -1.5, rgb.max() > 1.5, np.abs(rgb).max() <= 2) == (True, True, True)
    assert [x.shape for (x,) in make_batches((InputArray("x", (3, 2), "float32", 0, 1, "numbers"),))] == [
        (1, 3, 2),
        (3, 3, 2),
    ]


def test_frames_are_padded_behind_each_video():
    lengths, frames = np.array([2, 1, 3]), np.arange(12, dtype=np.float32).reshape(6, 2)
    (padded,) = pad_frames(lengths, [frames])
    assert padded.shape == (3, 3, 2)
    np.testing.assert_array_equal(padded[0], [[0, 1], [2, 3], [0, 0]])
    np.testing.assert_array_equal(padded[1], [[4, 5], [0, 0], [0, 0]])
    np.testing.assert_array_equal(padded[2], frames[3:])
    assert paddle.to_tensor(padded).dtype == paddle.float32
