"""Single pictures: the JPEGs and PNGs of pickles and of folders of frames, decoded."""

import io

import cv2
import numpy as np
from PIL import Image

from tools.errors import DataError, DataIssue

# Pixels of a frame. A file of 400 kB may say that it has a thousand times as many as it has bytes. These are PIL's own
# limit, a quarter of a GB as RGB, and room for video of 8K (33 million) and 12K (80 million).
MOST_PIXELS = 89_478_485
_MOST_SCANS = 500  # of a progressive JPEG, each a walk over all of it; encoders make ten or so
_QUICK = 10**11  # bytes times pixels: below that a JPEG that is all scans is decoded in a second
_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
_SCAN = b"\xff\xda"
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers of a frame's header: ITU-T T.81, table B.1
_BARE = {0x01, *range(0xD0, 0xD8)}  # those without a length
_END, _START = 0xD9, 0xD8
_OTHERS = ("BMP", "GIF", "JPEG2000", "PPM", "SUN", "TIFF", "WEBP")  # PIL's names of what OpenCV decodes besides
# What PIL raises for too many pixels, and for bytes that it cannot read.
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
NO_IMAGE = (OSError, ValueError, LookupError, SyntaxError, AttributeError, *_BOMBS)


def decode_image(data: bytes, where: str, reduced_to: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB. OpenCV gives the same bytes as PIL here, in about half the time.

    reduced_to: decode a JPEG at the smallest scale whose short side is longer than this. Raises DataError, before
    anything is decoded for a picture of more than MOST_PIXELS.
    """
    size = read_size(data)
    if size is not None:
        _check_size(data, size, where)
    if is_cut_off(data):  # OpenCV would fill up the rest with grey
        kind = "PNG" if data.startswith(_PNG_START) else "JPEG"
        raise DataError(f"{where} is a {kind} that was cut off", DataIssue.FRAME)
    flags = cv2.IMREAD_COLOR_RGB if reduced_to is None else _reduction(size, reduced_to)
    as_stored = cv2.IMREAD_IGNORE_ORIENTATION  # 2019: PIL, which does not turn a frame as its EXIF data say
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), flags | as_stored) if size else None
    except cv2.error:
        frame = None
    if frame is None:
        raise DataError(f"{where} is no image that can be decoded ({len(data)} bytes)", DataIssue.FRAME)
    return frame if flags == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)


def is_cut_off(data: bytes) -> bool:
    """Whether a picture lacks its end, behind which other bytes may follow.

    Where that of a JPEG is not near the end of the data, PIL decides.
    """
    if data.startswith(_PNG_START):
        return b"IEND\xaeB`\x82" not in data
    end_mark = b"\xff\xd9"  # a picture's own, or that of a small one in its head
    if data[:2] != b"\xff\xd8" or end_mark in data[-64:]:
        return False
    try:
        with Image.open(io.BytesIO(data[: data.rfind(end_mark) + 2])) as image:
            image.load()
    except NO_IMAGE:
        return True
    return False


def _reduction(size: tuple[int, int] | None, short_size: int) -> int:
    """OpenCV's flag for the smallest JPEG scale that still is larger than short_size."""
    flags = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    short = min(size or (0, 0))  # of what has no size, its decoder says what is wrong
    return next((flag for scale, flag in flags.items() if short // scale > short_size), cv2.IMREAD_COLOR_RGB)


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by a picture's header, None where it has none; nothing is decoded."""
    if data.startswith(_JPEG_START):
        return _read_jpeg_size(data)
    if data.startswith(_PNG_START):
        if data[12:16] != b"IHDR" or len(data) < 24:
            return None
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    try:
        with Image.open(io.BytesIO(data), formats=_OTHERS) as image:
            return image.size
    except _BOMBS:
        return MOST_PIXELS + 1, 1  # or more
    except NO_IMAGE:
        return None


def _read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """As decoders find it: bytes between segments are passed over."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":
            at += 1
        marker, at = data[at] if at < len(data) else _END, at + 1
        if marker in (_END, _START, 0xDA):
            return None  # before there was a size
        if marker == 0 or marker in _BARE:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return None
        if marker in _SIZES:
            height, width = (int.from_bytes(data[place : place + 2], "big") for place in (at + 3, at + 5))
            return (width, height) if length >= 8 else None
        at += length
    return None


def _check_size(data: bytes, size: tuple[int, int], where: str) -> None:
    """Raise DataError for what takes much memory or time to decode."""
    width, height = size
    if width * height > MOST_PIXELS:
        shown = f"of {width} x {height} px" if height > 1 else "of more pixels"
        raise DataError(f"{where} is a picture {shown}; frames have at most {MOST_PIXELS:,} px", DataIssue.FRAME)
    if len(data) * width * height < _QUICK or not data.startswith(_JPEG_START):
        return
    if (scans := data.count(_SCAN)) > _MOST_SCANS:
        raise DataError(
            f"{where} is a JPEG of {scans:,} scans; those of cameras and encoders have ten or so", DataIssue.FRAME
        )
