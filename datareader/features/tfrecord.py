"""YouTube-8M's own files: TFRecord shards of SequenceExamples, read without TensorFlow.

A shard is a row of records: a uint64 length, the length's checksum, the data, the data's checksum. A
checksum is a masked CRC-32C. The data is a protobuf message, of which this is all that is needed:

    message SequenceExample { Features context = 1; FeatureLists feature_lists = 2; }
    message Features        { map<string, Feature> feature = 1; }
    message FeatureLists    { map<string, FeatureList> feature_list = 1; }
    message FeatureList     { repeated Feature feature = 1; }
    message Feature         { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; }
    message BytesList       { repeated bytes value = 1; }
    message Int64List       { repeated int64 value = 1; }
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from datareader.features.other_files import refuse_other_kind
from tools.errors import DataError, DataIssue
from tools.files.checksums import masked_crc32c
from tools.files.recognise import FileKind, is_tfrecord
from tools.runtime.text import decode_text

MAX_FRAMES = 300  # of a video that count, as in 2019
STREAMS = {b"rgb": "feature", b"audio": "audio"}  # a feature list's name -> the record's key
IDS = (b"id", b"video_id")  # the name has changed between the data set's versions
VIDEO_LEVEL = (b"mean_rgb", b"mean_audio")
SEGMENTS = (b"segment_labels", b"segment_start_times")  # of the 2019 version: classes of five seconds of a video each
HEADER = 12  # bytes: the length and its checksum
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types


@dataclass(frozen=True)
class Problem:
    """A record, or the rest of a shard, that cannot be used. offset: where it begins, in bytes."""

    path: str
    offset: int
    text: str

    def __str__(self) -> str:
        return f"{self.path} at byte {self.offset}: {self.text}"


class _MalformedError(ValueError):
    """The data of one record is not what it should be."""


class _VideoLevelError(_MalformedError):
    """It has no frames, but their mean."""


def read_tfrecord(path: str) -> Iterator[dict | Problem]:
    """The videos of a shard as the records that a pickle holds, with str keys, and what is damaged.

    A record is ``{video: str, feature: (T, 1024) uint8, audio: (T, 128) uint8, label: list, nframes: int}``;
    the widths are what the file has, nframes is T and at most 300. The arrays are views of what was read. A
    stream or the labels that the shard does not have are left out. What YouTube-8M's version of 2019 says of
    segments is not read, but counted: ``segments`` is how many a record has, where it has any.

    A damaged record is a Problem and the next one follows it; after a damaged length nothing can be found
    any more. Raises DataError for a file that cannot be read, for one of video-level features, and for one that is
    something else.
    """
    try:
        with open(path, "rb") as file:
            if not is_tfrecord(file.read(HEADER)):
                refuse_other_kind(path, FileKind.TFRECORD)
            file.seek(0)
            for offset, data, problem in _split_records(file):
                try:
                    yield Problem(path, offset, problem) if problem else _parse_video(data)
                except _VideoLevelError:
                    raise DataError(
                        f"{path} is a video-level file (at byte {offset} mean_rgb or mean_audio, and no frames); the "
                        "networks need the frame-level files of YouTube-8M",
                        DataIssue.FORMAT,
                    ) from None
                except _MalformedError as error:
                    yield Problem(path, offset, str(error))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}", DataIssue.UNREADABLE) from None


def _split_records(file: BinaryIO) -> Iterator[tuple[int, bytes, str]]:
    """(offset, data, what is wrong or nothing) of each record. No length makes it ask for more than there is."""
    size, offset = os.fstat(file.fileno()).st_size, 0
    if not size:
        yield 0, b"", "the shard is empty"
    while offset < size:
        rest = f"the last {size - offset} bytes of the shard cannot be read"
        header = file.read(HEADER)
        if len(header) < HEADER:
            yield offset, b"", f"cut short in the header of a record; {rest}"
            return
        if not is_tfrecord(header):
            yield offset, b"", f"the length of a record does not match its checksum; {rest}"
            return
        (length,) = struct.unpack("<Q", header[:8])
        end = offset + HEADER + length + 4
        if end > size:
            yield offset, b"", f"cut short in a record of {length} bytes; {rest}"
            return
        data, checksum = file.read(length), file.read(4)
        if len(data) < length or len(checksum) < 4:  # the file became shorter just now
            yield offset, b"", f"cut short in a record of {length} bytes; {rest}"
            return
        problem = "" if masked_crc32c(data) == _number(checksum) else "the data of a record does not match its checksum"
        yield offset, data, problem
        offset = end


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _parse_video(data: bytes) -> dict:
    """One SequenceExample as a record. Raises _MalformedError."""
    context, lists = ({k: v for block in _messages(memoryview(data), i) for k, v in _entries(block)} for i in (1, 2))
    streams = {key: _parse_frames(lists[name], name.decode()) for name, key in STREAMS.items() if name in lists}
    if not streams:
        if any(name in context for name in VIDEO_LEVEL):
            raise _VideoLevelError
        raise _MalformedError("a record has neither rgb nor audio frames")
    record = {"video": _parse_id(context), **streams}
    if b"labels" in context:
        record["label"] = _parse_labels(context[b"labels"])
    record["nframes"] = min(MAX_FRAMES, *map(len, streams.values()))
    if segments := max(len(_parse_integers(context[name])) if name in context else 0 for name in SEGMENTS):
        record["segments"] = segments
    return record


def _parse_id(context: dict) -> str:
    for name in IDS:
        if name in context:
            values = _parse_bytes(context[name])
            if len(values) == 1 and len(values[0]):
                return decode_text(bytes(values[0]))
    raise _MalformedError("a record has no id")


def _parse_bytes(feature: memoryview) -> list[memoryview]:
    """The values of a Feature's BytesList; none if it holds something else."""
    return [value for part in _messages(feature, 1) for value in _messages(part, 1)]


