"""What kind of file something is, by its bytes and never by its name: for messages on a file given as something else.

``recognise_file(path)`` reads the beginning of a file, its last bytes and, of a .zip archive, the names in it.
``describe_content`` and ``describe_zip`` are the pure functions behind it. Nothing is unpickled or unpacked.

    if kind := recognise_file(path):
        raise DataError(f"{path} is {kind}, not a video")  # "... is a NumPy .npz archive, not a video"
    if kind in VIDEOS: ...
"""

import codecs
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from tools.files.checksums import masked_crc32c
from tools.files.zips import open_zip

HEAD_SIZE = 4096  # bytes of a file's beginning that are looked at
TAIL_SIZE = 8  # and of its end


class FileKind(str, Enum):
    """Kinds of files; ``str()`` and f-strings give the words for a sentence, with their article."""

    EMPTY = "an empty file"
    ZEROS = "a file of zeros, as an interrupted copy leaves"
    # videos, sound and pictures
    MP4 = "an MP4 or QuickTime video"
    MATROSKA = "a Matroska or WebM video"
    AVI = "an AVI video"
    FLV = "a Flash video"
    MPEG_TS = "an MPEG transport stream"
    MPEG_PS = "an MPEG video"
    H26X = "a raw H.264 or H.265 stream"
    WMV = "a Windows Media file"
    OGG = "an Ogg file"
    Y4M = "a YUV4MPEG video"
    IVF = "an IVF video"
    MXF = "an MXF video"
    GIF = "a GIF picture"
    MP3 = "an MP3 sound file"
    M4A = "an M4A sound file"
    AAC = "an AAC sound file"
    WAV = "a WAV sound file"
    FLAC = "a FLAC sound file"
    JPEG = "a JPEG picture"
    PNG = "a PNG picture"
    BMP = "a BMP picture"
    TIFF = "a TIFF picture"
    WEBP = "a WebP picture"
    HEIF = "a HEIF or AVIF picture"
    # packed
    GZIP = "a gzip file"
    TAR_GZIP = "a .tar.gz archive"
    ZLIB = "a file compressed with zlib"
    BZIP2 = "a bzip2 file"
    XZ = "an xz file"
    ZSTD = "a Zstandard file"
    LZ4 = "an LZ4 file"
    TAR = "a .tar archive"
    ZIP = "a .zip archive"
    SEVEN_ZIP = "a 7-Zip archive"
    RAR = "a RAR archive"
    # arrays and networks
    PICKLE = "a pickle"
    FLUID = "a file of Paddle Fluid variables"
    PADDLE_PROGRAM = "a program of Paddle's inference engine, the network without its weights"
    TORCH = "a PyTorch checkpoint"
    TORCHSCRIPT = "a TorchScript program"
    SAFETENSORS = "a safetensors file"
    NPY = "a NumPy .npy array"
    NPZ = "a NumPy .npz archive"
    MATLAB = "a MATLAB .mat file"
    HDF5 = "an HDF5 file"
    KERAS = "a Keras model"
    ONNX = "an ONNX model"
    CAFFE = "a Caffe model"
    TF_CHECKPOINT = "a TensorFlow checkpoint"
    TF_GRAPH = "a TensorFlow graph"
    TFRECORD = "a TFRecord shard"
    # tables and documents
    LMDB = "an LMDB database"
    SQLITE = "an SQLite database"
    PARQUET = "a Parquet table"
    ARROW = "an Arrow table"
    OFFICE = "an Office document"
    PDF = "a PDF document"
    HTML = "a web page (HTML)"
    XML = "an XML text"
    JSON = "a JSON text"
    LFS_POINTER = "a git-LFS pointer, which stands for a file that was not fetched"
    ANNEX_POINTER = "a git-annex pointer, which stands for a file that was not fetched"
    UTF16 = "a text in UTF-16"
    UTF32 = "a text in UTF-32"
    TEXT = "a text"  # in UTF-8
    TEXT_GBK = "a text that is not UTF-8 but may be GBK"

    def __str__(self) -> str:  # Python 3.10 and 3.12 differ on what f-strings make of such an Enum
        return self.value

    __format__ = str.__format__


K = FileKind
VIDEOS = frozenset(
    {K.MP4, K.MATROSKA, K.AVI, K.FLV, K.MPEG_TS, K.MPEG_PS, K.H26X, K.WMV, K.OGG, K.Y4M, K.IVF, K.MXF, K.GIF}
)  # an .ogg or a .wmv may hold sound alone; GIF: animated ones
SOUNDS = frozenset({K.MP3, K.M4A, K.AAC, K.WAV, K.FLAC})
PICTURES = frozenset({K.JPEG, K.PNG, K.BMP, K.TIFF, K.WEBP, K.HEIF})
COMPRESSED = frozenset({K.GZIP, K.ZLIB, K.BZIP2, K.XZ, K.ZSTD, K.LZ4})  # one file each
ARCHIVES = frozenset({K.TAR_GZIP, K.TAR, K.ZIP, K.SEVEN_ZIP, K.RAR})  # files in them
TEXTS = frozenset(
    {K.HTML, K.XML, K.JSON, K.LFS_POINTER, K.ANNEX_POINTER, K.UTF16, K.UTF32, K.TEXT, K.TEXT_GBK}
)  # fmt: skip

