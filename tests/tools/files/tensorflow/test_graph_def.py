"""Constants of TensorFlow graphs: every form of values, shapes that are not wanted, damage, and memory."""

import resource

import numpy as np
import pytest

from tests.mutants import mutants, refusal_of
from tests.tensorflow_files import (
    constant_attributes,
    field,
    node,
    number_of,
    packed,
    shape_message,
    tensor,
    view,
    write_graph_def,
    write_parts,
)
from tests.tools.files.tensorflow.goldens import CONSTANTS, GRAPH, OTHER_NODES, require_same, shapes_of
from tests.tools.files.tensorflow.reference_graph import read_slowly
from tools.errors import DataError, DataIssue
from tools.files.tensorflow.graph_def import load_constants
from tools.files.tensorflow.wire import MOST_FIELDS

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def write_node(path, value, name="a", op="Const", **others):
    """A graph of one node whose attribute ``value`` is an AttrValue."""
    write_parts(path, node(name, op, {"value": value} | others))


def of_tensor(number, shape, *fields):
    """An AttrValue with a TensorProto of a type, a shape and fields with values."""
    head = [*field(1, number), *field(2, shape_message(shape))]
    return field(8, [*head, *(part for each in fields for part in each)])


def read(path, shape=(2, 3), name="a"):
    return load_constants(path, {name: shape})[name]


def refused(path, shape=(2, 3), issue=None):
    with pytest.raises(DataError) as error:
        read(path, shape)
    assert issue in (None, error.value.issue)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_constants_of_a_graph_of_tensorflow_are_read_to_the_last_bit():
    require_same(load_constants(GRAPH, shapes_of(CONSTANTS)), CONSTANTS)
    require_same(load_constants(GRAPH, dict.fromkeys(CONSTANTS)), CONSTANTS)


def test_nodes_that_nobody_asks_for_are_not_looked_at_and_others_are_no_constants(tmp_path):
    one = {"Mul/y": CONSTANTS["Mul/y"]}
    require_same(load_constants(GRAPH, {"Mul/y": ()}), one)
    with pytest.raises(DataError, match=f"holds no constant {OTHER_NODES[0]}, nor 1 others of 3$"):
        load_constants(GRAPH, {"Mul/y": (), OTHER_NODES[0]: None, "more": None})
    write_parts(tmp_path / "g", [*node("broken", "Const", {"value": field(8, b"\xff\xff")}), GRAPH.read_bytes()])
    require_same(load_constants(tmp_path / "g", {"Mul/y": ()}), one)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "i8", "?", "f2"])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (3, 0, 2), (1, 7, 2, 3)])
