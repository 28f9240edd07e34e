"""Pickles from strangers: data of every age is read, and nothing else."""

import contextlib
import io
import os
import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.errors import DataError
from tools.files.pickle_operations import UnsafePickle
from tools.files.pickles import load_data_pickle, load_pickle

RECORD = {
    "video": b"abcd",
    "feature": np.arange(24, dtype=np.uint8).reshape(3, 8),
    "fortran": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "label": [1, 2],
    "nframes": np.int32(3),
    "weight": np.float64(0.5),
}


def load(data: bytes):
    return load_pickle(io.BytesIO(data))


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_records_are_read_in_every_protocol(protocol):
    record = load(pickle.dumps([RECORD], protocol=protocol))[0]
    assert record.keys() == RECORD.keys()
    for key, value in RECORD.items():
        np.testing.assert_array_equal(record[key], value)


def test_module_names_of_numpy_before_and_since_version_2_are_read():
    data = pickle.dumps(RECORD["feature"], protocol=2)
    for old, new in ((b"numpy._core.", b"numpy.core."), (b"numpy.core.", b"numpy._core.")):
        np.testing.assert_array_equal(load(data.replace(old, new)), RECORD["feature"])


def test_what_python_2_wrote_is_read_as_bytes():
    data = (
        b"\x80\x02}q\x00(U\x05videoq\x01U\x04abcdq\x02U\x05labelq\x03]q\x04(K\x07K\x08eU\x07featureq\x05"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08U\x01bq\x09\x87q\x0aRq\x0b"
        b"(K\x01K\x02K\x02\x86q\x0ccnumpy\ndtype\nq\x0dU\x02u1q\x0eK\x00K\x01\x87q\x0fRq\x10(K\x03U\x01|q\x11NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89U\x04\x01\x02\x03\xffq\x13tq\x14bu."
    )
    record = load(data)
    assert record[b"video"] == b"abcd"
    assert record[b"label"] == [7, 8]
    np.testing.assert_array_equal(record[b"feature"], np.array([[1, 2], [3, 255]], np.uint8))


@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, "touch ran"),
        Calls(eval, "1"),
        Calls(np.empty, (10,)),
        Calls(np.ndarray, (10**12,)),
        np.array([object()]),
        np.array(["text"]),
        np.zeros(2, dtype=[("a", "i4")]),
        np.ma.masked_array([1, 2]),
        RecursionError("x"),
    ],
    ids=["system", "eval", "empty", "ndarray", "objects", "text", "fields", "masked", "exception"],
)
def test_anything_but_data_is_refused_before_it_runs(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePickle):
        load(pickle.dumps(value))
    assert not list(tmp_path.iterdir())


def test_a_refusal_names_what_the_file_asked_for():
    with pytest.raises(UnsafePickle, match=r"it names posix.system, which data does not need"):
        load(pickle.dumps(Calls(os.system, "touch ran")))


def hand_made(*operations: bytes) -> bytes:
    return b"\x80\x02" + b"".join(operations) + b"."


DTYPE = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"


@pytest.mark.parametrize(
    "data",
    [
        hand_made(b"cnumpy\nndarray\n(J\xff\xff\xff\x7ft", b"R"),  # the class itself is never called
        hand_made(b"cnumpy\ndtype\n(U\x01OtR"),
        hand_made(EMPTY, b"(K\x01(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft", DTYPE, b"\x89U\x01xtb"),  # a vast shape
        hand_made(EMPTY, b"(K\x01(K\x01t", DTYPE, b"\x89]tb"),  # a list in place of bytes
        hand_made(EMPTY, b"(K\x01(K\x01tU\x02O8\x89U\x08xxxxxxxxtb"),  # text in place of a type
        hand_made(b"cnumpy.core.multiarray\nscalar\n}U\x0c__defaults__K\x01sb"),  # changes one of our functions
        hand_made(b"c_codecs\nencode\n(X\x01\x00\x00\x00xX\x04\x00\x00\x00zlibtR"),
    ],
)
def test_hand_made_attacks_are_refused(data):
    with pytest.raises(UnsafePickle):
        load(data)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_only_the_errors_that_callers_expect(data):
    good = bytearray(pickle.dumps([RECORD], protocol=data.draw(st.sampled_from([2, 4]))))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    with contextlib.suppress(pickle.UnpicklingError):
        load(bytes(good[: cut or None]))


def test_the_hand_made_files_are_well_formed():
    for operations in (DTYPE, EMPTY):
        pickletools.dis(hand_made(operations), io.StringIO())


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (pickle.dumps(os.getcwd), "is not a data file and was not loaded: it names posix.getcwd"),
        (pickle.dumps(RECORD)[:-9], "is not a whole pickle: it is cut short"),
        (pickle.dumps(1) * 2, "is not a whole pickle: it goes on behind its first object; a file holds one"),
        (None, "cannot be read: "),
    ],
)
def test_a_file_that_holds_anything_but_one_pickle_of_data_is_named(tmp_path, data, part):
    path = tmp_path / "x.pkl"
    if data is not None:
        path.write_bytes(data)
    for where in (None, "x.list line 3"):
        with pytest.raises(DataError) as error:
            load_data_pickle(str(path), where)
        assert str(error.value).startswith(f"{where or path} {part}")
