"""Variables of TensorFlow checkpoints of both versions: whole, in slices, damaged, and of another shape."""

import resource
import shutil
import tracemalloc

import numpy as np
import pytest

from tests.mutants import mutants, refusal_of
from tests.tensorflow_files import (
    NUMBERS,
    field,
    listed,
    masked_crc,
    shape_message,
    slice_key,
    slice_message,
    varint,
    write_checkpoint_v1,
    write_checkpoint_v2,
    write_table,
)
from tests.tools.files.tensorflow.goldens import (
    FIRST,
    SECOND,
    SHAPES,
    SLICED,
    require_same,
    require_variables,
    shapes_of,
)
from tools.errors import DataError, DataIssue
from tools.files.tensorflow.checkpoints import load_variables

INDEX = SECOND.with_name("second.ckpt.index")
DATA = ".data-00000-of-00001"
WRITERS = {"first": write_checkpoint_v1, "second": write_checkpoint_v2}
ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "empty": np.zeros((0, 3), np.float32),
    "ints": np.array([-5, 1 << 40]),
    "rows": np.arange(30, dtype=np.float32).reshape(10, 3),
    "scalar": np.array(2.5, np.float32),
}


def refused(path, wanted, issue=None):
    with pytest.raises(DataError) as error:
        load_variables(path, wanted)
    assert issue in (None, error.value.issue)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", [FIRST, SECOND, INDEX], ids=["first", "second", "index"])
def test_the_variables_of_a_checkpoint_of_tensorflow_are_read_to_the_last_bit(path):
    require_variables(load_variables(path, SHAPES))
    require_variables(load_variables(path, dict.fromkeys(SHAPES)))
    assert load_variables(path, {"misc/scalar": ()})["misc/scalar"] == -2.5


def test_the_writers_of_the_tests_write_what_tensorflow_does(tmp_path):
    variables = load_variables(FIRST, SHAPES)
    write_checkpoint_v1(tmp_path / "c", variables, SLICED)
    assert (tmp_path / "c").read_bytes() == FIRST.read_bytes()
    write_checkpoint_v2(tmp_path / "c", variables, SLICED)
    for suffix in (".index", DATA):
        assert (tmp_path / f"c{suffix}").read_bytes() == SECOND.with_name(f"second.ckpt{suffix}").read_bytes()


@pytest.mark.parametrize("rows", [None, 1, 3, 10])
@pytest.mark.parametrize("version", WRITERS)
def test_variables_come_back_in_any_number_of_slices(tmp_path, version, rows):
    WRITERS[version](tmp_path / "c", ARRAYS, {"rows": rows})
    require_same(load_variables(tmp_path / "c", shapes_of(ARRAYS)), ARRAYS)


@pytest.mark.parametrize("version", WRITERS)
def test_variables_that_are_missing_or_of_another_shape_are_named(tmp_path, version):
    WRITERS[version](tmp_path / "c", ARRAYS)
    path = tmp_path / "c"
    assert refused(path, {"a": (3, 2)}, DataIssue.SHAPE) == f"{path}: a has the shape [2, 3], expected [3, 2]"
    assert refused(path, {"a": (2, 3), "b": (1,), "c": ()}, DataIssue.STRUCTURE) == (
        f"{path} holds no variable b, nor 1 others of 3"
    )
    with pytest.raises(DataError, match=r"^the checkpoint holds no variable b$"):
        load_variables(path, {"b": None}, called="the checkpoint")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file, not a TensorFlow checkpoint"),
        (b"<html>not here</html>", "is a web page (HTML), not a TensorFlow checkpoint"),
        (b"x" * 5 + b"\xff\0" * 60, "is not a whole TensorFlow checkpoint: it does not end as a table does"),
    ],
)
def test_what_is_no_checkpoint_is_said_to_be_what_it_is(tmp_path, content, message):
    (tmp_path / "c").write_bytes(content)
    assert refused(tmp_path / "c", SHAPES).startswith(f"{tmp_path}/c {message}")


