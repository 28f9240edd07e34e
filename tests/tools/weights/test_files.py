"""Files of weights: recognised by their content, read only if they are whole, never obeyed."""

import contextlib
import os
import pickle
import random

import numpy as np
import pytest

from tests.tools.expected_errors import error_of
from tests.tools.weights.fluid_samples import copy_folder, mutate
from tools.errors import CheckpointError
from tools.weights.files import load_weights, recognise
from tools.weights.fluid_files import write_folder

pytestmark = pytest.mark.usefixtures("no_sync")


def test_a_folder_without_variables_names_the_one_inside_that_has_them(tmp_path):
    copy_folder(tmp_path, "fc_0.w_0")
    assert error_of(recognise, str(tmp_path)).endswith("name the folder in it: weights")


def test_an_archive_or_a_web_page_is_called_what_it_is(tmp_path):
    for content, text in (
        (b"\x1f\x8b\x08\x00", "a gzip file; unpack it"),
        (b"PK\x03\x04", "a .zip archive; unpack it"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"", "is no file of weights, but an empty file; fetch it again"),
        (b"hello", "a text that begins b'hello'; weights are a checkpoint folder"),
    ):
        (tmp_path / "weights").write_bytes(content)
        assert text in error_of(recognise, str(tmp_path / "weights"))


def test_values_that_are_not_finite_are_named(tmp_path):
    write_folder(tmp_path / "weights", {"fc_0.b_0": np.array([1, np.nan], np.float32)})
    assert error_of(load_weights, str(tmp_path / "weights"), "TSN").endswith(
        "fc_0.b_0 holds values that are not finite"
    )


def test_files_that_are_no_weights_are_named(tmp_path):
    path = tmp_path / "x.pdparams"
    for content, message in (
        (b"junk", "x.pdparams is no file of weights, but a text that begins b'junk'"),
        (b"\x80\x04junk", "x.pdparams cannot be read (Un"),
        (pickle.dumps([1]), "x.pdparams holds a list, expected weights by name"),
        (pickle.dumps({"a": "text"}), "x.pdparams: 'a' is not an array under a name, so this is no file of weights"),
        (pickle.dumps({"a": os.getcwd}), "x.pdparams cannot be read (UnsafePickle: it names posix.getcwd"),
    ):
        path.write_bytes(content)
        assert message in error_of(load_weights, str(path), "TSN")


class Runs:
    """Leaves a file behind if a pickle that holds it is ever obeyed."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (self.place, "w"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", [2, 4])
def test_damaged_pickles_end_in_an_error_or_the_same_shapes(protocol, tmp_path):
    arrays = {name: np.ones(3, np.float32) for name in ("a.w_0", "b.w_0", "c.w_0")}
    good, chance = pickle.dumps(arrays, protocol=protocol), random.Random(protocol)
    for _ in range(1000):
        (tmp_path / "x.pdparams").write_bytes(mutate(good, chance))
        with contextlib.suppress(CheckpointError):
            for value in load_weights(str(tmp_path / "x.pdparams"), None).arrays.values():
                assert value.size <= 64
    bad = pickle.dumps(arrays | {"d": Runs(str(tmp_path / "ran"))}, protocol=protocol)
    (tmp_path / "x.pdparams").write_bytes(bad)
    assert "which data does not need" in error_of(load_weights, str(tmp_path / "x.pdparams"), None)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02r\x00\x00\x00\x10.",  # the 268,435,456th object to be remembered
        b"\x80\x04\x8e\x00\x00\x00\x00\x02\x00\x00\x00.",  # 8 GB of bytes
        b"\x80\x02p9999999999\n.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
    ],
)
def test_a_pickle_that_asks_for_more_than_it_holds_is_refused(content, tmp_path):
    (tmp_path / "x.pdparams").write_bytes(content)
    assert "UnpicklingError: it is cut short" in error_of(load_weights, str(tmp_path / "x.pdparams"), None)
