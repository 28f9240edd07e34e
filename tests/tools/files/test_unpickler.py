"""Pickles that would alter memory, hang or take much of it are refused, and all others read as elsewhere."""

import io
import pickle
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.slow_pickles import as_plain, load_slowly
from tests.tools.files.test_pickles import DTYPE, EMPTY, RECORD, hand_made, load
from tools.files import pieces, unpickler
from tools.files.pickle_operations import MOST_MARKS, UnsafePickle
from tools.files.pickles import load_pickle

STATE = b"(K\x01K\x08\x85" + DTYPE + b"\x89C\x08abcdefghtb"  # of eight bytes
FROM_BUFFER = b"cnumpy._core.numeric\n_frombuffer\n"


def refusal_of(data: bytes) -> str:
    with pytest.raises(UnsafePickle) as error:
        load(data)
    return str(error.value)


# Memory of the process


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("built twice", EMPTY + STATE + STATE, "it changes a ndarray that it has made"),
        ("a view of an array", b"(" + EMPTY + STATE + b"q\x01" + FROM_BUFFER + b"(h\x01" + DTYPE + b"K\x08\x85U\x01CtR",
         "it holds an array that is not made of bytes"),
        ("written to", EMPTY + STATE + b"K\x00K\x41s", "it puts something into a ndarray as if it were a dict"),
        ("an empty one written to", EMPTY + b"K\x00K\x41s", "it puts something into a ndarray as if it were a dict"),
        ("several items", EMPTY + STATE + b"(K\x00K\x41u", "it puts something into a ndarray as if it were a dict"),
        ("put behind", EMPTY + STATE + b"K\x41a", "it puts something into a ndarray as if it were a list"),
        ("several behind", EMPTY + STATE + b"(K\x41e", "it puts something into a ndarray as if it were a list"),
        ("a type built twice", DTYPE + 2 * b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
         "it changes a type that it has made"),
        ("a scalar changed", b"cnumpy._core.multiarray\nscalar\n(" + DTYPE + b"C\x01atR(K\x01tb",
         "it changes a uint8 that it has made"),
        ("a list changed", b"](K\x01tb", "it changes a list that it has made"),
        ("a function changed", b"cnumpy\ndtype\n}b", "it changes a Builder that it has made"),
        ("too few bytes", EMPTY + STATE.replace(b"K\x08\x85", b"K\x09\x85"), "it holds 8 bytes for 9 numbers"),
        ("a type", DTYPE, "it holds a _DType that is no part of data"),
        ("a function", b"(cnumpy\ndtype\nt", "it holds a Builder that is no part of data"),
        ("a text called", b"X\x01\x00\x00\x00a)R", "it calls a str"),
        ("a class called", b"cnumpy\nndarray\n)R", "it calls a object"),
    ],
)  # fmt: skip
def test_nothing_that_was_made_is_altered(name, data, text):
    assert refusal_of(hand_made(data)).startswith(text)


def test_hundred_tries_to_change_the_bytes_of_another_object_change_none():
    """The first state owns memory, a view of it is kept, and a second state lets go of the memory."""
    others = [bytes(range(256)) * 16 for _ in range(100)]
    before = [bytes(other) for other in others]
    for number in range(100):
        size = 16 << number % 12
        state = (
            b"(K\x01J"
            + struct.pack("<i", size)
            + b"\x85"
            + DTYPE
            + b"\x89B"
            + struct.pack("<i", size)
            + b"a" * size
            + b"tb"
        )
        attack = (
            EMPTY
            + b"q\x01"
            + state
            + FROM_BUFFER
            + b"(h\x01"
            + DTYPE
            + b"J"
            + struct.pack("<i", size)
            + b"\x85U\x01CtRq\x02"
        )
        refusal_of(hand_made(attack, b"0h\x01", STATE, b"0h\x02K\x00K\xffs"))
        refusal_of(hand_made(EMPTY, b"q\x01", state, STATE))
    assert others == before


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_cannot_be_written_to(protocol):
    arrays = load(
        pickle.dumps([np.arange(6, dtype=np.float32).reshape(2, 3)] * 2 + [np.zeros((2, 4), np.uint8)], protocol)
    )
    assert [array.flags.writeable for array in arrays] == [False] * 3
    assert arrays[0] is arrays[1]


# Small files that would take long, or much memory


def pair_of(times: int) -> bytes:
    """t = (t, t), so many times."""
    return b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(times))