_STARTS = {  # bytes that no other kind begins with
    b"\x1a\x45\xdf\xa3": K.MATROSKA,
    b"FLV\x01": K.FLV,
    b"\x00\x00\x01\xba": K.MPEG_PS,
    b"\x00\x00\x01\xb3": K.MPEG_PS,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": K.WMV,
    b"OggS": K.OGG,
    b"YUV4MPEG2 ": K.Y4M,
    b"DKIF": K.IVF,
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01": K.MXF,
    b"GIF87a": K.GIF,
    b"GIF89a": K.GIF,
    b"ID3": K.MP3,
    b"fLaC": K.FLAC,
    b"\xff\xd8\xff": K.JPEG,
    b"\x89PNG\r\n\x1a\n": K.PNG,
    b"II*\0": K.TIFF,
    b"MM\0*": K.TIFF,
    b"BZh": K.BZIP2,
    b"\xfd7zXZ\0": K.XZ,
    b"\x28\xb5\x2f\xfd": K.ZSTD,
    b"\x04\x22\x4d\x18": K.LZ4,
    b"PK\x03\x04": K.ZIP,
    b"PK\x05\x06": K.ZIP,  # without a file
    b"7z\xbc\xaf\x27\x1c": K.SEVEN_ZIP,
    b"Rar!\x1a\x07": K.RAR,
    b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.": K.TORCH,  # before 1.6: a pickle of this number first
    b"\x93NUMPY": K.NPY,
    b"MATLAB 5.0 MAT-file": K.MATLAB,
    b"MATLAB 7.3 MAT-file": K.MATLAB,
    b"\x89HDF\r\n\x1a\n": K.HDF5,
    b"SQLite format 3\0": K.SQLITE,
    b"PAR1": K.PARQUET,
    b"ARROW1": K.ARROW,
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": K.OFFICE,
    b"%PDF-": K.PDF,
    b"version https://git-lfs.github.com/": K.LFS_POINTER,
    b"/annex/objects/": K.ANNEX_POINTER,
    b"model_checkpoint_path: ": K.TF_CHECKPOINT,  # the note that names the latest
}
_PICTURE_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_OLD_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_NAL_H264, _NAL_H265 = (0x67, 0x27, 0x47, 0x09, 0x06), (0x40, 0x42, 0x46)  # what a raw stream begins with
_OLD_PICKLE = re.compile(rb"(\(|\]|\})(lp|dp|q\x00|q\x01|S'|V)|\(c\w+\n|c\w[\w.]*\n\w+\n")  # protocols 0 and 1
_TABLE_END = bytes.fromhex("57fb808b247547db")  # of TensorFlow's tables, as of LevelDB's
_PROGRAM = re.compile(rb"\x0a[\x80-\xff]*[\x00-\x7f]\x08\x00\x10(\x00|\xff{9}\x01)\x1a", re.DOTALL)  # its first block


