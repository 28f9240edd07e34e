"""The constants of a TensorFlow graph: a GraphDef, as ``classify_image_graph_def.pb`` is one.

A GraphDef is one message with a NodeDef for each node; that of a constant has the operation ``Const`` and, as its
attribute ``value``, a TensorProto (tensorflow/core/framework/graph.proto and node_def.proto).
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tools.errors import DataError, DataIssue
from tools.files.recognise import recognise_file
from tools.files.tensorflow.messages import parse
from tools.files.tensorflow.tensors import Shape, Tensor, find_wrong_shape
from tools.files.tensorflow.wire import Cutter, MalformedError

LARGEST = (1 << 31) - 1  # bytes, of any message
_SMALL = 1 << 16  # bytes of a message without what is large in it
_BEGIN = b"\x0a"  # of a graph, as of any message whose first field is the first and has a length
_NODE, _ATTRIBUTE, _VALUE, _TENSOR = 1, 5, 2, 8  # fields, from the outermost message on


def load_constants(
    path: str | Path, wanted: Mapping[str, Shape | None], called: str | None = None
) -> dict[str, np.ndarray]:
    """Constants of a graph by the names of their nodes, as arrays of the file's types, a bfloat16 as a float32.

    wanted: name -> shape; None for any of an array of up to 1 MiB. Other nodes are not looked at. called: what errors
    begin with, by default the path. Takes the file's size of memory on top of the arrays. Raises DataError for a file
    that is damaged or something else, and for a constant that is missing or of another shape.
    """
    called = called or str(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size, LARGEST))
        if size > LARGEST:
            raise MalformedError(f"it has {size:,} bytes, and no message has more than {LARGEST:,}")
        found = _find_constants(memoryview(content), wanted, called)
    except MalformedError as error:
        kind = None if content[:1] == _BEGIN else recognise_file(path)
        if kind is not None:
            raise DataError(f"{called} is {kind}, not a TensorFlow graph", DataIssue.FORMAT) from None
        raise DataError(f"{called} is not a whole TensorFlow graph: {error}", DataIssue.DAMAGED) from None
    except OSError as error:
        raise DataError(f"{called} cannot be read: {error}", DataIssue.UNREADABLE) from None
    require_names(found, wanted, called, "constant")
    return found


def require_names(found: Mapping, wanted: Mapping, called: str, kind: str) -> None:
    """Raise DataError unless all that is wanted was found in a file."""
    if missing := [name for name in wanted if name not in found]:
        others = f", nor {len(missing) - 1:,} others of {len(wanted):,}" if len(missing) > 1 else ""
        raise DataError(f"{called} holds no {kind} {missing[0]}{others}", DataIssue.STRUCTURE)


def _find_constants(content: memoryview, wanted: Mapping[str, Shape | None], called: str) -> dict[str, np.ndarray]:
    cutter, found = Cutter(), {}
    nodes = cutter.cut(content, [_NODE], _SMALL)[0][_NODE]
    if not nodes:
        raise MalformedError("it has no nodes")
    for node in nodes:
        attributes, rest = cutter.cut(node, [_ATTRIBUTE], _SMALL)
        message = parse("NodeDef", rest)
        name = message.name.decode(errors="replace")
        if name not in wanted or message.op != b"Const":
            continue
        if name in found:
            raise MalformedError(f"it has two constants {name}")
        try:
            tensor = _tensor_of(attributes[_ATTRIBUTE], cutter, wanted[name])
            if wrong := find_wrong_shape(name, tensor.shape, wanted[name]):
                raise DataError(f"{called}: {wrong}", DataIssue.SHAPE)
            found[name] = tensor.read(tensor.dtype, tensor.shape, may_repeat=True)
        except MalformedError as error:
            raise MalformedError(f"{name} is damaged: {error}") from None
    return found


def _tensor_of(attributes: list[memoryview], cutter: Cutter, wanted: Shape | None) -> Tensor:
    """The value of a constant, by the attributes of its node."""
    for attribute in attributes:
        value, rest = cutter.cut_one(attribute, _VALUE, _SMALL)
        if value is not None and parse("AttrEntry", rest).key == b"value":
            content, _ = cutter.cut_one(value, _TENSOR, _SMALL)
            if content is not None:
                return Tensor(content, cutter, wanted)
    raise MalformedError("it has no value")
