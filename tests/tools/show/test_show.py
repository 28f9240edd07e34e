"""tools.show: its sheets hold the reader's frames, its captions and fields are true, its plots are drawn."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Record
from datareader.sampling import sample_segment_frames
from tests.conftest import PROJECT, make_record
from tests.datareader.clips.test_dataset import encode_jpeg, make_frames, write_pickle, write_video
from tests.sequence_examples import write_shard
from tools.config.load import load_config
from tools.drawing import contact_sheet
from tools.drawing.feature_plot import PERCENTILES, describe_frames, draw_features, heat_step
from tools.drawing.fonts import load_font, make_drawable, wrap_text
from tools.errors import ConfigError, DataError, ZooError
from tools.registry import MODELS, READERS
from tools.show import __main__ as show

RGB_BLUE = (0x00, 0x72, 0xB2)  # of the lines for rgb

CLIP_CONFIG = """
[MODEL]
name = "{name}"
num_classes = 5
seg_num = 3
seglen = {seglen}
image_mean = [0.485, 0.456, 0.406]
image_std = [0.229, 0.224, 0.225]
num_layers = 50
[TRAIN]
epoch = 1
short_size = 40
target_size = {target_size}
batch_size = 1
learning_rate = 0.1
learning_rate_decay = 0.1
l2_weight_decay = 0.0
momentum = 0.9
total_videos = "auto"
filelist = "one.list"
[TEST]
short_size = 40
target_size = {target_size}
batch_size = 1
filelist = "one.list"
num_clips = {num_clips}
num_crops = {num_crops}
[INFER]
short_size = 40
target_size = {target_size}
batch_size = 1
filelist = "one.list"
class_names = {class_names!r}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_show(monkeypatch, capsys):
    """Run the program with these arguments; returns what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["show", *map(str, arguments)])
        show.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def sheets(monkeypatch):
    """The sheets that the program draws."""
    drawn = []

    def draw(*arguments):
        drawn.append(contact_sheet.draw_sheet(*arguments))
        return drawn[-1]

    monkeypatch.setattr(show, "draw_sheet", draw)
    return drawn


def write_config(folder, name="TSN", seglen=1, target_size=32, num_clips=1, num_crops=1, class_names=None):
    path = folder / "clips.txt"
    values = {"name": name, "seglen": seglen, "target_size": target_size, "class_names": class_names}
    path.write_text(CLIP_CONFIG.format(**values, num_clips=num_clips, num_crops=num_crops))
    return path


def read_as_the_scripts_do(path, name, config_path, section, seed):
    """(views, S, L, H, W, 3) uint8 of the only clip of a list, through the reader's own batches."""
    (path.parent / "one.list").write_text(f"{path} 1")
    config = load_config(str(config_path), MODELS.get(name)().schema, ["MODEL", section], name)
    dataset = READERS.get(MODELS.get(name).reader)(config, section, training=section == "TRAIN", skip_broken=0)
    with dataset.open([np.array([0])], seed, 0) as fetch:
        frames = fetch(0).inputs[0]
    views, seg_num, stacked, height, width = frames.shape
    return frames.reshape(views, seg_num, stacked // 3, 3, height, width).transpose(0, 1, 2, 4, 5, 3)


def load_picture(file):
    """(H, W, 3) uint8 of a PNG."""
    with Image.open(file, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def fields_of(text):
    """The first field of each name in what the program prints."""
    fields = {}
    for line in text.splitlines():
        if line.startswith("  "):
            name, _, value = line.strip().partition("  ")
            fields.setdefault(name, value.strip())
    return fields


# Contact sheets


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
    draw = show.draw_sheet
    monkeypatch.setattr(show, "draw_sheet", lambda *given: [drawn.append(given), draw(*given)][1])
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
    draw = show.draw_sheet
    monkeypatch.setattr(show, "draw_sheet", lambda *given: [drawn.append(given), draw(*given)][1])
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


def test_a_sheet_that_would_be_too_large_shrinks_its_pictures_and_says_so(monkeypatch):
    monkeypatch.setattr(contact_sheet, "LARGEST_SHEET", 128 * 128 * 2)
    pixels = make_frames(4, 128, 128)
    sheet = contact_sheet.draw_sheet(
        "x", [], [contact_sheet.Block("", [contact_sheet.Tile(p, ("a",)) for p in pixels])]
    )
    assert sheet.scale == 1 / 2
    for (left, top), tile in zip(sheet.places, pixels, strict=True):
        found = np.asarray(sheet.image)[top : top + 64, left : left + 64]
        assert np.abs(found - tile.reshape(64, 2, 64, 2, 3).mean((1, 3))).max() <= 1
    assert contact_sheet.describe_scale(sheet.scale) == ["at 1/2 of its size"]


@pytest.mark.parametrize("count", [1, 2, 7, 25])
def test_pictures_and_captions_do_not_overlap_and_lie_on_the_sheet(count):
    tile = contact_sheet.Tile(np.zeros((16, 16, 3), np.uint8), ("a caption that is wider than its picture", "b"))
    blocks = [contact_sheet.Block("heading", [tile] * count)] * 3
    sheet = contact_sheet.draw_sheet("a title " * 40, ["facts " * 60], blocks)
    side = round(16 * sheet.scale)
    width = load_font(contact_sheet.CAPTION_PX, tile.caption[0]).getlength(tile.caption[0])
    used = np.zeros((sheet.image.height, sheet.image.width), int)
    for left, top in sheet.places:
        assert left + width <= sheet.image.width
        assert top + side + 2 * contact_sheet.CAPTION_PX <= sheet.image.height
        used[top : top + side + 2 * contact_sheet.CAPTION_PX, left : left + int(width)] += 1
    assert len(sheet.places) == 3 * count
    assert used.max() == 1


# What is said of clips


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


def test_a_label_that_training_refuses_is_shown_and_said(folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(3), label=8)
    fields = fields_of(run_show("a.pkl", "--config", write_config(folder), "--no-image"))
    assert fields["class"] == "8 (not in 0 to 4, num_classes; refused but for infer.py)"


def test_frames_that_a_short_clip_gives_again_are_listed_one_by_one(folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(4))
    fields = fields_of(run_show("a.pkl", "--config", write_config(folder, "STNET", seglen=3), "--no-image"))
    assert fields["taken"] == "0-2, 1-3, 2 3 0"


# Features


def write_records(path, records, **options):
    path.write_bytes(pickle.dumps(records, **{"protocol": 4, **options}))
    return path


def as_python_2(record):
    return {key.encode(): value.encode() if isinstance(value, str) else value for key, value in record.items()}


@pytest.fixture
def records():
    rng = np.random.default_rng(3)
    return [make_record(rng, f"video{i}", num_classes=20, frames=10 + i, labels=[i, 19]) for i in range(12)]


@pytest.mark.parametrize("container", ["list", "one record", "python 2", "shard"])
def test_a_record_is_described_whatever_holds_it(container, records, folder, run_show):
    path, chosen = folder / "x.bin", 0 if container == "one record" else 4
    if container == "shard":
        write_shard(path, records)
    elif container == "one record":
        write_records(path, records[0])
    else:
        write_records(path, [as_python_2(record) for record in records] if container == "python 2" else records)
    text = run_show(path, "--record", chosen, "--no-image")
    fields = fields_of(text)
    assert fields["kind"] == "YouTube-8M features"
    assert fields["records"] == ("1" if container == "one record" else "12")
    assert fields["video"] == f"video{chosen}"
    assert fields["label"] == f"{chosen}, 19"
    assert fields["nframes"] == str(10 + chosen)
    assert fields["feature"].startswith(f"{10 + chosen} frames of 1024 bytes, 0 to 255, for -1.99 to 2.01; ")
    assert fields["accepted"] == "yes"
    assert f"Record {chosen}\n" in text


def test_strange_keys_and_names_are_shown_on_one_line_each(folder, run_show):
    record = make_record(np.random.default_rng(0), "two\nlines \x1b[31m")
    write_records(folder / "x.pkl", {**record, 7: np.zeros(3), b"more": b"caf\xc3\xa9"})
    text = run_show("x.pkl")
    fields = fields_of(text)
    assert fields["video"] == r"'two\nlines \x1b[31m'"
    assert (fields["7"], fields["more"]) == ("a (3,) float64 array", "café")
    assert text.endswith("wrote x__two_nlines__x1b_31m_.png\n")


def test_names_of_classes_stand_behind_the_ids(records, folder, run_show):
    write_records(folder / "x.pkl", records)
    (folder / "names.csv").write_text("Index,Name\n4,Ballet\n")
    fields = fields_of(run_show("x.pkl", "--id", "video4", "--class-names", "names.csv", "--no-image"))
    assert fields["label"] == "4 Ballet, 19"


def test_a_record_that_the_reader_refuses_is_drawn_all_the_same_and_the_reason_said(folder, run_show):
    record = make_record(np.random.default_rng(0), "video0", frames=1)
    del record["audio"]
    write_records(folder / "x.pkl", record)
    fields = fields_of(run_show("x.pkl"))
    assert fields["accepted"].startswith("no: x.pkl record 0 has no audio")
    pixels = load_picture("x_video0.png").reshape(-1, 3).astype(int)
    assert (np.abs(pixels - RGB_BLUE).max(axis=1) < 12).sum() > 50  # dots and the legend


@pytest.mark.parametrize(("frames", "section"), [(7, "TEST"), (300, "TEST"), (150, "TRAIN")])
def test_the_marked_frames_are_those_that_the_reader_takes(frames, section):
    path, name = PROJECT / "configs" / "attention_cluster.txt", "AttentionCluster"
    config = load_config(str(path), MODELS.get(name)().schema, [], name)
    rng, again = (np.random.default_rng(5) if section == "TRAIN" else None for _ in range(2))
    taken, text = show.count_taken(frames, name, config, rng)
    number = np.arange(frames)
    stream = np.stack([number // 256, number % 256], axis=1).astype(np.uint8)
    (batch,) = SegmentFrames(100)([Record("", "", (stream,), None)], [again] if again else None)
    seen = batch[0].astype(int) @ [256, 1]
    assert taken.tolist() == [int((seen == i).sum()) for i in range(frames)]
    assert text == "AttentionCluster takes 100 frames, one from each equal span"


def test_a_network_over_all_frames_has_none_marked(records, folder, run_show):
    write_records(folder / "x.pkl", records)
    text = run_show("x.pkl", "--model-name", "attentionlstm", "--no-image")
    assert fields_of(text)["frames"] == "AttentionLSTM takes every frame"


def test_statistics_equal_those_of_one_frame_at_a_time():
    values = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    found = describe_frames(values)
    for i, frame in enumerate(values.astype(float)):
        assert found.mean[i] == pytest.approx(sum(frame) / 50)
        assert found.norm[i] == pytest.approx(sum(x * x for x in frame) ** 0.5)
        below = [sum(frame <= band + 1e-9) / 50 for band in found.bands[:, i]]
        assert below == pytest.approx([share / 100 for share in PERCENTILES], abs=0.021)  # a value more or less
        if i:
            step = frame - values[i - 1]
            assert found.change[i - 1] == pytest.approx(sum(x * x for x in step) ** 0.5)
    assert len(found.change) == 5


@pytest.mark.parametrize(("width", "step"), [(1, 1), (128, 1), (129, 2), (1024, 8)])
def test_a_heat_map_has_a_row_of_pixels_for_every_value_it_draws(width, step):
    assert heat_step(np.zeros((2, width))) == step


def test_a_plot_shows_both_features_under_any_name():
    rng = np.random.default_rng(0)
    streams = {"rgb": rng.normal(size=(300, 64)).astype(np.float32), "audio": np.zeros((300, 8), np.float32)}
    data = draw_features("a $name$ \n\udcff", ["拉小提琴 " * 60], streams, np.ones(300, int), "taken")
    pixels = load_picture(io.BytesIO(data)).reshape(-1, 3)
    for colour in (RGB_BLUE, (0xD5, 0x5E, 0x00)):  # the lines of both are there
        assert (np.abs(pixels.astype(int) - colour).max(axis=1) < 12).sum() > 50


# Words in pictures


def test_what_no_font_here_draws_becomes_a_question_mark_and_the_reader_is_told(folder, run_show, monkeypatch):
    monkeypatch.setattr("tools.drawing.fonts.SYSTEM_FONTS", ())
    text = run_show(write_pickle(folder / "拉a.pkl", make_frames(3)), "--config", write_config(folder))
    assert "拉a.pkl" in text
    assert text.endswith("of which no font here has a picture; the names are above\n")
    assert make_drawable("拉é\n\udcffЖ", load_font(12, "x")) == "?é??Ж"


def test_without_matplotlibs_font_pillows_own_serves(monkeypatch):
    monkeypatch.setattr("tools.drawing.fonts._bundled_font", lambda: "none.ttf")
    monkeypatch.setattr("tools.drawing.fonts.SYSTEM_FONTS", ())
    font = load_font(12, "abc")
    assert make_drawable("abc é", font) == "abc ?"


@pytest.mark.parametrize("text", ["one two three four five six seven", "x" * 300, "a", "a b " * 100])
def test_wrapped_lines_fit_and_what_is_left_out_is_marked(text):
    font = load_font(14, text)
    lines = wrap_text(text, font, 120, 3)
    assert len(lines) <= 3
    assert all(font.getlength(line) <= 120 for line in lines)
    whole = "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert whole != lines[-1].endswith("…")


# What goes wrong


def broken_files(folder):
    """Files with something wrong with them, by name."""
    for name, content in {
        "empty.pkl": b"",
        "text.txt": b"hello, world\n",
        "half.pkl": pickle.dumps([{"video": "a"}], protocol=4)[:-4],
        "five.pkl": pickle.dumps(5),
        "none.pkl": pickle.dumps([]),
        "bare.pkl": pickle.dumps([{"video": "a", "label": [1]}]),
        "cut.pkl": pickle.dumps(("a", 1, [encode_jpeg(make_frames(1)[0])[:300]])),
        "call.pkl": b"\x80\x04cos\nsystem\n(S'echo'\ntR.",
    }.items():
        (folder / name).write_bytes(content)
    write_pickle(folder / "clip.pkl", make_frames(3))
    rng = np.random.default_rng(0)
    write_records(folder / "two.pkl", [make_record(rng, name) for name in ("first", "second")])
    (folder / "short.txt").write_text("one\ntwo\n")
    (folder / "there.png").write_bytes(b"mine")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["gone.mp4"], DataError, "gone.mp4 cannot be read: No such file or directory; expected a video, a pickle of"),
        (["."], DataError, ". is a folder; name one file: a video, a pickle of"),
        (["a\0b"], DataError, "'a\\x00b' cannot be read: embedded null byte"),
        (["empty.pkl"], DataError, "empty.pkl is empty; fetch or copy it again"),
        (["text.txt"], DataError, "text.txt is not a video ("),
        (["half.pkl"], DataError, "half.pkl is not a whole pickle (UnpicklingError"),
        (["five.pkl"], DataError, "five.pkl holds a int; expected (video_id, label, [JPEG bytes, ...])"),
        (["none.pkl"], DataError, "none.pkl holds no records"),
        (["bare.pkl"], DataError, "bare.pkl record 0 has neither feature nor audio; its keys are video, label"),
        (["cut.pkl"], DataError, "cut.pkl frame 0 is a JPEG that was cut off"),
        (["call.pkl"], DataError, "call.pkl is not a data file and was not loaded: it names os.system"),
        (["two.pkl", "--record", "2"], ConfigError, "--record 2: two.pkl holds 2 records; the last is number 1"),
        (["two.pkl", "--id", "secnod"], ConfigError, "--id secnod: two.pkl has no such record among 2; did you mean s"),
        (["two.pkl", "--id", "x"], ConfigError, "--id x: two.pkl has no such record among 2; they are first, second"),
        (["clip.pkl", "--record", "0"], ConfigError, "clip.pkl holds one clip; --record and --id choose among records"),
        (["two.pkl", "--model-name", "tsn"], ConfigError, "two.pkl holds YouTube-8M features, which TSN does not read"),
        (["clip.pkl", "--model-name", "nextvlad"], ConfigError, "clip.pkl holds a clip, which NEXTVLAD does not read"),
        (["clip.pkl", "--model-name", "tsm"], ConfigError, "no model named 'tsm'; known: "),
        (["clip.pkl", "--config", "gone.txt"], ConfigError, "config gone.txt does not exist"),
        (["clip.pkl", "--seed", "1"], ConfigError, "--seed draws a view as in training; add --section TRAIN"),
        (["two.pkl", "--class-names", "short.txt"], DataError, "class names short.txt has 2 lines, but num_"),
        (["two.pkl", "--output", "there.jpg"], ConfigError, "--output there.jpg: the picture is a PNG; expected a"),
        (["two.pkl", "--output", "there.png"], ConfigError, "there.png is there already; --force replaces it"),
        (["two.pkl", "--output", "two.pkl/x.png"], DataError, "two.pkl/x.png cannot be written: "),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_one_line_that_says_why(arguments, kind, message, folder, run_show):
    broken_files(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(ZooError) as error:
        run_show(*arguments)
    assert str(error.value).startswith(message)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)
    assert sorted(folder.iterdir()) == before
    assert (folder / "there.png").read_bytes() == b"mine"


def test_force_replaces_a_picture_but_never_the_file_that_is_shown(folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(3))
    config = write_config(folder)
    (folder / "a.png").write_bytes(b"old")
    run_show("a.pkl", "--config", config, "--force")
    assert load_picture("a.png").shape[2] == 3
    write_pickle(folder / "c.png", make_frames(3))
    with pytest.raises(ConfigError, match=r"^c.png is the file that is shown; --output FILE.png writes another$"):
        run_show("c.png", "--config", config, "--force")


def test_without_matplotlib_the_text_is_printed_and_the_error_says_what_to_do(records, folder, monkeypatch, capsys):
    write_records(folder / "x.pkl", records)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(sys, "argv", ["show", "x.pkl"])
    with pytest.raises(ConfigError, match=r"the plot needs Matplotlib: python -m pip install matplotlib; --no-image "):
        show.main()
    assert "video0" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["x.pkl"]


def test_the_program_ends_with_one_line_and_code_1_and_needs_neither_paddle_nor_matplotlib_to_say_so():
    absent = "import runpy, sys; sys.modules.update(paddle=None, matplotlib=None)"
    code = f"{absent}; runpy.run_module('tools.show', run_name='__main__')"
    command = [sys.executable, "-c", code, "gone.mp4"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: gone.mp4 cannot be read")
    assert result.stderr.count("\n") == 1
