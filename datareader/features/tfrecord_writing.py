"""Records as YouTube-8M's own shards hold them, which ``tfrecord.py`` describes and reads.

Entries of maps stand in the order of their names, so that the same records give the same bytes.
"""

import struct
from collections.abc import Iterator, Mapping

import numpy as np

from datareader.features.tfrecord import STREAMS
from tools.files.checksums import masked_crc32c

_KEY, _VALUE = 1, 2  # fields of an entry of a map
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3  # fields of a Feature
_CONTEXT, _LISTS = 1, 2  # fields of a SequenceExample


def write_record(record: Mapping, means: Mapping[str, np.ndarray]) -> bytes:
    """A record of a pickle as a shard has it, with length and checksums.

    record: with str keys; its ``nframes`` rows count. means: name, as ``mean_rgb`` -> (D,) float32, of the video as a
    whole.
    """
    context = {"id": _feature(_BYTES, [record["video"].encode("utf-8", "surrogateescape")])}
    if "label" in record:
        context["labels"] = _numbers(_INTEGERS, b"".join(map(_varint, sorted(record["label"]))))
    for name, values in means.items():
        context[name] = _numbers(_FLOATS, np.asarray(values, "<f4").tobytes())
    lists = {
        name.decode(): b"".join(_field(1, _feature(_BYTES, [row.tobytes()])) for row in record[key])
        for name, key in STREAMS.items()
        if key in record
    }
    example = _field(_CONTEXT, b"".join(_entries(context))) + _field(_LISTS, b"".join(_entries(lists)))
    length = struct.pack("<Q", len(example))
    return b"".join([length, _checksum(length), example, _checksum(example)])


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(data))


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, or of a message."""
    return b"".join([_varint(number << 3 | 2), _varint(len(content)), content])


def _entries(values: Mapping[str, bytes]) -> Iterator[bytes]:
    for name in sorted(values):
        yield _field(1, _field(_KEY, name.encode()) + _field(_VALUE, values[name]))


def _feature(kind: int, values: list[bytes]) -> bytes:
    return _field(kind, b"".join(_field(1, value) for value in values))


def _numbers(kind: int, packed: bytes) -> bytes:
    return _field(kind, _field(1, packed) if packed else b"")
