"""Kinds of files by their bytes: tiny files of each kind, made by their own libraries where those are there."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from tests.sequence_examples import frame
from tools.files.recognise import (
    ARCHIVES,
    COMPRESSED,
    HEAD_SIZE,
    PICTURES,
    SOUNDS,
    TEXTS,
    VIDEOS,
    FileKind,
    decompress_head,
    describe_content,
    recognise_file,
)
from tools.weights.fluid_files import write_file

K = FileKind


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def tarred(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return buffer.getvalue()


def saved(save, *arguments) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arguments)
    return buffer.getvalue()


def picture(suffix: str) -> bytes:
    return cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()


def table() -> bytes:
    """The end of a table of TensorFlow; its beginning is a block of keys."""
    return b"\x00\x00\x06\x08\x01\x1a\x02\x10\x01" + bytes(60) + bytes.fromhex("57fb808b247547db")


HEADER = b'{"__metadata__":{"format":"pt"}}'
NODE = b"\x0a\x01x\x12\x0bPlaceholder"
CONTENTS = {
    K.EMPTY: [b""],
    K.ZEROS: [bytes(5000)],
    K.MP4: [b"\0\0\0\x20ftypisom", b"\0\0\0\x14ftypqt  ", b"\0\0\0\x08wide\0\0\0\0mdat"],
    K.MATROSKA: [b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01"],
    K.AVI: [b"RIFF\x00\x10\0\0AVI LIST"],
    K.FLV: [b"FLV\x01\x05\0\0\0\x09"],
    K.MPEG_TS: [(b"\x47" + bytes(187)) * 4, (bytes(4) + b"\x47" + bytes(187)) * 4],
    K.MPEG_PS: [b"\0\0\x01\xba\x44\0\x04", b"\0\0\x01\xb3\x16\x01"],
    K.H26X: [b"\0\0\0\x01\x67\x64\0\x1f", b"\0\0\x01\x09\xf0", b"\0\0\0\x01\x40\x01\x0c"],
    K.WMV: [bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")],
    K.OGG: [b"OggS\0\x02"],
    K.Y4M: [b"YUV4MPEG2 W8 H8 F25:1\nFRAME\n"],
    K.IVF: [b"DKIF\0\0\x20\0VP80"],
    K.MXF: [bytes.fromhex("060e2b34020501010d01")],
    K.GIF: [b"GIF89a\x08\0\x08\0"],
    K.MP3: [b"ID3\x04\0\0", b"\xff\xfb\x90\x64"],
    K.M4A: [b"\0\0\0\x20ftypM4A "],
    K.AAC: [b"\xff\xf1\x50\x80"],
    K.WAV: [b"RIFF\x24\x08\0\0WAVEfmt "],
    K.FLAC: [b"fLaC\0\0\0\x22"],
    K.JPEG: [picture(".jpg")],
    K.PNG: [picture(".png")],
    K.BMP: [picture(".bmp")],
    K.TIFF: [picture(".tiff")],
    K.WEBP: [picture(".webp")],
    K.HEIF: [b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif"],
    K.GZIP: [gzip.compress(b"x" * 400)],
    K.TAR_GZIP: [tarred("w:gz")],
    K.ZLIB: [zlib.compress(b"x" * 400), zlib.compress(b"x" * 400, 1)],
    K.BZIP2: [bz2.compress(b"x")],
    K.XZ: [lzma.compress(b"x")],
    K.ZSTD: [b"\x28\xb5\x2f\xfd\x04\0"],
    K.LZ4: [b"\x04\x22\x4d\x18\x64"],
    K.TAR: [tarred("w")],
    K.ZIP: [zipped(), zipped("a.txt", "b.npy")],
    K.SEVEN_ZIP: [b"7z\xbc\xaf\x27\x1c\0\x04"],
    K.RAR: [b"Rar!\x1a\x07\x01\0"],
    K.PICKLE: [*(pickle.dumps({"a": [1]}, protocol) for protocol in range(6)), pickle.dumps(["a"], 0), b"]q\x00."],
    K.FLUID: [],  # written below
    K.PADDLE_PROGRAM: [
        b"\x0a\xf0\x02\x08\0\x10" + b"\xff" * 9 + b"\x01\x1a\x10\x0a\x04feed",
        b'{"base_code":{"magic":"pir","trainable":false,"version":1},"program":{}}',
    ],
    K.TORCH: [
        zipped("tsn/data.pkl", "tsn/version", "tsn/data/0"),
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M",
    ],
    K.TORCHSCRIPT: [zipped("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl")],
    K.SAFETENSORS: [struct.pack("<Q", len(HEADER)) + HEADER],
    K.NPY: [saved(np.save, np.zeros(3))],
    K.NPZ: [saved(lambda file: np.savez(file, a=np.zeros(3), b=np.zeros(2)))],
    K.MATLAB: [b"MATLAB 5.0 MAT-file, Platform: GLNXA64", b"MATLAB 7.3 MAT-file, Platform: GLNXA64"],
    K.HDF5: [b"\x89HDF\r\n\x1a\n\0\0"],
    K.KERAS: [zipped("metadata.json", "config.json", "model.weights.h5")],
    K.ONNX: [b"\x08\x08\x12\x07pytorch\x1a\x032.1", b"\x08\x07\x3a\xf0\x01\x0a"],
    K.CAFFE: [b"\x0a\x09ResNet-50\xa2\x06\x10", b"\x0a\x03net\x12\x10\x22"],
    K.TF_CHECKPOINT: [table(), b'model_checkpoint_path: "model.ckpt-7"\n'],
    K.TF_GRAPH: [b"\x08\x01\x12\xa0\x01\x0a\x10", b"\x0a\x20" + NODE],
    K.TFRECORD: [frame(b"abc")],
    K.LMDB: [bytes(8) + b"\0\0\x08\0\0\0\0\0\xde\xc0\xef\xbe\x01\0"],
    K.SQLITE: [b"SQLite format 3\0"],
    K.PARQUET: [b"PAR1\x15\x04"],
    K.ARROW: [b"ARROW1\0\0"],
    K.OFFICE: [zipped("[Content_Types].xml", "xl/workbook.xml"), bytes.fromhex("d0cf11e0a1b11ae1")],
    K.PDF: [b"%PDF-1.7\n"],
    K.HTML: [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf \n<html lang='zh'>", b'<?xml version="1.0"?>\n<html xmlns="x">'],
    K.XML: [b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', b"<svg>"],
    K.JSON: [json.dumps({"message": "Not Found"}).encode(), b"[1, 2]", b"{}"],
    K.LFS_POINTER: [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n"],
    K.ANNEX_POINTER: [b"/annex/objects/SHA256E-s9--4d.pkl\n"],
    K.UTF16: ["a.mp4 0\n".encode(code) for code in ("utf-16", "utf-16-le", "utf-16-be")],
    K.UTF32: ["a.mp4 0\n".encode("utf-32")],
    K.TEXT: [
        b"a.mp4 0\n",
        b"hello",
        "视频/一.mp4 0\n".encode() * 400,
        b"[MODEL]\nname = 1\n",
        b"cat 1\ndog 2\n",
        b"(a) 1\n",
    ],
    K.TEXT_GBK: ["视频/一.mp4 0\n".encode("gbk") * 500],
}


def test_every_kind_is_recognised(tmp_path):
    path = tmp_path / "weights.pdparams"  # no name has a say
    write_file(path, {"a": np.ones(3, np.float32)})
    CONTENTS[K.FLUID] = [path.read_bytes()]
    for kind, contents in CONTENTS.items():
        for content in contents:
            path.write_bytes(content)
            assert recognise_file(path) is kind, (kind, content[:40])
    assert CONTENTS.keys() == set(FileKind)


@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02\x03 junk", b"\xff\xff\xff\xff", bytes(8) + b"\x01" * 40, b"<a\0", b"\x81"]
)
def test_other_bytes_are_of_no_kind(content):
    assert describe_content(content) is None


def test_a_cut_file_is_still_recognised(tmp_path):
    for kind, contents in CONTENTS.items():
        for content in contents:
            if len(content) > 300 and kind not in (K.KERAS, K.OFFICE, K.TORCHSCRIPT, K.ZIP):  # known by all their names
                (tmp_path / "cut").write_bytes(content[:270] if kind is not K.MPEG_TS else content[:500])
                assert recognise_file(tmp_path / "cut") is kind


def test_no_bytes_make_it_fail():
    rng = np.random.default_rng(0)
    starts = [content[:64] for contents in CONTENTS.values() for content in contents]
    for number in range(3000):
        start = bytearray(starts[number % len(starts)])
        for at in rng.integers(0, max(1, len(start)), 3) if start else ():
            start[at] = rng.integers(256)
        describe_content(bytes(start[: rng.integers(0, 65)]), bytes(8))


def test_what_is_packed_can_be_looked_into():
    shard = frame(b"abc" * 5000)
    for packed in (gzip.compress(shard), zlib.compress(shard)):
        assert describe_content(decompress_head(packed[:HEAD_SIZE])) is K.TFRECORD
    assert len(decompress_head(gzip.compress(bytes(10_000_000))[:HEAD_SIZE])) == HEAD_SIZE
    assert decompress_head(b"\x1f\x8bjunk") == b""


def test_words_stand_in_a_sentence_on_every_python():
    assert f"{K.NPZ}" == str(K.NPZ) == "a NumPy .npz archive"
    assert all(kind.startswith(("a ", "an ")) for kind in FileKind)
    families = [VIDEOS, SOUNDS, PICTURES, COMPRESSED, ARCHIVES, TEXTS]
    assert len(frozenset.union(*families)) == sum(map(len, families))
