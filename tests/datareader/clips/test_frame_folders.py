"""Folders of frames as clips: their order and number, the same pixels as in a pickle, and what is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datareader.clips.files import open_clip
from datareader.clips.frame_folders import list_folder, list_frames
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry
from tests.datareader.clips.synthetic import TINY, encode_jpeg, expect_error, make_frames, open_dataset, read_all
from tools.errors import DataError


def write_folder(folder, frames, name="img_{:05d}.jpg", first=1):
    """A folder of frames, JPEG or as the suffix says; gives it."""
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        path = folder / name.format(number)
        if path.suffix.lower() == ".png":
            Image.fromarray(frame).save(path)
        else:
            path.write_bytes(encode_jpeg(frame))
    return folder


def list_of(tmp_path, *lines):
    path = tmp_path / "clips.list"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("name", "first"),
    [("img_{:05d}.jpg", 1), ("image_{:05d}.jpg", 0), ("frame{:06d}.JPG", 1), ("{}.jpeg", 8), ("v-2_{}.png", 0)],
)
def test_frames_come_in_the_order_of_the_numbers_in_their_names(tmp_path, name, first):
    frames = make_frames(12)
    folder = write_folder(tmp_path / "v.1", frames, name, first)
    clip = open_clip(ListEntry(str(folder), label=1), ClipSettings(**TINY))
    assert (clip.video_id, clip.label, clip.open().num_frames) == ("v.1", 1, 12)
    for number, found in clip.open().frames(np.arange(12)):
        assert np.abs(found.astype(int) - frames[number]).mean() < 4


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_folder_gives_the_pixels_of_a_pickle_of_its_files(tmp_path, suffix, training):
    folder = write_folder(tmp_path / "v", make_frames(12, width=90, height=70), f"{{}}.{suffix}")
    images = [Path(folder, name).read_bytes() for name in list_frames(str(folder), None)]
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(("v", 3, images), protocol=4))
    for more in ({}, {"fast_decode": True}, {"keep_aspect": True}):
        (batch,) = read_all(open_dataset(list_of(tmp_path, "v 3"), training=training, **more))
        (pickled,) = read_all(open_dataset(list_of(tmp_path, "v.pkl"), training=training, **more))
        np.testing.assert_array_equal(batch.inputs[0], pickled.inputs[0])
        assert (batch.ids, batch.labels.tolist()) == (pickled.ids, pickled.labels.tolist()) == (["v"], [3])


def test_the_number_of_frames_in_a_line_is_a_check(tmp_path):
    write_folder(tmp_path / "v", make_frames(9))
    write_folder(tmp_path / "first", make_frames(9)[:6])
    first, listed = read_all(open_dataset(list_of(tmp_path, "first 1", "v 6 1")), batch_size=1)
    np.testing.assert_array_equal(first.inputs[0], listed.inputs[0])
    for line in ("v 10 1", "v 0 1", "v -1 1"):
        expect_error(list_of(tmp_path, line), "line 1: ", f"v holds 9 frames, but its line says {line.split()[1]}")
    assert open_dataset(list_of(tmp_path, "v 10 1", "v 9 1"), skip_broken=1).labels.tolist() == [-1, 1]


def test_a_folder_alone_can_be_inferred_and_needs_a_label_to_be_trained_on(tmp_path):
    write_folder(tmp_path / "v", make_frames(4))
    (batch,) = read_all(open_dataset(list_of(tmp_path, "v"), labels_needed=False))
    assert (batch.ids, batch.labels) == (["v"], None)
    expect_error(list_of(tmp_path, "v"), "v has no label; the line of a folder of frames is its path")


def test_what_is_no_frame_is_ignored(tmp_path):
    folder = write_folder(tmp_path / "v", make_frames(3))
    write_folder(folder, make_frames(3), "flow_x_{:05d}.jpg")
    for name in ("notes.txt", "thumb.png", ".img_00009.jpg"):
        (folder / name).touch()
    (folder / "4.jpg").mkdir()
    content = list_folder(str(folder))
    assert content.frames == ["img_00001.jpg", "img_00002.jpg", "img_00003.jpg"]
    assert content.flow == ["flow_x_00001.jpg", "flow_x_00002.jpg", "flow_x_00003.jpg"]
    assert content.others == ["4.jpg/", "notes.txt", "thumb.png"]


@pytest.mark.parametrize("names", [("flow_x_{}.jpg", "flow_y_{}.jpg"), ("x_{}.png", "y_{}.png"), ("flow_{}.jpg",)])
def test_a_folder_of_optical_flow_is_refused(tmp_path, names):
    for name in names:
        write_folder(tmp_path / "v", make_frames(2), name)
    expect_error(list_of(tmp_path, "v 1"), f"v holds optical flow ({names[0].format(1)}, ", "which these networks do")


@pytest.mark.parametrize("name", ["x_{}.jpg", "flowers_{}.jpg", "overflow{}.jpg"])
def test_names_that_only_remind_of_optical_flow_are_of_frames(tmp_path, name):
    folder = write_folder(tmp_path / "v", make_frames(2), name)
    assert len(list_frames(str(folder), None)) == 2


def test_a_folder_without_frames_is_refused(tmp_path):
    (tmp_path / "v").mkdir()
    expect_error(list_of(tmp_path, "v 1"), "v is a folder without frames, such as img_00001.jpg, nor anything else")
    (tmp_path / "v" / "a.mp4").touch()
    expect_error(
        list_of(tmp_path, "v 1"), "without frames, such as img_00001.jpg; it holds a.mp4. Videos are listed one"
    )


@pytest.mark.parametrize("suffix", ["bmp", "webp", "TIF"])
def test_a_folder_of_other_pictures_says_which_frames_may_be(tmp_path, suffix):
    (tmp_path / "v").mkdir()
    (tmp_path / f"v/1.{suffix}").touch()
    expect_error(list_of(tmp_path, "v 1"), f"other kinds (1.{suffix}); frames must be JPEG or PNG")


@pytest.mark.parametrize(
    ("suffix", "data", "message"),
    [
        ("jpg", b"", "is no image that can be decoded (0 bytes)"),
        ("jpg", b"\xff\xd8\xff\xe0 no picture", "is a JPEG that was cut off"),
        ("png", b"\x89PNG\r\n\x1a\n no picture", "is a PNG that was cut off"),
        ("jpg", b"text", "is no image that can be decoded (4 bytes)"),
    ],
)
def test_a_broken_frame_is_named_by_its_file(tmp_path, suffix, data, message):
    folder = write_folder(tmp_path / "v", make_frames(3), f"{{}}.{suffix}")
    (folder / f"3.{suffix}").write_bytes(data)
    expect_error(list_of(tmp_path, "v 1"), f"v/3.{suffix} {message}")


def test_a_png_that_lost_its_end_is_refused_before_its_decoder_is_asked(tmp_path, capfd):
    folder = write_folder(tmp_path / "v", make_frames(3), "{}.png")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[:-20])
    source = open_clip(ListEntry(str(folder), label=1), ClipSettings(**TINY)).open()
    with pytest.raises(DataError, match=r"2\.png is a PNG that was cut off"):
        list(source.frames(np.arange(3)))
    assert capfd.readouterr() == ("", "")