def test_a_table_of_something_else_is_refused(tmp_path):
    write_table(tmp_path / "c", {b"a": [b"b"]})
    assert "it is a table of something else" in refused(tmp_path / "c", SHAPES, DataIssue.DAMAGED)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    assert refused(tmp_path / "gone", SHAPES).startswith(f"{tmp_path}/gone cannot be read: ")
    assert refused(tmp_path, SHAPES).startswith(f"{tmp_path} cannot be read: ")


def first_of(path, *slices, shape=(4, 3), number=1):
    """A checkpoint of version 1 of one variable ``a``, with slices (extents, SavedSlice's tensor)."""
    extents = [part for each, _ in slices for part in field(4, slice_message(each))]
    head = [*field(1, "a"), *field(2, shape_message(shape)), *field(3, number), *extents]
    entries = {b"": field(1, field(1, head))}
    for each, values in slices:
        entries[slice_key("a", each)] = field(2, [*field(1, "a"), *field(2, slice_message(each)), *values])
    write_table(path, entries)


def values_of(*shape):
    return field(3, listed(np.ones(shape, np.float32)))


BAD_SLICES = {
    "missing": ([([(0, 2), (0, 3)], values_of(2, 3))], "a slice of it is missing"),
    "overlapping": ([([(0, 2), (0, 3)], values_of(2, 3)), ([(1, 2), (0, 3)], values_of(2, 3))], "slices of it overlap"),
    "too many": ([([(0, 3), (0, 3)], values_of(3, 3)), ([(1, 2), (0, 3)], values_of(2, 3))], "more values than itself"),
    "beyond": ([([(3, 2), (0, 3)], values_of(2, 3))], "a slice of it reaches from 3 to 5, and its axis has 4"),
    "before": ([([(-1, 2), (0, 3)], values_of(2, 3))], "a slice of it reaches from -1 to 1"),
    "axes": ([([(0, 4)], values_of(4))], "a slice of it has 1 axes, and itself 2"),
    "one value for all": ([([(0, -1), (0, -1)], values_of(1))], "it has 1 values, and its shape [4, 3] asks for 12"),
    "no values": ([([(0, -1), (0, -1)], [])], "it has no values"),
}


@pytest.mark.parametrize("case", BAD_SLICES)
def test_slices_that_do_not_make_a_variable_are_refused(tmp_path, case):
    slices, message = BAD_SLICES[case]
    first_of(tmp_path / "c", *slices)
    text = refused(tmp_path / "c", {"a": (4, 3)}, DataIssue.DAMAGED)
    assert text.startswith(f"{tmp_path}/c is not a whole TensorFlow checkpoint: a is damaged: ")
    assert message in text


def test_slices_of_several_axes_make_a_variable(tmp_path):
    parts = [[(row, 2), (column, size)] for row in (0, 2) for column, size in ((0, 1), (1, 2))]
    first_of(tmp_path / "c", *[(extents, values_of(2, extents[1][1])) for extents in parts])
    np.testing.assert_array_equal(load_variables(tmp_path / "c", {"a": (4, 3)})["a"], np.ones((4, 3), np.float32))


def second_of(path, dtype=1, shape=(2, 3), size=24, offset=0, shard=0, crc=None, content=bytes(24), header=(1, 0)):
    """A checkpoint of version 2 of one variable ``a``, with an entry that says what it is told to."""
    crc = masked_crc([content[offset : offset + size]]) if crc is None else crc
    entry = [*field(1, dtype), *field(2, shape_message(shape)), *field(3, shard), *field(4, offset)]
    entry += [*field(5, size), varint(6 << 3 | 5) + crc.to_bytes(4, "little")]
    write_table(path.with_name(f"{path.name}.index"), {b"": [*field(1, header[0]), *field(2, header[1])], b"a": entry})
    path.with_name(f"{path.name}{DATA}").write_bytes(content)


