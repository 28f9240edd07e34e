"""A file for each fault that data can have: name -> the kind that the doctor has to give it."""

import gzip
import os
import pickle
import wave

import numpy as np

from tests.conftest import make_record
from tests.datareader.clips.synthetic import encode_jpeg, make_frames, write_pickle
from tests.datareader.clips.tracks import make_song
from tests.sequence_examples import frame, serialize_means, write_shard

RECORDS = {  # name -> what is changed of a healthy record, and the fault that this is
    "silent": ({"audio": None}, "wrong keys"),
    "nameless": ({"video": ""}, "no video name"),
    "narrow": ({"feature": np.zeros((4, 1000), np.uint8)}, "wrong shape"),
    "flat": ({"feature": np.zeros(4096, np.uint8)}, "wrong shape"),
    "floats": ({"feature": np.zeros((4, 1024), np.float32)}, "wrong dtype"),
    "frameless": ({"feature": np.zeros((0, 1024), np.uint8)}, "no frames"),
    "toolong": ({"nframes": 99}, "wrong nframes"),
    "unlabelled": ({"label": None}, "no label"),
    "worded": ({"label": ["cat"]}, "wrong label"),
    "multihot": ({"label": np.eye(12)[3]}, "wrong label"),
    "repeated": ({"label": [3, 5, 3]}, "wrong label"),
    "outside": ({"label": [12]}, "label out of range"),
    "negative": ({"label": [-1]}, "label out of range"),
}


def plant_features(folder):
    """A file for each fault of YouTube-8M's files, which is made in ``folder``."""
    healthy = make_record(np.random.default_rng(7), "other", frames=4)
    for name, (change, _) in RECORDS.items():
        record = {**healthy, "video": name, **change}
        record = {key: value for key, value in record.items() if value is not None}
        (folder / f"{name}.pkl").write_bytes(pickle.dumps([record], protocol=4))
    whole = pickle.dumps([healthy], protocol=4)
    files = {
        "empty": b"",
        "cut": whole[:3000],
        "two": whole + whole,
        "gzip": gzip.compress(whole),
        "unsafe": pickle.dumps(os.getcwd),
        "numbers": pickle.dumps([1, 2]),
        "clip": pickle.dumps(("id", 1, [b"jpeg"])),
    }
    for name, content in files.items():
        (folder / f"{name}.pkl").write_bytes(content)
    write_shard(folder / "flipped.tfrecord", [healthy | {"video": "flipped"}])
    data = bytearray((folder / "flipped.tfrecord").read_bytes())
    data[2000] ^= 1
    (folder / "flipped.tfrecord").write_bytes(data)
    (folder / "means.tfrecord").write_bytes(frame(serialize_means(healthy)))
    return {
        "gone.pkl": "missing",
        "n" * 300: "unreadable",
        "empty.pkl": "empty",
        "cut.pkl": "damaged",
        "two.pkl": "damaged",
        "flipped.tfrecord": "damaged",
        "unsafe.pkl": "unsafe pickle",
        "means.tfrecord": "wrong format",
        "gzip.pkl": "wrong format",
        "numbers.pkl": "wrong structure",
        "clip.pkl": "wrong structure",
        **{f"{name}.pkl": fault for name, (_, fault) in RECORDS.items()},
    }


NEEDS_DECODING = {"half.pkl"}  # of the clips below


def plant_clips(folder):
    """A file for each fault of clips, which is made in ``folder``. Names are those of lines."""
    jpegs = [encode_jpeg(image) for image in make_frames(4, seed=3)]

    def pickled(name, content):
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(content, protocol=4))

    (folder / "empty.pkl").write_bytes(b"")
    (folder / "empty.mp4").write_bytes(b"")
    write_pickle(folder / "cut.pkl", make_frames(4, seed=4))
    (folder / "cut.pkl").write_bytes((folder / "cut.pkl").read_bytes()[:-20])
    pickled("unsafe", os.getcwd)
    pickled("records", [make_record(np.random.default_rng(0), "a", frames=1)])
    pickled("text", ("text", 1, ["no bytes"]))
    pickled("frameless", ("frameless", 1, []))
    pickled("outside", ("outside", 5, jpegs))
    pickled("worded", ("worded", "cat", jpegs))
    pickled("onehot", ("onehot", [0, 1, 0, 0, 0], jpegs))
    pickled("grey", ("grey", 1, [b"\xff\xd8 no image \xff\xd9", *jpegs]))
    pickled("half", ("half", 1, [jpegs[0], jpegs[0][: len(jpegs[0]) // 2], jpegs[1]]))
    whole = (folder / "train 1.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "page.mp4").write_bytes(b"<html>404</html>" * 50)
    (folder / "far.mp4").write_bytes(whole + b"\0\0\0\x08free")  # so that it is no duplicate
    (folder / "plain.mp4").write_bytes(whole + b"\0\0\0\x08skip")
    with wave.open(str(folder / "sound.mp4"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    (folder / "record.tfrecord").write_bytes(frame(b"no example"))
    make_song(folder, "song.m4a", cover=True)
    return {
        "record.tfrecord 1": "not a video",
        "gone.mp4 1": "missing",
        "n" * 300: "unreadable",
        "empty.pkl": "empty",
        "empty.mp4 1": "empty",
        "cut.pkl": "damaged",
        "unsafe.pkl": "unsafe pickle",
        "records.pkl": "wrong structure",
        "text.pkl": "wrong dtype",
        "frameless.pkl": "no frames",
        "outside.pkl": "label out of range",
        "far.mp4 5": "label out of range",
        "worded.pkl": "wrong label",
        "onehot.pkl": "wrong label",
        "plain.mp4": "no label",
        "cut.mp4 1": "not a video",
        "page.mp4 1": "not a video",
        "sound.mp4 1": "not a video",
        "covered-song.m4a 1": "not a video",
        "grey.pkl": "bad frame",
        "half.pkl": "bad frame",
    }


PLANTED_FEATURES = 24
PLANTED_CLIPS = 21
