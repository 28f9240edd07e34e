"""Weights are found under the names that trainers give them, and nothing is guessed."""

import numpy as np
import pytest

from tests.tools.expected_errors import error_of
from tests.torch_files import stream_content, tensors, zip_content
from tools.weights.files import load_weights

ONE, OTHER = {"a": np.ones(3, np.float32)}, {"a": np.zeros(3, np.float32)}
BESIDE = {
    "epoch": 3,
    "arch": "resnet50",
    "best": 71.5,
    "optimizer": {"state": {0: tensors(OTHER)}, "groups": [{"lr": 0.1}]},
}


@pytest.fixture(params=[zip_content, stream_content, lambda tree: stream_content(tree, python2=True)])
def load(request, tmp_path):
    def load(tree):
        (tmp_path / "w").write_bytes(request.param(tree))
        return load_weights(str(tmp_path / "w"), None)

    return load


@pytest.mark.parametrize("name", ["state_dict", "model", "model_state_dict"])
def test_weights_under_a_name_are_taken_and_a_line_says_so(name, load):
    file = load({**BESIDE, name: tensors(ONE)})
    np.testing.assert_array_equal(file.arrays["a"], ONE["a"])
    assert file.notes == (f"the weights are those under {name!r}",)
    assert file.claims[0] == "resnet50"


@pytest.mark.parametrize(("name", "averaged"), [("model", "model_ema"), ("state_dict", "state_dict_ema")])
def test_weights_come_before_averages_of_them_which_are_taken_alone_too(name, averaged, load):
    file = load({averaged: tensors(OTHER), name: tensors(ONE), "epoch": 1})
    np.testing.assert_array_equal(file.arrays["a"], ONE["a"])
    assert file.notes == (f"the weights are those under {name!r}", f"averaged weights under {averaged!r} are left out")
    file = load({averaged: tensors(OTHER), "epoch": 1})
    np.testing.assert_array_equal(file.arrays["a"], OTHER["a"])
    assert file.notes == (f"the weights are those under {averaged!r} (averages)",)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"state_dict": tensors(ONE), "model": tensors(OTHER)},
         "it holds weights under 'state_dict' and 'model', and which to take is not clear; save one alone"),
        ({"state_dict_ema": tensors(ONE), "model_ema": tensors(OTHER)}, "and which to take is not clear"),
        ({"epoch": 3, "optimizer": {}}, "it holds no dict of tensors alone, but 'epoch', 'optimizer'; expected "),
        ({"generator": tensors(ONE)}, "it holds no dict of tensors alone, but 'generator'; expected weights alone, or"),
        ({**tensors(ONE), "epoch": 3}, "it holds no dict of tensors alone, but 'a', 'epoch'"),
        ({}, "it holds an empty dict; expected "),
        ([tensors(ONE)], "it holds no dict by names"),
        ({3: tensors(ONE)}, "it holds no dict by names"),
        (3, "it holds no dict by names"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused(tree, text, load):
    assert text in error_of(load, tree)