BAD_ENTRIES = {
    "checksum": ({"crc": 5}, f"its values in c{DATA} do not match their checksum"),
    "beyond": ({"offset": 8}, f"c{DATA} is cut short"),
    "size": ({"size": 20}, "its index gives it 20 bytes for 6 values of 4 bytes"),
    "shard": ({"shard": 1}, "its index gives it"),
    "negative shard": ({"shard": -1}, "its index gives it"),
    "negative offset": ({"offset": -4}, "its index gives it"),
    "type": ({"dtype": 7}, "of type 7 of types.proto"),
    "order": ({"header": (1, 1)}, "in big-endian order"),
    "no data": ({"header": (2, 0)}, "cannot be read: [Errno 2] No such file or directory: "),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_an_index_that_does_not_fit_its_data_is_refused(tmp_path, case):
    options, message = BAD_ENTRIES[case]
    second_of(tmp_path / "c", **options)
    assert message in refused(tmp_path / "c", {"a": (2, 3)})
    second_of(tmp_path / "c")
    np.testing.assert_array_equal(load_variables(tmp_path / "c", {"a": (2, 3)})["a"], np.zeros((2, 3), np.float32))


HUGE = (1 << 30, 1 << 9)


def test_what_a_stranger_writes_takes_no_memory_that_its_size_does_not_justify(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for wanted in (None, (2, 3)):
        second_of(tmp_path / "c", shape=HUGE, size=4 << 39)
        refused(tmp_path / "c", {"a": wanted}, DataIssue.SHAPE)
        first_of(tmp_path / "d", ([(0, -1), (0, -1)], values_of(1)), shape=HUGE)
        refused(tmp_path / "d", {"a": wanted}, DataIssue.SHAPE)
    second_of(tmp_path / "c", shape=HUGE, size=4 << 39)
    assert "is cut short" in refused(tmp_path / "c", {"a": HUGE})
    write_table(tmp_path / "m", {b"": field(1, b"\x0a\0" * 10**6)})
    assert "what it says of its variables is missing or too long" in refused(tmp_path / "m", {"a": None})
    write_table(tmp_path / "m.index", {b"": field(2, 0), b"a": [b"\x3a\0" * 10**6]})
    (tmp_path / "m").unlink()
    assert "a BundleEntryProto in it has 2000000 bytes" in refused(tmp_path / "m", {"a": None}).replace(",", "")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB


def test_entries_that_nobody_asks_for_are_not_kept(tmp_path):
    keys = [b"%04d" % i + b"k" * 16_000 for i in range(600)]
    write_table(tmp_path / "c.index", {b"": field(1, 1), **{key: [b"content"] for key in keys}})
    tracemalloc.start()
    assert "holds no variable a" in refused(tmp_path / "c", {"a": None})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6 < sum(map(len, keys))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("version", WRITERS)
def test_a_variable_of_any_type_comes_back(tmp_path, version, dtype):
    arrays = {"x": np.random.default_rng(0).integers(0, 2, (3, 2)).astype(dtype)}
    WRITERS[version](tmp_path / "c", arrays)
    require_same(load_variables(tmp_path / "c", {"x": (3, 2)}), arrays)


@pytest.mark.parametrize("damaged", ["first.ckpt", "second.ckpt.index", f"second.ckpt{DATA}"])
def test_damage_anywhere_is_refused_or_changes_nothing(tmp_path, damaged):
    for path in (FIRST, *FIRST.parent.glob("second.*")):
        shutil.copy(path, tmp_path)
    refusals = 0
    for mutant in mutants((FIRST.parent / damaged).read_bytes(), 300, seed=0):
        (tmp_path / damaged).write_bytes(mutant)
        path = tmp_path / damaged.split(".ckpt")[0]
        if refusal_of(load_variables, path.with_suffix(".ckpt"), SHAPES):
            refusals += 1
        else:
            require_variables(load_variables(path.with_suffix(".ckpt"), SHAPES))
    assert refusals > 250
