"""The variables of a TensorFlow checkpoint, of either version; both are tables, as ``tables.py`` reads them.

- Version 1, one file: the empty key has a SavedTensorSlices with names, shapes and types (``meta``), each other key one
  with a variable's values, or those of a slice of it (``data``); see tensorflow/core/util/saved_tensor_slice.proto.
- Version 2, ``PREFIX.index`` and ``PREFIX.data-00000-of-00001``: the empty key of the former has a BundleHeaderProto,
  a variable's name a BundleEntryProto, which says where in the latter its values are, and their masked CRC-32C; see
  tensorflow/core/protobuf/tensor_bundle.proto. A slice of a variable has an entry of its own, by an ordered code.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import Message

from tools.errors import DataError, DataIssue
from tools.files.checksums import masked_crc32c
from tools.files.recognise import FileKind, recognise_file
from tools.files.tensorflow.graph_def import require_names
from tools.files.tensorflow.messages import parse
from tools.files.tensorflow.tables import read_table
from tools.files.tensorflow.tensors import (
    Joiner,
    Shape,
    Tensor,
    decode,
    find_wrong_shape,
    place_of,
    read_shape,
    read_values,
    require_dtype,
    shape_of,
)
from tools.files.tensorflow.wire import Cutter, MalformedError

INDEX = ".index"
_SMALL = 1 << 16  # bytes of a message without what is large in it
_LARGEST_META = 1 << 20  # bytes of the names, shapes and types of all variables of version 1
_META, _DATA, _TENSOR = 1, 2, 3  # fields of SavedTensorSlices, and of SavedSlice
_LITTLE = 0  # the order of bytes, as a BundleHeaderProto says it


def load_variables(
    path: str | Path, wanted: Mapping[str, Shape | None], called: str | None = None
) -> dict[str, np.ndarray]:
    """Variables of a checkpoint by name, as arrays of the file's types, a bfloat16 as a float32.

    path: the file of version 1, or of version 2 its prefix or its ``.index``. wanted: name -> shape; None for any of
    an array of up to 1 MiB. Others are not kept. called: what errors begin with, by default the path. Of a file of
    version 1 it takes the largest block of memory on top of the arrays. Raises DataError for a file that is damaged or
    something else, and for a variable that is missing or of another shape.
    """
    path = Path(path)
    called = called or str(path)
    beside = path.with_name(path.name + INDEX)
    index = beside if beside.is_file() and not path.is_file() else path
    try:
        with open(index, "rb") as file:
            entries = read_table(file)
            key, value = next(entries, (None, b""))
            if key != b"":
                raise MalformedError("it is a table of something else")
            if value[:1] == b"\x0a":  # a message comes first
                found = _find_first(value, entries, wanted, called)
            else:
                prefix = index.with_name(index.name.removesuffix(INDEX))
                found = _find_second(value, entries, prefix, wanted, called)
    except MalformedError as error:
        kind = recognise_file(index)
        if kind not in (None, FileKind.TF_CHECKPOINT):
            raise DataError(f"{called} is {kind}, not a TensorFlow checkpoint", DataIssue.FORMAT) from None
        raise DataError(f"{called} is not a whole TensorFlow checkpoint: {error}", DataIssue.DAMAGED) from None
    except OSError as error:
        raise DataError(f"{called} cannot be read: {error}", DataIssue.UNREADABLE) from None
    require_names(found, wanted, called, "variable")
    return found


def _require_shape(name: str, shape: Shape, wanted: Mapping[str, Shape | None], called: str) -> None:
    if wrong := find_wrong_shape(name, shape, wanted[name]):
        raise DataError(f"{called}: {wrong}", DataIssue.SHAPE)


def _find_first(
    value: memoryview, entries: Iterator[tuple[bytes, memoryview]], wanted: Mapping[str, Shape | None], called: str
) -> dict[str, np.ndarray]:
    """Variables of version 1. value: of the empty key. entries: those that follow."""
    cutter = Cutter()
    content, _ = cutter.cut_one(value, _META, _SMALL)
    if content is None or len(content) > _LARGEST_META:
        raise MalformedError("what it says of its variables is missing or too long")
    dtypes, joiners, shapes = {}, {}, {}
    for item in parse("SavedTensorSliceMeta", bytes(content)).tensor:
        name = item.name.decode(errors="replace")
        if name in wanted:
            shapes[name], dtypes[name] = read_shape(item.shape), item.type
            _require_shape(name, shapes[name], wanted, called)
            joiners[name] = Joiner(shapes[name])
    for _, each in entries:
        content, _ = cutter.cut_one(each, _DATA, _SMALL)
        tensor, rest = cutter.cut_one(content, _TENSOR, _SMALL) if content is not None else (None, b"")
        message = parse("SavedSlice", rest)
        name = message.name.decode(errors="replace")
        if name in joiners:
            with _naming(name):
                if tensor is None:
                    raise MalformedError("it has no values")
                place = place_of(message.slice, shapes[name])
                shape = shape_of(place)
                values = Tensor(tensor, cutter, shape).read(dtypes[name], shape, may_repeat=False)
                joiners[name].add(place, values)
    found = {}
    for name, joiner in joiners.items():
        with _naming(name):
            found[name] = joiner.join()
    return found


@dataclass(frozen=True)
class _Bundle:
    """A checkpoint of version 2: its prefix, how many files of data it has, and the entries of what is wanted."""

    prefix: Path
    num_shards: int
    entries: dict[bytes, bytes]


def _find_second(
    value: memoryview,
    entries: Iterator[tuple[bytes, memoryview]],
    prefix: Path,
    wanted: Mapping[str, Shape | None],
    called: str,
) -> dict[str, np.ndarray]:
    """Variables of version 2, whose index has these entries behind that of the empty key."""
    header = _parse_small("BundleHeaderProto", value)
    if header.endianness != _LITTLE:
        raise MalformedError("its numbers are in big-endian order, which is not read here")
    begins = tuple(_key_of_slices(name) for name in wanted)
    names = {name.encode() for name in wanted}
    kept = {key: bytes(content) for key, content in entries if key in names or key.startswith(begins)}
    bundle = _Bundle(prefix, header.num_shards, kept)
    found = {}
    for name in wanted:
        if (content := bundle.entries.get(name.encode())) is None:
            continue
        with _naming(name):
            entry = _parse_small("BundleEntryProto", content)
            _require_shape(name, read_shape(entry.shape), wanted, called)
            found[name] = _join_slices(bundle, name, entry) if entry.slices else _read_entry(bundle, entry)
    return found


def _join_slices(bundle: _Bundle, name: str, entry: Message) -> np.ndarray:
    """A variable whose slices have entries of their own.

    Their keys are in the order of the slices, as an ordered code keeps that: by the first axis where they begin, how
    long they are there, -1 for all of it, then by the next axis.
    """
    shape = read_shape(entry.shape)
    begins = _key_of_slices(name) + (bytes([1, len(shape)]) if shape else b"\x00")
    keys = sorted(key for key in bundle.entries if key.startswith(begins))
    if len(keys) != len(entry.slices):
        raise MalformedError(f"it has {len(keys)} slices, and says {len(entry.slices)}")
    joiner = Joiner(shape)
    for key, part in zip(keys, sorted(entry.slices, key=_order_of), strict=True):
        stored, place = _parse_small("BundleEntryProto", bundle.entries[key]), place_of(part, shape)
        if stored.dtype != entry.dtype or read_shape(stored.shape) != shape_of(place):
            raise MalformedError("a slice of it has another shape or type than it says")
        joiner.add(place, _read_entry(bundle, stored))
    return joiner.join()


def _key_of_slices(name: str) -> bytes:
    """What the keys of a variable's slices begin with: the number 0 and its name; the number of its axes follows."""
    escaped = name.encode().replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff")
    return b"\x00" + escaped + b"\x00\x01"


