"""Files in a list of clips that are none: one line says what they are and what would work."""

import gzip
import pickle
import tarfile
import zipfile
import zlib

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.conftest import make_record
from tests.datareader.clips.synthetic import (
    encode_jpeg,
    expect_error,
    make_frames,
    write_pickle,
    write_video,
)
from tests.sequence_examples import write_shard

RECORDS = [make_record(np.random.default_rng(0), "v")]
FOUND = {
    "rec.pkl": "holds YouTube-8M features; expected a video such as an mp4, a pickle of JPEG frames, or a folder of ",
    "rec.tfrecord": "holds YouTube-8M features; ",
    "x.gz": "is not a video (it is a gzip file); unpack what is in it (a TFRecord shard), as with gzip -dc ",
    "x.zz": "is not a video (it is a file compressed with zlib); unpack what is in it (a TFRecord shard); expected a v",
    "x.tar": "is not a video (it is a .tar archive); unpack it and list the files in it; expected",
    "x.zip": "is not a video (it is a .zip archive); unpack it and list the files in it; expected",
    "x.npz": "is not a video (it is a NumPy .npz archive); expected a video such as an mp4, a pickle of JPEG frames,",
    "other.list": "is not a video (it is a text); a list names the files themselves, not other lists; expected",
    "x.txt": "is not a video (it is a text); ",
    "words.mp4": "is not a video (it is a text); perhaps the download failed: fetch it again; expected",
    "error.mp4": "is not a video (it is a JSON text); perhaps the download failed: fetch it again; expected",
    "page.mp4": "is not a video (it is a web page (HTML)); the download failed: fetch it again; expected",
    "pointer.mp4": "which stands for a file that was not fetched); git lfs pull fetches it; expected",
    "zeros.mp4": "is not a video (it is a file of zeros, as an interrupted copy leaves); copy it again; expected",
    "picture.jpg": "is not a video (it is a JPEG picture); the frames of a clip are listed by their folder; expected",
    "picture.png": "is not a video (it is a PNG picture); the frames of a clip are listed by their folder; expected",
    "still.gif": "is not a video (it is a GIF picture); the frames of a clip are listed by their folder; expected",
    "tone.wav": "has no video stream (",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of all these kinds."""
    folder = tmp_path_factory.mktemp("kinds")
    frames = make_frames(3)
    write_video(folder / "clip.mp4", frames)
    write_pickle(folder / "clip.pkl", frames)
    (folder / "rec.pkl").write_bytes(pickle.dumps(RECORDS, protocol=4))
    write_shard(folder / "rec.tfrecord", RECORDS)
    shard = (folder / "rec.tfrecord").read_bytes()
    contents = {
        "x.gz": gzip.compress(shard),
        "x.zz": zlib.compress(shard),
        "other.list": b"clip.mp4 1\n",
        "x.txt": b"a text that a decoder would draw\n" * 40,
        "words.mp4": b"Video unavailable\n",
        "error.mp4": b'{"error": 404}',
        "page.mp4": b"<html>404</html>",
        "pointer.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "zeros.mp4": bytes(5000),
        "picture.jpg": encode_jpeg(frames[0]),
        "picture.png": cv2.imencode(".png", frames[0])[1].tobytes(),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    Image.fromarray(frames[0]).save(folder / "still.gif")
    with tarfile.open(folder / "x.tar", "w") as archive:
        archive.add(folder / "clip.mp4", "clip.mp4")
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(folder / "clip.mp4", "clip.mp4")
    np.savez(folder / "x.npz", rgb=np.zeros(3))
    with av.open(str(folder / "tone.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    return folder


@pytest.mark.parametrize("name", FOUND)
def test_what_is_no_clip_is_told_for_what_it_is(folder, tmp_path, name):
    (tmp_path / "x.list").write_text(f"{folder / name} 1\n")
    expect_error(tmp_path / "x.list", f"x.list line 1: {folder / name} ", FOUND[name])