def _parse_labels(feature: memoryview) -> list:
    """The values of a Feature: class ids, or floats or texts, of which the reader of records says what they are."""
    if texts := _parse_bytes(feature):
        return [decode_text(bytes(text)) for text in texts]
    if floats := [values for part in _messages(feature, 2) for values in _messages(part, 1)]:  # blocks of numbers
        return [value for values in floats for value in np.frombuffer(values[: len(values) // 4 * 4], "<f4").tolist()]
    return _parse_integers(feature)


def _parse_integers(feature: memoryview) -> list[int]:
    """The values of a Feature's Int64List, packed (one block of numbers) or not (a field each)."""
    values = []
    for part in _messages(feature, 3):
        for number, value in _fields(part):
            if number != 1:
                continue
            if isinstance(value, int):
                values.append(value)
                continue
            at = 0
            while at < len(value):
                item, at = _read_varint(value, at)
                values.append(item)
    return [value - (1 << 64) if value >> 63 else value for value in values]  # int64: two's complement


def _parse_frames(frames: memoryview, name: str) -> np.ndarray:
    """(T, width) uint8 from a FeatureList whose features hold one string of bytes each."""
    table = _read_equal_frames(frames)
    if table is not None:
        return table
    rows = []
    for i, feature in enumerate(_messages(frames, 1)):
        values = _parse_bytes(feature)
        if not values and any(True for _ in _messages(feature, 2)):
            raise _MalformedError(f"frame {i} of {name} holds floats (a FloatList), expected bytes, one a value")
        if len(values) != 1:
            raise _MalformedError(f"frame {i} of {name} has {len(values)} strings of bytes, expected one")
        rows.append(np.frombuffer(values[0], np.uint8))
    if not rows or not len(rows[0]):
        raise _MalformedError(f"{name} has no {'bytes' if rows else 'frames'}")
    if uneven := [i for i, row in enumerate(rows) if len(row) != len(rows[0])]:
        i = uneven[0]
        raise _MalformedError(f"frame {i} of {name} has {len(rows[i])} bytes, but frame 0 has {len(rows[0])}")
    return np.stack(rows)


def _read_equal_frames(frames: memoryview) -> np.ndarray | None:
    """All frames at once, where each takes equally many bytes that begin with the same header; else None.

    The header is three tags and lengths: of the Feature, its BytesList and its only value.
    """
    at, stride = 0, None
    for _ in range(3):
        if at >= len(frames) or frames[at] != 1 << 3 | _LENGTH:
            return None
        length, at = _read_varint(frames, at + 1)
        stride = at + length if stride is None else stride
        if at + length != stride:
            return None
    if at == stride or len(frames) % stride:
        return None
    table = np.frombuffer(frames, np.uint8).reshape(-1, stride)
    if table[:, :at].tobytes() != bytes(frames[:at]) * len(table):
        return None
    return table[:, at:]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """A map's keys and values, unparsed."""
    for entry in _messages(block, 1):
        parts = {number: part for number, part in _fields(entry) if not isinstance(part, int)}
        yield bytes(parts.get(1, b"")), parts.get(2, memoryview(b""))


def _messages(block: memoryview, wanted: int) -> Iterator[memoryview]:
    """The values of a field of bytes or messages."""
    return (value for number, value in _fields(block) if number == wanted and not isinstance(value, int))


def _fields(block: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field; fixed-width numbers, of which nothing here is made, are left out."""
    at = 0
    while at < len(block):
        tag, at = _read_varint(block, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _read_varint(block, at)
            yield number, value
            continue
        if kind == _LENGTH:
            length, at = _read_varint(block, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise _MalformedError(f"a record is no SequenceExample: it has a field of kind {kind}")
        if at + length > len(block):
            raise _MalformedError("a record is no SequenceExample: a field goes on behind its end")
        if kind == _LENGTH:
            yield number, block[at : at + length]
        at += length


def _read_varint(block: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, at most 64 bits; and where it ends."""
    if at < len(block) and block[at] < 0x80:  # most of them
        return block[at], at + 1
    value = 0
    for i, byte in enumerate(block[at : at + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + i + 1
    raise _MalformedError("a record is no SequenceExample: it has a number without an end")