def _order_of(part: Message) -> list[tuple[int, int]]:
    return [(extent.start, extent.length if extent.HasField("length") else -1) for extent in part.extent]


def _read_entry(bundle: _Bundle, entry: Message) -> np.ndarray:
    """The values of a BundleEntryProto. Nothing is allocated for a size that their file does not have."""
    shape, dtype = read_shape(entry.shape), require_dtype(entry.dtype)
    count = math.prod(shape)
    if not 0 <= entry.shard_id < bundle.num_shards or entry.size != count * dtype.itemsize or entry.offset < 0:
        raise MalformedError(f"its index gives it {entry.size:,} bytes for {count:,} values of {dtype.itemsize} bytes")
    path = bundle.prefix.with_name(f"{bundle.prefix.name}.data-{entry.shard_id:05d}-of-{bundle.num_shards:05d}")
    with open(path, "rb") as file:
        if entry.offset + entry.size > os.fstat(file.fileno()).st_size:
            raise MalformedError(f"{path.name} is cut short")
        file.seek(entry.offset)
        values = read_values(file, count, entry.dtype)
    if masked_crc32c(memoryview(values.view(np.uint8))) != entry.crc32c:
        raise MalformedError(f"its values in {path.name} do not match their checksum")
    return decode(values, entry.dtype).reshape(shape)


def _parse_small(kind: str, content: bytes | memoryview) -> Message:
    if len(content) > _SMALL:
        raise MalformedError(f"a {kind} in it has {len(content):,} bytes")
    return parse(kind, bytes(content))


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Says of which variable a MalformedError is."""
    try:
        yield
    except MalformedError as error:
        raise MalformedError(f"{name} is damaged: {error}") from None
