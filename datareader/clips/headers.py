"""What containers say of their video streams, for OpenCV, which does not tell."""

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tools.files.recognise import FileKind, recognise_file

READABLE = "mp4, mov, mkv, webm, avi, gif, y4m, raw H.264 and H.265"


@dataclass
class Header:
    """What is known of how a video looks. colours: (primaries, transfer) by their numbers in ITU-T H.273.

    has_orientation: whether the stream itself says how it was held. frames_per_sec: of an AVI, None of others.
    """

    num_videos: int = 0
    is_mirrored: bool = False
    has_orientation: bool = False
    is_interlaced: bool = False
    colours: list[tuple[int, int]] = field(default_factory=list)
    frames_per_sec: float | None = None


def read_header(path: str) -> Header | None:
    """The header of a file that is not empty; None where it is none of READABLE, or damaged. Raises OSError."""
    read = _READERS.get(recognise_file(path))
    if read is None:
        return None
    with open(path, "rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    header = Header()
    try:
        read(content, header)
    except (IndexError, struct.error):
        return None
    return header


def names_film(kind: FileKind, data: bytes) -> bool:
    """Whether the beginning of a file, or an mp4's table, names a video stream for certain."""
    header = Header()
    try:
        _READERS[kind](memoryview(data), header)
    except (IndexError, struct.error):
        return False
    return header.num_videos > 0


Walk = Callable[[memoryview], Iterator[tuple[bytes | int, memoryview]]]


def _find(data: memoryview, walk: Walk, *path: bytes | int) -> Iterator[memoryview]:
    """The contents of all parts that stand at a path of names."""
    for name, content in walk(data):
        if name == path[0]:
            if path[1:]:
                yield from _find(content, walk, *path[1:])
            else:
                yield content


# mp4 and mov: ISO 14496-12


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        length, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + length if length else len(data)
        if end < start:
            return  # damaged
        yield bytes(data[at + 4 : at + 8]), data[start:end]
        at = end


def _read_mp4(data: memoryview, header: Header) -> None:
    movies = [_determinant(movie, 36) for movie in _find(data, _boxes, b"moov", b"mvhd")]
    for track in _find(data, _boxes, b"moov", b"trak"):
        if not any(handler[8:12] == b"vide" for handler in _find(track, _boxes, b"mdia", b"hdlr")):
            continue
        header.num_videos += 1
        for place in _find(track, _boxes, b"tkhd"):
            header.is_mirrored |= _determinant(place, 40) * (movies or [1])[0] < 0
        for description in _find(track, _boxes, b"mdia", b"minf", b"stbl", b"stsd"):
            for _, entry in _boxes(description[8:]):
                header.colours += [
                    struct.unpack(">HH", colour[4:8])
                    for colour in _find(entry[78:], _boxes, b"colr")
                    if colour[:4] in (b"nclx", b"nclc")
                ]
                header.colours += [(codec[7], codec[8]) for codec in _find(entry[78:], _boxes, b"vpcC")]


def _determinant(box: memoryview, at: int) -> int:
    """Of the turn in a matrix, which stands ``at`` bytes behind a head with times of 32 bits, or 12 further on."""
    at += 12 * (box[0] == 1)
    x_by_x, y_by_x, _, x_by_y, y_by_y = struct.unpack(">5i", box[at : at + 20])
    return (x_by_x * y_by_y > x_by_y * y_by_x) - (x_by_x * y_by_y < x_by_y * y_by_x)


# mkv and webm: RFC 8794 and RFC 9559

_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_COLOUR, _PRIMARIES, _TRANSFER = 0x55B0, 0x55BB, 0x55BA
_PROJECTION, _YAW, _PITCH = 0x7670, 0x7673, 0x7674
_INTERLACING = 0x9A


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data) and data[at]:
        width = 9 - data[at].bit_length()
        name, at = int.from_bytes(data[at : at + width], "big"), at + width
        width = 9 - data[at].bit_length()
        unknown = (1 << 7 * width) - 1
        length, at = int.from_bytes(data[at : at + width], "big") & unknown, at + width
        end = len(data) if length == unknown else at + length
        yield name, data[at:end]
        at = end


def find_segment_end(head: bytes) -> int | None:
    """Where a Matroska file says that it ends, by its beginning; None where it does not."""
    at = head.find(_SEGMENT.to_bytes(4, "big")) + 4
    if not 4 < at < len(head) - 8 or not head[at]:
        return None
    width = 9 - head[at].bit_length()
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(head[at : at + width], "big") & unknown
    return None if length == unknown else at + width + length


def _read_matroska(data: memoryview, header: Header) -> None:
    def numbers(video: memoryview, *path: int) -> list[int]:
        return [int.from_bytes(number, "big") for number in _find(video, _elements, *path)]

    tracks = next(_find(data, _elements, _SEGMENT, _TRACKS), memoryview(b""))  # what follows is the film itself
    for track in _find(tracks, _elements, _TRACK):
        if numbers(track, _TYPE) != [1]:
            continue
        header.num_videos += 1
        for video in _find(track, _elements, _VIDEO):
            # Angles about the other two axes show the picture from behind; of floats too only 0 has no bit set.
            header.is_mirrored |= any(numbers(video, _PROJECTION, _YAW) + numbers(video, _PROJECTION, _PITCH))
            header.is_interlaced |= 1 in numbers(video, _INTERLACING)
            primaries, transfers = (numbers(video, _COLOUR, key) or [2] for key in (_PRIMARIES, _TRANSFER))
            header.colours.append((primaries[0], transfers[0]))


# The others, which say neither of orientation nor of colours


def _read_avi(data: memoryview, header: Header) -> None:
    length = int.from_bytes(data[16:20], "little")  # of the list of streams, which is the first
    streams = re.findall(b"strh.{4}vids.{16}(.{8})", data[20 : 20 + length], re.DOTALL)
    header.num_videos = len(streams)
    for scale, rate in (struct.unpack("<2I", stream) for stream in streams[:1]):
        header.frames_per_sec = rate / scale if scale else None


def _read_y4m(data: memoryview, header: Header) -> None:
    header.num_videos = 1
    header.is_interlaced = re.match(rb"[^\n]* I[^p?]", data) is not None


def _read_single(data: memoryview, header: Header) -> None:
    header.num_videos = 1


_READERS = {
    FileKind.MP4: _read_mp4,
    FileKind.M4A: _read_mp4,
    FileKind.MATROSKA: _read_matroska,
    FileKind.AVI: _read_avi,
    FileKind.Y4M: _read_y4m,
    FileKind.GIF: _read_single,
    FileKind.H26X: _read_single,
}
