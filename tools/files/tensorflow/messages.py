"""The protocol buffer messages of TensorFlow's graphs and checkpoints, as far as arrays in them need.

Made here from the numbers and types of their fields (tensorflow/core/framework and tensorflow/core/protobuf), so that
no generated code has to fit the installed protobuf. Messages and fields that nobody asks for, or that ``wire.py`` cuts
out before, are left out, and skipped where they come. Names are bytes: what is no UTF-8 in them is then no error of a
whole file.
"""

import functools

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from tools.files.tensorflow.wire import MalformedError

_PACKAGE = "tensorfiles"
_FIELDS = {  # message -> its fields: name, number, type; "repeated" ones are packed where numbers can be
    "NodeDef": [("name", 1, "bytes"), ("op", 2, "bytes")],
    "AttrEntry": [("key", 1, "bytes")],
    "TensorProto": [
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShapeProto"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "repeated float"),
        ("double_val", 6, "repeated double"),
        ("int_val", 7, "repeated int32"),
        ("int64_val", 10, "repeated int64"),
        ("bool_val", 11, "repeated bool"),
        ("half_val", 13, "repeated int32"),
    ],
    "TensorShapeProto": [("dim", 2, "repeated Dim"), ("unknown_rank", 3, "bool")],
    "Dim": [("size", 1, "int64")],
    # checkpoints of the first version
    "SavedTensorSliceMeta": [("tensor", 1, "repeated SavedSliceMeta")],
    "SavedSliceMeta": [("name", 1, "bytes"), ("shape", 2, "TensorShapeProto"), ("type", 3, "int32")],
    "SavedSlice": [("name", 1, "bytes"), ("slice", 2, "TensorSliceProto")],
    "TensorSliceProto": [("extent", 1, "repeated Extent")],
    "Extent": [("start", 1, "int64"), ("length", 2, "optional int64")],
    # checkpoints of the second version
    "BundleHeaderProto": [("num_shards", 1, "int32"), ("endianness", 2, "int32")],
    "BundleEntryProto": [
        ("dtype", 1, "int32"),
        ("shape", 2, "TensorShapeProto"),
        ("shard_id", 3, "int32"),
        ("offset", 4, "int64"),
        ("size", 5, "int64"),
        ("crc32c", 6, "fixed32"),
        ("slices", 7, "repeated TensorSliceProto"),
    ],
}


def message_class(name: str) -> type[Message]:
    """The class of a message by the name that TensorFlow gives it."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def parse(name: str, content: bytes) -> Message:
    """A message from its bytes. It takes up to 40 times their memory. Raises MalformedError."""
    try:
        return message_class(name).FromString(content)
    except (DecodeError, RecursionError):
        raise MalformedError(f"{len(content):,} bytes in it are no {name}") from None


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for message_name, fields in _FIELDS.items():
        message = file.message_type.add(name=message_name)
        for name, number, text in fields:
            rule, _, kind = text.rpartition(" ")
            label = kinds.LABEL_REPEATED if rule == "repeated" else kinds.LABEL_OPTIONAL
            field = message.field.add(name=name, number=number, label=label)
            if kind in _FIELDS:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
            if rule == "optional":  # one whose absence can be told from 0, which is a choice of one
                field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