def recognise_file(path: str | Path) -> FileKind | None:
    """The kind of a file; None for one that nothing here knows. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        head = file.read(HEAD_SIZE)
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_SIZE))
        kind = describe_content(head, file.read(TAIL_SIZE))
        if kind is FileKind.ZIP:
            kind = describe_zip(_names_in_zip(file, head))
    return kind


def describe_content(head: bytes, tail: bytes = b"") -> FileKind | None:
    """The kind of a file by its first HEAD_SIZE bytes, or fewer, and its last TAIL_SIZE ones."""
    if not head:
        return FileKind.EMPTY
    if len(head) >= 32 and not any(head):
        return FileKind.ZEROS
    if found := next((kind for start, kind in _STARTS.items() if head.startswith(start)), None):
        return found
    for look in (_describe_media, _describe_packed, _describe_network, _describe_text):
        if found := look(head):
            return found
    return FileKind.TF_CHECKPOINT if tail == _TABLE_END else None


def describe_zip(names: Iterable[str]) -> FileKind:
    """The kind of a .zip archive by the names in it."""
    names = list(names)
    last = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in last:
        return FileKind.TORCHSCRIPT if "constants.pkl" in last else FileKind.TORCH
    if "model.weights.h5" in last:
        return FileKind.KERAS
    if "[Content_Types].xml" in names:
        return FileKind.OFFICE
    return FileKind.NPZ if names and all(name.endswith(".npy") for name in names) else FileKind.ZIP


def decompress_head(head: bytes) -> bytes:
    """The first bytes of what a gzip or zlib file holds, at most HEAD_SIZE; none where they are damaged."""
    try:
        return zlib.decompressobj(wbits=47).decompress(head, HEAD_SIZE)
    except zlib.error:
        return b""


def recognise_packed(path: str | Path) -> FileKind | None:
    """The kind of what a gzip or zlib file holds; None where nothing is known of it. Raises OSError."""
    with open(path, "rb") as file:
        kind = describe_content(decompress_head(file.read(HEAD_SIZE)))
    return None if kind is FileKind.EMPTY else kind


def is_tfrecord(head: bytes) -> bool:
    """Whether a file that begins so is a TFRecord: its first length has the right checksum."""
    return len(head) >= 12 and masked_crc32c(head[:8]) == int.from_bytes(head[8:12], "little")


def _names_in_zip(file, head: bytes) -> list[str]:
    try:
        with open_zip(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):  # cut: its first name
        size = int.from_bytes(head[26:28], "little")
        return [head[30 : 30 + size].decode(errors="replace")] if size else []


def _describe_media(head: bytes) -> FileKind | None:
    if head[4:8] == b"ftyp":
        if head[8:12] in _PICTURE_BRANDS:
            return FileKind.HEIF
        return FileKind.M4A if head[8:12] in (b"M4A ", b"M4B ") else FileKind.MP4
    if head[4:8] in _OLD_QUICKTIME:
        return FileKind.MP4
    if head[:4] == b"RIFF":
        return {b"AVI ": FileKind.AVI, b"WAVE": FileKind.WAV, b"WEBP": FileKind.WEBP}.get(head[8:12])
    if len(head) > 400 and (head[0:377:188] == b"GGG" or head[4:389:192] == b"GGG"):  # 0x47 begins each packet
        return FileKind.MPEG_TS
    if start := re.match(rb"\x00?\x00\x00\x01(?s:.)", head):
        first = start[0][-1]
        return FileKind.H26X if first in _NAL_H264 + _NAL_H265 else None
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return FileKind.AAC
    if head[:2] in (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2"):
        return FileKind.MP3
    if head[:2] == b"BM" and head[6:10] == bytes(4) and len(head) >= 26:
        return FileKind.BMP
    return None


def _describe_packed(head: bytes) -> FileKind | None:
    if head[:2] == b"\x1f\x8b":
        return FileKind.TAR_GZIP if decompress_head(head)[257:262] == b"ustar" else FileKind.GZIP
    if head[257:262] == b"ustar":
        return FileKind.TAR
    is_zlib = head[0] & 0x8F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return FileKind.ZLIB if is_zlib and decompress_head(head) else None


def _describe_network(head: bytes) -> FileKind | None:
    """Pickles, and what frameworks write. Those without a magic number are protobufs, known by their first fields."""
    if (head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5")) or _OLD_PICKLE.match(head):
        return FileKind.PICKLE
    if not any(head[:16]) and head[16:20] > bytes(4) and head[20:21] == b"\x08":
        return FileKind.FLUID
    if is_tfrecord(head):
        return FileKind.TFRECORD
    if 1 < int.from_bytes(head[:8], "little") < 1 << 32 and re.match(rb'\{\s*["}]', head[8:]):
        return FileKind.SAFETENSORS
    if _PROGRAM.match(head) or re.match(rb'\s*\{\s*"base_code"\s*:\s*\{[^}]*"pir"', head):
        return FileKind.PADDLE_PROGRAM
    if re.match(rb"\x08\x01\x12[\x80-\xff]*[\x00-\x7f]\x0a", head, re.DOTALL):  # SavedModel: version, a graph
        return FileKind.TF_GRAPH
    if re.match(rb"\x08[\x01-\x20][\x12\x1a\x22\x3a\x42]", head):  # ModelProto: IR version, producer or graph
        return FileKind.ONNX
    if name := re.match(rb"\x0a([\x01-\x7f])([ -~]+)(\xa2\x06|\x12)", head):  # NetParameter: its name, a layer
        return FileKind.CAFFE if name[1][0] == len(name[2]) else None
    if re.match(rb"\x0a[\x80-\xff]*[\x00-\x7f]\x0a[\x01-\x7f][ -~]+\x12[\x01-\x7f][A-Z]\w+", head, re.DOTALL):
        return FileKind.TF_GRAPH  # GraphDef: a node with its name and operation
    return FileKind.LMDB if head[16:20] == b"\xde\xc0\xef\xbe" else None


def _describe_text(head: bytes) -> FileKind | None:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return FileKind.UTF32
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return FileKind.UTF16
    for odd in (0, 1):  # PowerShell and old editors may leave out the mark
        if len(head) >= 4 and not any(head[1 - odd :: 2]) and re.fullmatch(rb"[\t\r\n -~]+", head[odd::2]):
            return FileKind.UTF16
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if re.match(rb"<\?xml|<(\w+:)?(svg|Error)\b", text) and b"<html" not in text[:512].lower():
        return FileKind.XML
    if re.match(rb"<(!|\?xml|[a-zA-Z])", text) and b"\0" not in head:  # in any encoding of one byte
        return FileKind.HTML
    if not _is_text(head, "utf-8"):
        return FileKind.TEXT_GBK if _is_text(head, "gbk") else None
    return FileKind.JSON if re.match(rb'\{\s*["}]|\[\s*[\]\[{"\d-]', text) else FileKind.TEXT


def _is_text(head: bytes, encoding: str) -> bool:
    """Whether bytes, of which the last character may be cut, are text without control characters."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", text)