SMALL = {
    "a number for a vast memory": (b"K\x01r\xff\xff\xff\x0f", None),
    "a pair of pairs": (pair_of(40), "its containers stand in more than "),
    "a pair of pairs as a key": (b"}" + pair_of(40) + b"K\x01s", "it has a tuple as a key, not text, bytes or a whole"),
    "a list in itself": (b"]q\x01h\x01a", "it has containers in one another more than 64 deep"),
    "a dict in itself": (b"}q\x01K\x01h\x01s", "it has containers in one another more than 64 deep"),
    "containers in one another": (b")" + b"\x85" * 65, "it has containers in one another more than 64 deep"),
    "a vast number as a key": (b"}\x8a\x0a" + bytes(9) + b"\x01K\x01s", "it has a int as a key, not text"),
    "marks": (b"(" * (MOST_MARKS + 1), "it has more than 1000 containers unfinished"),
    "an object in its own place": (b"K\x012.", "it asks for DUP, which data does not need"),
    "a bytearray to fill": (b"\x96" + bytes(8) + b"(K\x01e", "it puts something into a bytes as if it were a list"),
    "a set": (b"\x8f", "it asks for EMPTY_SET, which data does not need"),
    "a buffer of others": (b"\x97", "it asks for NEXT_BUFFER, which data does not need"),
    "a class of others": (b"(i__main__\nA\n", "it asks for INST, which data does not need"),
    "an object that is somewhere": (b"Pa\n", "it asks for PERSID, which data does not need"),
    "an object outside of it": (b"K\x01Q", "it asks for BINPERSID, which data does not need"),
    "a later protocol": (b"\x80\x06", "it is of protocol 6; the last that is known is 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_what_a_small_file_asks_for_is_bounded(name):
    data, text = SMALL[name]
    tracemalloc.start()
    began = time.process_time()
    try:
        if text is None:
            load(hand_made(data))
        else:
            assert refusal_of(hand_made(data)).startswith(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 << 20
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "data", [b"B\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 7 + b"\x7f", b"X\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f"]
)
def test_bytes_that_are_not_there_take_no_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(pickle.UnpicklingError):
            load(hand_made(data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_more_containers_than_a_file_has_bytes_for_are_refused():
    assert refusal_of(hand_made(b"(" + b"]" * 1_200_000 + b"t")) == "it has more than 1,018,750 containers"
    assert refusal_of(hand_made(b"K\x01" + b"\x94" * 1_200_000)).startswith("it keeps more than 1,018,7")


@pytest.mark.parametrize("key", [(1, 2), 1.5, None, frozenset(), True])
def test_keys_are_text_bytes_or_whole_numbers(key):
    with pytest.raises(UnsafePickle):
        load(pickle.dumps({key: 1}, 4))


# Others read the same

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
KEYS = st.text() | st.binary() | st.integers(-(1 << 63), (1 << 63) - 1)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner), max_leaves=40
)


@settings(max_examples=300, deadline=None)
@given(value=DATA, protocol=st.integers(0, 5))
def test_plain_data_is_read_as_it_was_written(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">i4", "<i8", "f2", "<f4", ">f8", "?"])
def test_arrays_of_every_plain_type_shape_and_order_are_read_as_they_were_written(dtype, protocol):
    rng = np.random.default_rng(0)
    shapes = [(), (0,), (3,), (2, 3), (300, 4), (2, 3, 4), (1, 2, 3, 4), (0, 5)]
    arrays = [rng.integers(0, 100, shape).astype(dtype) for shape in shapes]
    arrays += [np.asfortranarray(arrays[3]), arrays[4][::2], arrays[3]]
    read = load(pickle.dumps(arrays, protocol))
    assert read[3] is read[-1]
    for one, other in zip(arrays, read, strict=True):
        assert other.dtype.newbyteorder("=") == one.dtype.newbyteorder("=")  # NumPy too may read others as its own
        np.testing.assert_array_equal(other, one)


def compare_mutants(seed: bytes, count: int) -> int:
    """How many of so many mutants are read, as they are by a slow reader."""
    read, rng = 0, random.Random(1)
    for _ in range(count):
        mutant = bytearray(seed)
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            mutant[rng.randrange(len(mutant))] = rng.choice([0, 1, 255, rng.randrange(256), rng.choice(seed)])
        try:
            value = load_pickle(io.BytesIO(mutant))
        except pickle.UnpicklingError:
            continue
        assert as_plain(value) == as_plain(load_slowly(bytes(mutant))), bytes(mutant)
        read += 1
    return read


def make_seed(protocol: int) -> bytes:
    arrays = {"feature": np.arange(6, dtype=np.uint8).reshape(3, 2), "audio": np.ones((2, 3), np.float32)}
    return pickle.dumps({"video": b"ab", **arrays, "label": [1, 300], "t": ("a", 1.5)}, protocol)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_what_is_read_of_mutants_is_what_a_slow_reader_reads(protocol):
    assert compare_mutants(make_seed(protocol), 400) > 20


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_what_is_read_of_mutants_in_pieces_is_what_a_slow_reader_reads(monkeypatch, protocol):
    monkeypatch.setattr(pieces, "_LEAST", 140)  # so that operations stand across their ends
    monkeypatch.setattr(pieces, "_MOST", 150)
    assert compare_mutants(make_seed(protocol), 400) > 20


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_what_is_read_of_many_mutants_is_what_a_slow_reader_reads(protocol):
    assert compare_mutants(make_seed(protocol), 20_000) > 1000


def test_arrays_are_the_same_whether_or_not_they_are_read_in_one_go(monkeypatch):
    records = [RECORD] + [{**RECORD, "feature": np.full((3, 8), i, np.uint8)} for i in range(3)]
    for protocol in range(6):
        data = pickle.dumps(records, protocol)
        fast = load(data)
        monkeypatch.setattr(unpickler, "_ARRAY", lambda *place: None)
        assert as_plain(load(data)) == as_plain(fast)
        monkeypatch.undo()
