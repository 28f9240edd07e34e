"""Files that TensorFlow 2.15.1 wrote, and what is in them: ``tests/golden/tensorflow``.

``tiny_graph.pb`` is a GraphDef with names of Inception, ``first.ckpt`` a checkpoint of version 1, ``second.ckpt`` the
same one of version 2; ``part/table`` is stored in two slices. ``values.json`` has the values that ``tf.make_ndarray``
gives, or their SHA-256.
"""

import hashlib
import json

import numpy as np

from tests.conftest import PROJECT

FOLDER = PROJECT / "tests/golden/tensorflow"
GRAPH, FIRST, SECOND = FOLDER / "tiny_graph.pb", FOLDER / "first.ckpt", FOLDER / "second.ckpt"
_VALUES = json.loads((FOLDER / "values.json").read_text())
CONSTANTS = {
    name: np.array(item["values"], item["dtype"]).reshape(item["shape"]) for name, item in _VALUES["constants"].items()
}
OTHER_NODES = _VALUES["other nodes"]
SHAPES = {name: tuple(item["shape"]) for name, item in _VALUES["variables"].items()}
SLICED = {"part/table": 5}  # rows a slice


def shapes_of(arrays):
    return {name: array.shape for name, array in arrays.items()}


def require_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name
        assert found[name].flags.writeable


def require_variables(found):
    """Hold arrays against the sums of what TensorFlow wrote."""
    assert found.keys() == SHAPES.keys()
    for name, item in _VALUES["variables"].items():
        assert (found[name].dtype.name, found[name].shape) == (item["dtype"], SHAPES[name])
        assert hashlib.sha256(found[name].tobytes()).hexdigest() == item["sha256"]
