"""Files in a list of features that are something else: one line says what they are and what would work."""

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from datareader.features.index import scan_file
from datareader.features.records import load_records
from datareader.features.tfrecord import read_tfrecord
from tests.datareader.clips.synthetic import make_frames, write_video
from tests.datareader.features.reading import error_of
from tests.datareader.features.small_records import SMALL, small_records
from tests.sequence_examples import frame, serialize
from tools.errors import DataIssue

SHARD = frame(serialize(small_records(1)[0]))
EXPECTED = "expected features of videos, as a pickle of records or a TFRecord shard"


def saved(save, *arguments):
    buffer = io.BytesIO()
    save(buffer, *arguments)
    return buffer.getvalue()


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}.")
    return buffer.getvalue()


OTHERS = {
    "gzip": (
        gzip.compress(SHARD),
        "a gzip file (in it: a TFRecord shard); unpack it (gzip -dc '{}' > NEW) and list what comes out",
    ),
    "gzip of a pickle": (gzip.compress(pickle.dumps([{}])), "a gzip file (in it: a pickle); unpack it (gzip -dc "),
    "gzip of what": (gzip.compress(b"\3\0\0\0\0\0\0\0" + bytes(11)), "a gzip file; unpack it"),
    "zlib": (
        zlib.compress(SHARD),
        "a file compressed with zlib (in it: a TFRecord shard); unpack it (zlib.decompress of Python) and list",
    ),
    "bzip2": (bz2.compress(SHARD), "a bzip2 file; unpack it (bzip2 -dc "),
    "xz": (lzma.compress(SHARD), "an xz file; unpack it (xz -dc "),
    "zip": (zipped("a.pkl"), "a .zip archive; unpack it and list the files in it"),
    "npz": (
        saved(lambda file: np.savez(file, rgb=np.zeros(3))),
        f"a NumPy .npz archive; {EXPECTED}; dataset/README.md says what a record holds",
    ),
    "npy": (saved(np.save, np.zeros((6, 1024), np.uint8)), f"a NumPy .npy array; {EXPECTED}; dataset/README.md says"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), f"an HDF5 file; {EXPECTED}; dataset/README.md says"),
    "mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(64), f"a MATLAB .mat file; {EXPECTED}; dataset/"),
    "csv": (b"video,label\nv0,3\n", f"a text; {EXPECTED}; dataset/README.md says"),
    "json": (b'{"video": "v0"}', f"a JSON text; {EXPECTED}; dataset/README.md says"),
    "pth": (zipped("tsn/data.pkl", "tsn/version"), f"a PyTorch checkpoint; {EXPECTED}; weights go to --weights"),
    "jpeg": (cv2.imencode(".jpg", make_frames(1)[0])[1].tobytes(), f"a JPEG picture; {EXPECTED}; TSN and STNET"),
    "wav": (b"RIFF\x24\x08\0\0WAVEfmt ", f"a WAV sound file; {EXPECTED}, which hold sound as a row of 128 bytes a sec"),
    "page": (b"<!DOCTYPE html><html>", f"a web page (HTML); {EXPECTED}; fetch or copy the file itself"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer, which stands for a file that was not"),
    "zeros": (bytes(5000), f"a file of zeros, as an interrupted copy leaves; {EXPECTED}; fetch or copy"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_a_file_is_and_what_would_work_is_said_in_one_line(name, tmp_path):
    content, said = OTHERS[name]
    path = str(tmp_path / f"{name} file.tfrecord")
    (tmp_path / f"{name} file.tfrecord").write_bytes(content)
    text = error_of(load_records, path)
    assert text.startswith(f"{path} is {said.format(path)}")
    assert "\n" not in text
    assert error_of(lambda: list(read_tfrecord(path))) == text  # as tf2pkl.py reads it
    (problem,) = scan_file(path, SMALL).problems
    assert (problem.text, problem.issue) == (text, DataIssue.FORMAT)


def test_a_video_in_a_list_of_features_is_called_a_video(tmp_path):
    path = str(write_video(tmp_path / "a.mp4", make_frames(3)))
    text = f"{path} is an MP4 or QuickTime video; {EXPECTED}; TSN and STNET are the models that read videos"
    assert error_of(load_records, path) == text


def test_a_pickle_needs_no_conversion(tmp_path):
    (tmp_path / "x").write_bytes(pickle.dumps(small_records(1)))
    text = error_of(lambda: list(read_tfrecord(str(tmp_path / "x"))))
    assert text == f"{tmp_path}/x is a pickle; a pickle of records needs no conversion: list it as it is"
