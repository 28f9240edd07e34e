"""Pickles of JPEG frames: who wrote them, what surrounds their frames, and which are refused."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from datareader.clips.files import open_clip
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry
from tests.datareader.clips.synthetic import (
    TINY,
    encode_jpeg,
    expect_error,
    make_frames,
    open_dataset,
    read_all,
    write_frame,
    write_pickle,
)
from tools.errors import DataError


def test_a_python_2_pickle_is_read(tmp_path):
    frame = encode_jpeg(make_frames(1)[0])
    text = pickle.dumps((b"name", 3, [frame, frame]), protocol=0)
    (tmp_path / "old.pkl").write_bytes(text)
    (tmp_path / "x.list").write_text("old.pkl")
    (batch,) = read_all(open_dataset(tmp_path / "x.list"))
    assert (batch.ids, batch.labels.tolist()) == (["name"], [3])


def test_ids_of_any_bytes_and_code_points_become_text_that_can_be_written(tmp_path):
    (frame,) = make_frames(1)
    for i, video_id in enumerate((b"a \xff", "b \ud800", 7)):
        write_pickle(tmp_path / f"{i}.pkl", [frame], video_id=video_id)
    (tmp_path / "x.list").write_text("0.pkl\n1.pkl\n2.pkl\n")
    (batch,) = read_all(open_dataset(tmp_path / "x.list"))
    assert batch.ids == ["a \ufffd", "b ?", "7"]


def test_fast_decode_stays_close_to_the_exact_frames(tmp_path):
    write_pickle(tmp_path / "big.pkl", make_frames(4, width=400, height=300))
    (tmp_path / "x.list").write_text("big.pkl")
    exact, fast = (read_all(open_dataset(tmp_path / "x.list", fast_decode=on))[0].inputs[0] for on in (False, True))
    difference = np.abs(exact.astype(int) - fast)
    assert 0 < difference.mean() < 3


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_frames_are_not_turned_as_their_exif_data_say_as_in_2019(tmp_path, scale):
    image = make_frames(1, width=scale * 52, height=scale * 48)[0]
    exif, memory = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.fromarray(image).save(memory, "JPEG", quality=95, exif=exif)
    settings = ClipSettings(**TINY, fast_decode=scale > 1)
    entry = ListEntry(str(write_frame(tmp_path / "turned.pkl", memory.getvalue()).with_suffix(".pkl")))
    ((_, frame),) = open_clip(entry, settings).open().frames(np.arange(1))
    with Image.open(memory) as turned:
        expected = np.asarray(turned.resize((52, 48), Image.Resampling.BOX)).astype(int)
    assert np.abs(frame - expected).max() <= (0 if scale == 1 else 24)
    assert np.abs(frame - expected).mean() < 2


def test_bytes_behind_the_end_of_a_jpeg_change_nothing(tmp_path):
    jpeg = encode_jpeg(make_frames(1)[0])
    (expected,) = read_all(open_dataset(write_frame(tmp_path / "plain.pkl", jpeg)))
    for i, more in enumerate((b"\0" * 100, b"\0" * 100_000, b"\xff\xd9" + b"text" * 50)):
        for fast_decode in (False, True):
            path = write_frame(tmp_path / f"{i}.pkl", jpeg + more)
            (batch,) = read_all(open_dataset(path, fast_decode=fast_decode))
            np.testing.assert_array_equal(batch.inputs[0], expected.inputs[0])


@pytest.mark.parametrize("padding", [0, 100, 100_000])
@pytest.mark.parametrize("thumbnail", [False, True])
def test_a_jpeg_that_is_cut_off_is_refused_whatever_follows_and_whatever_is_in_its_head(tmp_path, thumbnail, padding):
    jpeg = encode_jpeg(make_frames(1, width=520, height=400)[0])
    if thumbnail:
        small = b"Exif\0\0" + encode_jpeg(make_frames(1)[0])
        jpeg = jpeg[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + jpeg[2:]
    Image.open(io.BytesIO(jpeg)).load()
    for size in (len(jpeg) // 2, len(jpeg) - 100, len(jpeg) - 2):
        path = write_frame(tmp_path / f"{size}.pkl", jpeg[:size] + b"\0" * padding)
        expect_error(path, f"{size}.pkl frame 0 is a JPEG that was cut off")


RANGE = "expected a class id from 0 to 4 (num_classes)"
LOOKS_HOT = "label looks like a one-hot or multi-hot vector"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (-2, "label -2 is not in 0 to 4 (num_classes)"),
        (5, "label 5 is not in 0 to 4 (num_classes); ids count from 0: if yours count from 1, subtract 1"),
        (10**5000, "label a value of type int is not in 0 to 4 (num_classes)"),
        (True, f"label is True, {RANGE}"),
        (1.0, f"label is 1.0, {RANGE}"),
        ([3], f"label is [3], {RANGE}"),
        (None, f"there is no label, {RANGE}"),
        ("two\nlines", rf"label is 'two\nlines', {RANGE}"),
        ([0, 0, 0, 1, 0], f"{LOOKS_HOT} (5 numbers, each 0 or 1); {RANGE}: here 3"),
        (np.array([False, True]), f"{LOOKS_HOT} (2 numbers, each 0 or 1); {RANGE}: here 1"),
        (np.array([1.0, 1.0]), f"{LOOKS_HOT} (2 numbers, each 0 or 1); {RANGE}"),
    ],
    ids=range(11),
)
def test_a_label_that_is_no_class_is_named_on_one_line(label, text, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(("a", label, [encode_jpeg(make_frames(1)[0])]), protocol=4))
    with pytest.raises(DataError) as error:
        open_clip(ListEntry(str(path)), ClipSettings(**TINY))
    assert str(error.value) == f"{path}: {text}"
    assert open_clip(ListEntry(str(path)), ClipSettings(**TINY, labels_needed=False)).label is None
