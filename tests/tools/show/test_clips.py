"""Clips: the sheets hold the reader's frames, their captions and the printed fields are true."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.sampling import sample_segment_frames
from tests.datareader.clips.synthetic import encode_jpeg, make_frames, write_cut_video, write_pickle, write_video
from tests.datareader.clips.test_frame_folders import write_folder
from tests.tools.drawing.pictures import load_picture
from tests.tools.show.inputs import write_config
from tests.tools.show.printed_fields import fields_of
from tools.config.load import load_config
from tools.drawing import contact_sheet
from tools.drawing.fonts import load_font, make_drawable
from tools.registry import MODELS, READERS
from tools.show import clips


@pytest.fixture
def sheets(monkeypatch):
    """The sheets that the program draws."""
    drawn = []

    def draw(*arguments):
        drawn.append(contact_sheet.draw_sheet(*arguments))
        return drawn[-1]

    monkeypatch.setattr(clips, "draw_sheet", draw)
    return drawn


def read_as_the_scripts_do(path, name, config_path, section, seed):
    """(views, S, L, H, W, 3) uint8 of the only clip of a list, through the reader's own batches."""
    (path.parent / "one.list").write_text(f"{path} 1")
    config = load_config(str(config_path), MODELS.get(name)().schema, ["MODEL", section], name)
    dataset = READERS.get(MODELS.get(name).reader)(config, section, training=section == "TRAIN", skip_broken=0)
    with dataset.open([np.array([0])], seed, 0) as fetch:
        frames = fetch(0).inputs[0]
    views, seg_num, stacked, height, width = frames.shape
    return frames.reshape(views, seg_num, stacked // 3, 3, height, width).transpose(0, 1, 2, 4, 5, 3)


@pytest.mark.parametrize(
    ("kind", "name", "settings", "section", "scale"),
    [
        ("video", "TSN", {}, "TEST", 4),
        ("video", "STNET", {"seglen": 5}, "TEST", 4),
        ("video", "STNET", {"seglen": 2}, "TRAIN", 4),
        ("pickle", "TSN", {"target_size": 40, "num_crops": 3, "num_clips": 2}, "TEST", 3),
        ("pickle", "TSN", {"num_crops": 10}, "INFER", 4),
        ("pickle", "TSN", {"num_crops": 10}, "TEST", 4),
    ],
)
def test_the_saved_sheet_holds_the_pixels_that_the_reader_gives(
    kind, name, settings, section, scale, folder, run_show, sheets
):
    config = write_config(folder, name, **settings)
    frames = make_frames(24, width=68, height=52)
    path = write_video(folder / "a.mp4", frames) if kind == "video" else write_pickle(folder / "a.pkl", frames)
    training = ["--seed", 7] if section == "TRAIN" else []
    run_show(path, "--config", config, "--section", section, *training)
    expected = read_as_the_scripts_do(path, name, config, section, seed=7)
    tiles = expected.reshape(-1, *expected.shape[3:])

    (sheet,) = sheets
    saved = load_picture("a.png")
    assert sheet.scale == scale
    assert len(sheet.places) == len(tiles)
    for (left, top), tile in zip(sheet.places, tiles, strict=True):
        side = scale * len(tile)
        found = saved[top : top + side, left : left + side]
        np.testing.assert_array_equal(found, tile.repeat(scale, axis=0).repeat(scale, axis=1))


def test_captions_name_the_frame_the_time_and_the_segment_of_the_picture_above_them(folder, run_show, monkeypatch):
    grey = (
        np.full((30, 40, 40, 3), 8, np.uint8) * np.arange(30, dtype=np.uint8)[:, None, None, None]
    )  # level: 8 a frame
    path = write_video(folder / "a.mp4", grey)
    drawn = []
    draw = clips.draw_sheet
    monkeypatch.setattr(clips, "draw_sheet", lambda *given: [drawn.append(given), draw(*given)][1])
    run_show(path, "--config", write_config(folder, "STNET", seglen=2, num_clips=2, num_crops=3))
    ((_, _, blocks),) = drawn
    headings = [block.heading for block in blocks]
    assert headings[:2] == ["view 1: clip 1, left", "view 2: clip 1, centre"]
    assert headings[5] == "view 6: clip 2, right"
    for i, block in enumerate(blocks):
        assert block.columns == 2
        numbers = sample_segment_frames(30, 3, 2, clip=i // 3, num_clips=2)
        for j, (tile, number) in enumerate(zip(block.tiles, numbers.ravel(), strict=True)):
            assert tile.caption == (f"frame {number}, {number / 25:.2f} s", f"segment {j // 2 + 1}")
            assert tile.pixels.mean() == pytest.approx(8 * number, abs=3)


def test_headings_say_where_the_crop_lies(folder, run_show, monkeypatch):
    place = np.zeros((4, 40, 80, 3), np.uint8)
    place[..., 0], place[..., 1] = np.arange(80), np.arange(40)[:, None]  # red is x, green is y
    drawn = []
    draw = clips.draw_sheet
    monkeypatch.setattr(clips, "draw_sheet", lambda *given: [drawn.append(given), draw(*given)][1])
    jpegs = []
    for frame in place:
        memory = io.BytesIO()
        Image.fromarray(frame).save(memory, "PNG")  # a pickle may hold these too, and they lose nothing
        jpegs.append(memory.getvalue())
    (folder / "a.pkl").write_bytes(pickle.dumps(("a", 0, jpegs), protocol=4))
    run_show("a.pkl", "--config", write_config(folder, num_crops=10))
    ((_, _, blocks),) = drawn
    assert len(blocks) == 10
    for block in blocks:
        pixels = block.tiles[0].pixels.astype(int)
        x, y = pixels[..., 0].min(), pixels[..., 1].min()
        words = block.heading.split(": clip 1, ")[1]
        across = {0: "left", 24: "", 48: "right"}[x]
        down = {0: "top", 4: "", 8: "bottom"}[y]
        mirrored = ", mirrored" * bool(pixels[0, 0, 0] > pixels[0, -1, 0])
        assert words == (f"{down} {across}".strip() or "centre") + mirrored


def test_a_training_view_is_named_with_its_seed_and_place(folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(24, width=68, height=52))
    config = write_config(folder)
    texts = [run_show("a.pkl", "--config", config, "--section", "train", "--seed", s, "--no-image") for s in range(4)]
    assert "a random view of training, seed 3, crop " in texts[3]
    assert len({fields_of(text)["taken"] for text in texts}) > 1
    assert len({fields_of(text)["crops"] for text in texts}) > 1


@pytest.mark.pyav
def test_a_video_is_described(folder, run_show):
    text = run_show(write_video(folder / "a b.mp4", make_frames(40)), "--config", write_config(folder, "STNET"))
    fields = fields_of(text)
    assert text.startswith(f"{folder / 'a b.mp4'}\n")
    assert fields["kind"] == "video"
    assert fields["container"] == "QuickTime / MOV"
    assert fields["codec"] == "mpeg4, yuv420p"
    assert fields["frame size"] == "52 x 40 px"
    assert fields["frame rate"] == "25 a second"
    assert fields["duration"] == "1.60 s"
    assert fields["frames"] == "40, numbered from 0"
    assert fields["taken"] == "6, 19, 32"
    assert fields["scaled"] == "not needed, 52 x 40 px"
    assert fields["crops"] == "centre"
    assert fields["protocol"].startswith(
        f"STNET [TEST] of {folder / 'clips.txt'}: 1 clip x the centre crop, 3 segments"
    )
    assert text.endswith("wrote a b.png\n")


@pytest.mark.pyav
def test_a_video_that_is_cut_short_is_called_so(folder, run_show):
    path = write_cut_video(folder / "a.mp4", make_frames(40))
    cut = fields_of(run_show(path, "--config", write_config(folder, "STNET")))["cut short"]
    assert cut.startswith(f"{path.stat().st_size:,} of the ")


def test_a_pickle_of_frames_is_described_with_its_class(folder, run_show):
    (folder / "names.txt").write_text("a\nb\nc\nd\ne\n")
    jpegs = [encode_jpeg(frame) for frame in [*make_frames(5), *make_frames(2, 64, 48)]]
    (folder / "a.pkl").write_bytes(pickle.dumps([b"one", 3, jpegs], protocol=2))  # as Python 2 had it, in a list
    fields = fields_of(run_show("a.pkl", "--config", write_config(folder, class_names="names.txt"), "--no-image"))
    assert fields["kind"] == "pickle of JPEG frames"
    assert (fields["video"], fields["class"], fields["frames"]) == ("one", "3 d", "7")
    assert fields["frame size"] == "52 x 40 px and 64 x 48 px"
    total = sum(map(len, jpegs))
    assert fields["bytes"] == f"{total:,}, {total / 7:,.0f} a frame"


@pytest.mark.parametrize(
    ("label", "text"),
    [(8, "8"), (True, "True"), (None, "None"), ("two\nlines", r"'two\nlines'"), (10**5000, "a value of type int")],
    ids=["range", "bool", "none", "text", "huge"],
)
def test_a_label_that_training_refuses_is_shown_and_said(label, text, folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(3), label=label)
    fields = fields_of(run_show("a.pkl", "--config", write_config(folder), "--no-image"))
    assert fields["class"] == f"{text} (not in 0 to 4, num_classes; refused but for infer.py)"


def test_frames_that_a_short_clip_gives_again_are_listed_one_by_one(folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(4))
    fields = fields_of(run_show("a.pkl", "--config", write_config(folder, "STNET", seglen=3), "--no-image"))
    assert fields["taken"] == "0-2, 1-3, 2 3 0"


def test_what_no_font_here_draws_becomes_a_question_mark_and_the_reader_is_told(folder, run_show, monkeypatch):
    monkeypatch.setattr("tools.drawing.fonts.SYSTEM_FONTS", ())
    text = run_show(write_pickle(folder / "拉a.pkl", make_frames(3)), "--config", write_config(folder))
    assert "拉a.pkl" in text
    assert text.endswith("of which no font here has a picture; the names are above\n")
    assert make_drawable("拉é\n\udcffЖ", load_font(12, "x")) == "?é??Ж"


def test_a_folder_of_frames_is_shown_with_what_is_ignored_in_it(folder, run_show):
    frames = make_frames(12)
    write_folder(folder / "v.1", frames)
    write_folder(folder / "v.1", frames[:2], "flow_x_{:05d}.jpg")
    (folder / "v.1/notes.txt").write_text("text")
    config = write_config(folder)
    fields = fields_of(run_show("v.1", "--config", config))
    assert (fields["kind"], fields["video"], fields["frames"]) == ("folder of frames", "v.1", "12")
    assert fields["names"] == "img_00001.jpg to img_00012.jpg"
    assert fields["ignored flow"] == "2: flow_x_00001.jpg, flow_x_00002.jpg"
    assert fields["ignored"] == "1: notes.txt"
    assert fields["frame size"] == "52 x 40 px"
    assert (folder / "v.1.png").is_file()