def test_an_array_of_any_type_and_shape_comes_back(tmp_path, dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    write_graph_def(tmp_path / "g", {"first": VALUES, "a": array, "last": VALUES})
    require_same({"a": read(tmp_path / "g", shape)}, {"a": array})


FLOATS, NEGATIVE = np.float32([1, -2.5]), packed([-3, 5])
FORMS = {  # type, fields -> the six values that they stand for
    "float_val": (1, [field(5, [view(VALUES)])], VALUES),
    "float_val, the last repeated": (1, [field(5, [view(FLOATS)])], np.float32([1, *[-2.5] * 5])),
    "float_val, one for all": (1, [field(5, [view(FLOATS[:1])])], np.ones(6, np.float32)),
    "float_val, not packed": (1, [[b"\x2d" + FLOATS[i].tobytes()] for i in (0, 1)], np.float32([1, *[-2.5] * 5])),
    "double_val": (2, [field(6, [view(VALUES.astype("f8"))])], VALUES.astype("f8")),
    "int_val": (3, [field(7, NEGATIVE)], np.int32([-3, *[5] * 5])),
    "int_val, not packed": (3, [[b"\x38" + packed([-3])], [b"\x38\x05"]], np.int32([-3, *[5] * 5])),
    "int_val of bytes": (4, [field(7, packed([255, 7]))], np.uint8([255, *[7] * 5])),
    "int64_val": (9, [field(10, packed([-(1 << 40), 9]))], np.int64([-(1 << 40), *[9] * 5])),
    "bool_val": (10, [field(11, b"\1\0")], np.array([True, *[False] * 5])),
    "half_val": (19, [field(13, packed(np.float16([1.5, -2]).view("u2")))], np.float16([1.5, *[-2] * 5])),
    "half_val of bfloat16": (14, [field(13, packed([0x3FC0, 0xC000]))], np.float32([1.5, *[-2] * 5])),
    "content of bfloat16": (14, [field(4, np.uint16([0x3FC0, *[0xC000] * 5]).tobytes())], np.float32([1.5, *[-2] * 5])),
}


@pytest.mark.parametrize("form", FORMS)
def test_values_are_read_in_every_form(tmp_path, form):
    number, fields, expected = FORMS[form]
    write_node(tmp_path / "g", of_tensor(number, (2, 3), *fields))
    require_same({"a": read(tmp_path / "g")}, {"a": expected.reshape(2, 3)})


SIX = field(4, [view(VALUES)])
BAD_TENSORS = {
    "no values": (of_tensor(1, (2, 3)), "it has 0 values, and its shape [2, 3] asks for 6"),
    "cut content": (of_tensor(1, (2, 3), field(4, bytes(20))), "it has 5 values"),
    "part of a value": (of_tensor(1, (2, 3), field(4, bytes(23))), "its values have 23 bytes, and 4 each"),
    "content is not repeated": (of_tensor(1, (2, 3), field(4, bytes(4))), "it has 1 values"),
    "too many": (of_tensor(1, (2, 3), field(5, bytes(28))), "it has 7 values"),
    "two places": (of_tensor(1, (2, 3), SIX, field(5, bytes(24))), "stand in several places"),
    "twice": (of_tensor(1, (2, 3), SIX, SIX), "stand in several places"),
    "another type": (of_tensor(3, (2, 3), field(5, [view(VALUES)])), "of another type"),
    "texts": (of_tensor(7, (2, 3), SIX), "of type 7 of types.proto; 1, 2, 3"),
    "no type": (of_tensor(0, (2, 3), SIX), "of type 0 of types.proto"),
    "half beyond": (of_tensor(19, (2, 3), field(13, packed([1 << 16]))), "a value in it is beyond 0 to 65535"),
    "byte beyond": (of_tensor(4, (2, 3), field(7, packed([256]))), "a value in it is beyond 0 to 255"),
    "byte below": (of_tensor(4, (2, 3), field(7, packed([-1]))), "a value in it is beyond 0 to 255"),
    "no truth value": (of_tensor(10, (2, 3), field(4, b"\0\1\2\0\0\0")), "neither 0 nor 1"),
    "no value": (field(6, 1), "a is damaged: it has no value"),
    "empty tensor twice": ([*field(8, []), *field(8, [])], "it says something twice"),
    "unknown rank": (field(8, [*field(1, 1), *field(2, field(3, 1)), *SIX]), "its shape [] is none"),
    "negative size": (field(8, [*field(1, 1), *field(2, field(2, field(1, -2))), *SIX]), "its shape [-2] is none"),
    "groups": (field(8, [b"\x0b\x0c"]), "a field in it is of type 3"),
    "field 0": (field(8, [b"\x00\x01"]), "a field in it has the number 0"),
    "endless number": (field(8, [b"\x08" + b"\xff" * 11]), "a number in it has no end"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_a_wanted_constant_that_is_damaged_is_named(tmp_path, case):
    value, message = BAD_TENSORS[case]
    write_node(tmp_path / "g", value)
    text = refused(tmp_path / "g", issue=DataIssue.DAMAGED)
    assert text.startswith(f"{tmp_path}/g is not a whole TensorFlow graph: a is damaged: ")
    assert message in text


def test_another_shape_than_is_wanted_is_refused(tmp_path):
    write_graph_def(tmp_path / "g", {"a": VALUES})
    text = refused(tmp_path / "g", (3, 2), DataIssue.SHAPE)
    assert text == f"{tmp_path}/g: a has the shape [2, 3], expected [3, 2]"
    with pytest.raises(DataError, match=r"^the graph: a has the shape"):
        load_constants(tmp_path / "g", {"a": ()}, called="the graph")


def test_two_constants_of_one_name_are_refused(tmp_path):
    write_parts(tmp_path / "g", [*node("a", "Const", constant_attributes(VALUES))] * 2)
    assert "it has two constants a" in refused(tmp_path / "g")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file, not a TensorFlow graph"),
        (b"<html>not here</html>", "is a web page (HTML), not a TensorFlow graph"),
        (b"\x1f\x8b\x08" + bytes(40), "is a gzip file, not a TensorFlow graph"),
        (b"\x0a\xff\xff\xff\xff\x07", "is not a whole TensorFlow graph: a field in it is cut short"),
    ],
)
def test_what_is_no_graph_is_said_to_be_what_it_is(tmp_path, content, message):
    (tmp_path / "g").write_bytes(content)
    text = refused(tmp_path / "g")
    assert text.startswith(f"{tmp_path}/g {message}")


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    assert refused(tmp_path / "gone", issue=DataIssue.UNREADABLE).startswith(f"{tmp_path}/gone cannot be read: ")
    assert refused(tmp_path, issue=DataIssue.UNREADABLE).startswith(f"{tmp_path} cannot be read: ")


def huge(number_of_values):
    """A shape in a TensorProto, and the least that could stand for all its values."""
    return of_tensor(1, (), field(2, field(2, field(1, number_of_values))), field(5, bytes(4)))


SMALL_NODES = node("a", "Const", {"value": of_tensor(1, (), field(5, bytes(4)))})
MANY = field(10, bytes(10**7))
HOSTILE = {  # parts of a graph
    "a huge shape": (node("a", "Const", {"value": huge(1 << 39)}), None, "more than was to be expected"),
    "a shape beyond numbers": (node("a", "Const", {"value": huge(1 << 62)}), None, "is none"),
    "a huge shape that is not wanted": (node("a", "Const", {"value": huge(1 << 39)}), (2, 3), "expected [2, 3]"),
    "many axes": (node("a", "Const", {"value": field(8, field(2, b"\x12\0" * 10**6))}), (2, 3), "are more than enough"),
    "many axes, any shape": (node("a", "Const", {"value": field(8, field(2, b"\x12\0" * 10**6))}), None, "than enough"),
    "many nodes": ([b"\x0a\0" * (MOST_FIELDS + 1)], (2, 3), "more than 200,000 fields"),
    "many attributes": (field(1, [*field(1, "a"), b"\x2a\0" * MOST_FIELDS]), (2, 3), "more than 200,000 fields"),
    "many small values": (node("a", "Const", {"value": of_tensor(9, (), MANY)}), (1 << 24,), "are more than enough"),
    "a long name": (node("a" * 10**6, "Const", {}), (2, 3), "are more than enough"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_a_stranger_writes_takes_no_memory_that_its_size_does_not_justify(tmp_path, case):
    parts, shape, message = HOSTILE[case]
    write_parts(tmp_path / "g", parts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert message in refused(tmp_path / "g", shape)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB


def test_damage_anywhere_is_refused_or_read_as_it_stands(tmp_path):
    wanted, refusals = shapes_of(CONSTANTS), 0
    for mutant in mutants(GRAPH.read_bytes(), 400, seed=0):
        (tmp_path / "g").write_bytes(mutant)
        if refusal_of(load_constants, tmp_path / "g", wanted):
            refusals += 1
        else:
            require_same(load_constants(tmp_path / "g", wanted), read_slowly(mutant, wanted))
    assert refusals > 100


def test_other_writers_order_of_fields_changes_nothing(tmp_path):
    reversed_tensor = [*field(4, [view(VALUES)]), *field(2, shape_message(VALUES.shape)), *field(1, number_of(VALUES))]
    attribute = [*field(2, field(8, reversed_tensor)), *field(1, "value")]
    write_parts(tmp_path / "g", field(1, [*field(5, attribute), *field(2, "Const"), *field(1, "a")]))
    require_same({"a": read(tmp_path / "g")}, {"a": VALUES})
    write_node(tmp_path / "g", field(8, tensor(VALUES)), _class=field(2, b"loc:@a"))
    require_same({"a": read(tmp_path / "g")}, {"a": VALUES})
