"""A slow reader of GraphDefs: every field by itself, tensors by the protobuf library, value by value."""

import math

import numpy as np

from tools.files.tensorflow.messages import message_class

FORMS = {  # type -> (dtype of the values, field of values one by one, dtype of those)
    1: ("f4", "float_val", "f4"),
    2: ("f8", "double_val", "f8"),
    3: ("i4", "int_val", "i4"),
    4: ("u1", "int_val", "u1"),
    9: ("i8", "int64_val", "i8"),
    10: ("?", "bool_val", "?"),
    19: ("f2", "half_val", "u2"),
}


def read_slowly(content, wanted):
    """name -> array of each constant that is wanted, of a GraphDef whose wanted nodes are whole."""
    found = {}
    for node in nodes_of(content):
        name, op = (field_of(node, number) for number in (1, 2))
        if op == b"Const" and (name or b"").decode(errors="replace") in wanted:
            entries = [value for number, value in fields_of(node) if number == 5]
            value = next(field_of(entry, 2) for entry in entries if field_of(entry, 1) == b"value")
            found[name.decode(errors="replace")] = array_of(message_class("TensorProto").FromString(field_of(value, 8)))
    return found


def array_of(tensor):
    dtype, values, listed = FORMS[tensor.dtype]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = math.prod(shape)
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    items = list(getattr(tensor, values))
    items += items[-1:] * (count - len(items))
    return np.array(items, listed).view(dtype).reshape(shape)


def nodes_of(content):
    """The bytes of each node: a damaged one that nobody wants must not keep the library from the others."""
    return [value for number, value in fields_of(content) if number == 1 and isinstance(value, bytes)]


def field_of(content, number):
    """The last value of a field."""
    return next((value for each, value in reversed(fields_of(content)) if each == number), None)


def fields_of(content):
    fields, at = [], 0
    while at < len(content):
        key, at = number_at(content, at)
        if key & 7 == 0:
            value, at = number_at(content, at)
        elif key & 7 == 2:
            size, at = number_at(content, at)
            value, at = content[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = content[at : at + size], at + size
        fields.append((key >> 3, value))
    return fields


def number_at(content, at):
    value = shift = 0
    while True:
        value |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            return value, at
