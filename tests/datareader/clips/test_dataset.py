"""Clips: lists, sampling, transforms, and batches of pickles and videos."""

import io
import json
import pickle

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datareader.clips.dataset import ClipDataset, ClipSettings, open_clip
from datareader.lists import ListEntry, load_list
from datareader.loader import EvaluationLoader, TrainingLoader
from datareader.sampling import sample_segment_frames
from datareader.transforms import Crop, crop_frame, list_crops, normalize, scale_size
from tests.golden_inputs import GOLDEN
from tools.errors import DataError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TINY = {"num_classes": 5, "seg_num": 3, "seglen": 2, "short_size": 40, "target_size": 32}
TINY |= {"image_mean": MEAN, "image_std": STD}


def make_frames(count, width=52, height=40, seed=0):
    """Smooth coloured frames that differ from one another: (count, height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)
    return np.stack([cv2.resize(frame, (width, height)) for frame in small])


def encode_jpeg(frame):
    memory = io.BytesIO()
    Image.fromarray(frame).save(memory, "JPEG", quality=95)
    return memory.getvalue()


def write_pickle(path, frames, label=1, video_id=None):
    content = (video_id or path.stem, label, [encode_jpeg(frame) for frame in frames])
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


def write_video(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def clips(tmp_path):
    """A list of three pickles and three videos of 3 to 40 frames, one with spaces in its name."""
    lines = []
    for i, count in enumerate((3, 20, 40)):
        write_pickle(tmp_path / f"p{i}.pkl", make_frames(count, seed=i), label=i)
        write_video(tmp_path / f"v {i}.mp4", make_frames(count, seed=i))
        lines += [f"p{i}.pkl", f"v {i}.mp4 {i}"]
    path = tmp_path / "clips.list"
    path.write_text("# made\n" + "\n".join(lines) + "\n\n")
    return path


def read_all(dataset, batch_size=4, num_workers=0, as_float=False, **options):
    loader = EvaluationLoader(dataset, batch_size, num_workers=num_workers, as_float=as_float, **options)
    return list(loader.epoch())


def open_dataset(path, training=False, skip_broken=0, **settings):
    return ClipDataset(str(path), ClipSettings(**{**TINY, **settings}), training=training, skip_broken=skip_broken)


GOLDEN_SETTINGS = {"TSN": (3, 1, 224), "TSN7": (7, 1, 224), "STNET": (7, 5, 256)}


@pytest.mark.parametrize("video", ["wide", "tall", "short", "widescreen"])
@pytest.mark.parametrize("reader", GOLDEN_SETTINGS)
def test_evaluation_clips_equal_those_of_2019(reader, video, tmp_path):
    seg_num, seglen, size = GOLDEN_SETTINGS[reader]
    folder = GOLDEN / "readers"
    (tmp_path / "one.list").write_text(str(folder / f"{video}.pkl"))
    settings = {"num_classes": 400, "seg_num": seg_num, "seglen": seglen, "short_size": 256, "target_size": size}
    (batch,) = read_all(open_dataset(tmp_path / "one.list", **settings), as_float=True)
    expected = json.loads((folder / "kinetics.json").read_text())[f"{reader}_{video}"]
    assert (batch.ids, batch.labels.tolist()) == ([expected["infer_id"]], [expected["label"]])
    found = batch.inputs[0][0]
    assert found.shape == tuple(expected["shape"])
    std = np.tile(STD, seglen)[:, None, None]
    with np.load(folder / "kinetics.npz") as arrays:
        levels = 255 * std * np.abs(found[:, :, 3::29, 5::31] - arrays[f"{reader}_{video}"])
    assert levels.max() <= (1.001 if video == "tall" else 255 * 1e-6)  # the tall one is resized
    assert found.mean() == pytest.approx(expected["mean"], abs=1e-4)
    assert found.std() == pytest.approx(expected["std"], abs=1e-4)


def test_a_line_may_end_with_a_label_and_hold_spaces(tmp_path):
    for name in ("a b.mp4", "a b.mp4 7", "c.pkl"):
        (tmp_path / name).touch()
    path = tmp_path / "x.list"
    path.write_text("# comment\na b.mp4 12\n\n  a b.mp4 7  \na b.mp4 7 3\nc.pkl\na b.mp4 -1\n")
    found = [(entry.path.split("/")[-1], entry.label) for entry in load_list(str(path), labelled=True)]
    assert found == [("a b.mp4", 12), ("a b.mp4 7", None), ("a b.mp4 7", 3), ("c.pkl", None), ("a b.mp4", -1)]


def test_segments_follow_the_rule_of_2019():
    np.testing.assert_array_equal(sample_segment_frames(40, 3, 1), [[6], [19], [32]])
    np.testing.assert_array_equal(sample_segment_frames(23, 7, 5)[:, 0], [0, 3, 6, 9, 12, 15, 18])
    np.testing.assert_array_equal(sample_segment_frames(23, 7, 5)[6], [18, 19, 20, 21, 22])
    np.testing.assert_array_equal(sample_segment_frames(2, 3, 2), [[0, 1], [1, 0], [0, 1]])


@given(num_frames=st.integers(1, 400), seg_num=st.integers(1, 30), seglen=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_sampled_frames_are_consecutive_and_in_their_segment(num_frames, seg_num, seglen, seed):
    duration = num_frames // seg_num
    for rng in (None, np.random.default_rng(seed)):
        frames = sample_segment_frames(num_frames, seg_num, seglen, rng)
        assert frames.shape == (seg_num, seglen)
        assert frames.min() >= 0
        assert frames.max() < num_frames
        assert ((frames - frames[:, :1] - np.arange(seglen)) % num_frames == 0).all()
        if duration >= seglen:
            np.testing.assert_array_equal(frames[:, 0] // duration, np.arange(seg_num))
            np.testing.assert_array_equal(frames[:, -1] // duration, np.arange(seg_num))


def test_every_place_in_a_segment_is_drawn_and_no_other():
    rng = np.random.default_rng(0)
    starts = {int(sample_segment_frames(30, 3, 4, rng)[1, 0]) for _ in range(500)}
    assert starts == set(range(10, 17))


def test_several_clips_spread_over_the_room_there_is():
    starts = [int(sample_segment_frames(100, 2, 10, clip=c, num_clips=3)[0, 0]) for c in range(3)]
    assert starts == [10, 20, 30]


@pytest.mark.parametrize(
    ("size", "keep_aspect", "expected"),
    [
        ((340, 256), False, (340, 256)),
        ((640, 360), False, (341, 256)),
        ((640, 360), True, (455, 256)),
        ((240, 320), False, (256, 341)),
        ((300, 300), False, (341, 256)),
        ((300, 300), True, (256, 256)),
    ],
)
def test_the_short_side_is_scaled_and_the_other_becomes_4_3_unless_told_otherwise(size, keep_aspect, expected):
    assert scale_size(*size, 256, keep_aspect) == expected


@pytest.mark.parametrize("crop", [Crop(0, 0), Crop(1, 1, flip=True), Crop(0.5, 0.5), Crop(0.3, 0.8)])
@pytest.mark.parametrize(("width", "height"), [(97, 61), (61, 97), (70, 48), (341, 256)])
def test_a_crop_equals_that_of_the_whole_scaled_frame_to_one_grey_level(width, height, crop):
    frame = make_frames(1, width, height)[0]
    scaled = scale_size(width, height, 48, keep_aspect=False)
    whole = np.asarray(Image.fromarray(frame).resize(scaled, Image.Resampling.BILINEAR)).astype(int)
    left, top = round(crop.x * (scaled[0] - 40)), round(crop.y * (scaled[1] - 40))
    expected = whole[top : top + 40, left : left + 40]
    expected = expected[:, ::-1] if crop.flip else expected
    assert np.abs(crop_frame(frame, crop, scaled, 40) - expected).max() <= 1


def test_ten_crops_are_corners_and_centre_and_their_mirror_images():
    crops = list_crops(10, 60, 40)
    assert {(crop.x, crop.y) for crop in crops} == {(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)}
    assert sum(crop.flip for crop in crops) == 5
    assert len(set(crops)) == 10
    assert [crop.y for crop in list_crops(3, 40, 60)] == [0, 0.5, 1]


def test_normalising_has_the_bits_of_the_three_steps_of_2019():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 5, 7), dtype=np.uint8)
    expected = frames.astype(np.float32)
    expected /= 255
    expected -= np.array(MEAN * 2, np.float32)[:, None, None]
    expected /= np.array(STD * 2, np.float32)[:, None, None]
    np.testing.assert_array_equal(normalize(frames, MEAN, STD), expected)


def test_pickles_and_videos_mix_and_are_told_apart_by_content(clips):
    disguised = clips.parent / "p1.pkl"
    disguised.rename(clips.parent / "really a pickle.mp4")
    clips.write_text(clips.read_text().replace("p1.pkl", "really a pickle.mp4"))
    batches = read_all(open_dataset(clips))
    assert [name for batch in batches for name in batch.ids] == ["p0", "v 0", "p1", "v 1", "p2", "v 2"]
    assert np.concatenate([batch.labels for batch in batches]).tolist() == [0, 0, 1, 1, 2, 2]
    frames = np.concatenate([batch.inputs[0] for batch in batches])
    assert frames.shape == (6, 3, 6, 32, 32)
    assert frames.dtype == np.uint8
    for pickled, video in zip(frames[::2].astype(int), frames[1::2].astype(int), strict=True):
        assert np.abs(pickled - video).mean() < 12  # the same frames up to their compression
    assert np.abs(frames[2].astype(int) - frames[4]).mean() > 30


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


def test_training_batches_depend_on_the_seed_and_not_on_the_workers(clips):
    runs = [
        read_all(open_dataset(clips, training=True), num_workers=workers, seed=seed)
        for workers, seed in ((0, 1), (3, 1), (0, 2))
    ]
    for one, other in zip(runs[0], runs[1], strict=True):
        assert one.ids == other.ids
        np.testing.assert_array_equal(one.inputs[0], other.inputs[0])
    assert any((one.inputs[0] != other.inputs[0]).any() for one, other in zip(runs[0], runs[2], strict=True))


def test_training_takes_one_crop_and_one_flip_for_a_whole_clip(tmp_path):
    ramp = np.zeros((30, 40, 60, 3), np.uint8)
    ramp[:, :, :, 0] = np.arange(0, 240, 4)  # across: tells place and flip
    ramp[:, :, :, 1] = np.arange(0, 240, 6)[:, None]  # down
    write_pickle(tmp_path / "ramp.pkl", ramp)
    (tmp_path / "x.list").write_text("ramp.pkl")
    dataset = open_dataset(tmp_path / "x.list", training=True)
    seen = set()
    for epoch in range(30):
        ((batch,),) = TrainingLoader(dataset, 1, num_workers=0, as_float=False).epoch(epoch)
        frames = batch.inputs[0][0].reshape(6, 3, 32, 32).astype(int)
        assert np.abs(frames - frames[0]).max() <= 2
        across, down = frames[0, 0, 0], frames[0, 1, :, 0]
        flipped = across[0] > across[-1]
        seen.add((round(min(across) / 4), round(down[0] / 6), bool(flipped)))
    assert {flip for *_, flip in seen} == {True, False}
    assert len({x for x, *_ in seen}) > 8
    assert len({y for _, y, _ in seen}) > 4


def test_a_test_with_several_views_holds_them_one_after_another(clips):
    plain = read_all(open_dataset(clips), batch_size=6)[0]
    many = read_all(open_dataset(clips, num_clips=3, num_crops=10), batch_size=6)[0]
    assert (plain.views, many.views) == (1, 30)
    assert many.inputs[0].shape == (180, 3, 6, 32, 32)
    assert len(many) == 6
    views = many.inputs[0].reshape(6, 3, 10, 3, 6, 32, 32)
    np.testing.assert_array_equal(views[:, 1, 4], plain.inputs[0])  # the middle clip's centre crop
    np.testing.assert_array_equal(views[:, :, 5:], views[:, :, :5, ..., ::-1])
    assert open_dataset(clips, num_clips=3, num_crops=10).protocol == (
        "3 clips x 10 crops, 3 segments of 2 frames, 32 px of a short side of 40 px"
    )


def test_fast_decode_stays_close_to_the_exact_frames(tmp_path):
    write_pickle(tmp_path / "big.pkl", make_frames(4, width=400, height=300))
    (tmp_path / "x.list").write_text("big.pkl")
    exact, fast = (read_all(open_dataset(tmp_path / "x.list", fast_decode=on))[0].inputs[0] for on in (False, True))
    difference = np.abs(exact.astype(int) - fast)
    assert 0 < difference.mean() < 3


def write_frame(path, jpeg):
    """A pickle of one frame in a list of its own; gives the list."""
    path.write_bytes(pickle.dumps((path.stem, 1, [jpeg]), protocol=4))
    path.with_suffix(".list").write_text(path.name)
    return path.with_suffix(".list")


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_frames_are_not_turned_as_their_exif_data_say_as_in_2019(tmp_path, scale):
    image = make_frames(1, width=scale * 52, height=scale * 48)[0]
    exif, memory = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.fromarray(image).save(memory, "JPEG", quality=95, exif=exif)
    settings = ClipSettings(**TINY, fast_decode=scale > 1)
    entry = ListEntry(str(write_frame(tmp_path / "turned.pkl", memory.getvalue()).with_suffix(".pkl")))
    (frame,) = open_clip(entry, settings).read(np.arange, lambda frame: frame)
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


def expect_error(dataset_or_path, *parts, **settings):
    with pytest.raises(DataError) as error:
        read_all(open_dataset(dataset_or_path, **settings))
    for part in parts:
        assert part in str(error.value)


def test_every_bad_clip_is_an_error_that_names_list_line_and_file(clips):
    folder = clips.parent
    frame = encode_jpeg(make_frames(1)[0])
    bad = {
        "empty.mp4": b"",
        "text.mp4": b"not a video at all",
        "cut.pkl": pickle.dumps(("v", 1, [frame]), protocol=4)[:-200],
        "other.pkl": pickle.dumps({"video": 1}),
        "none.pkl": pickle.dumps(("v", 1, [])),
        "noframe.pkl": pickle.dumps(("v", 1, [b"xyz"])),
        "void.pkl": pickle.dumps(("v", 1, [b""])),
        "half.pkl": pickle.dumps(("v", 1, [frame[: len(frame) // 2]])),
        "far.pkl": pickle.dumps(("v", 5, [frame])),
        "unlabelled.pkl": pickle.dumps(("v", None, [frame])),
        "code.pkl": b"cos\nsystem\n(S'true'\ntR.",
        "code4.pkl": pickle.dumps(np.dtype),
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
        line = f"{name} 1" if name.endswith("mp4") else name
        (folder / "bad.list").write_text(f"p0.pkl\n{line}\n")
        expect_error(folder / "bad.list", "bad.list line 2", name)


def test_a_video_without_a_label_and_a_label_out_of_range_are_found_before_reading(clips):
    (clips.parent / "x.list").write_text("v 1.mp4\n")
    with pytest.raises(DataError, match=r"x\.list line 1.*no label"):
        open_dataset(clips.parent / "x.list")
    (clips.parent / "x.list").write_text("p0.pkl\nv 1.mp4 5\n")
    with pytest.raises(DataError, match=r"line 2: label 5 .* is not in 0 to 4"):
        open_dataset(clips.parent / "x.list")


def test_inference_needs_no_labels(clips):
    (clips.parent / "x.list").write_text("v 1.mp4\np1.pkl\n")
    (batch,) = read_all(open_dataset(clips.parent / "x.list", labels_needed=False))
    assert batch.ids == ["v 1", "p1"]
    assert batch.labels is None


def test_labels_of_another_set_of_classes_do_not_stop_inference(clips):
    """Whether they stand in the list or in a pickle. A batch has labels where all of its videos have."""
    write_pickle(clips.parent / "far.pkl", make_frames(3), label=5)
    (clips.parent / "x.list").write_text("v 0.mp4 0\np1.pkl\nv 1.mp4 4\np2.pkl 400\nv 2.mp4 573\nfar.pkl\nfar.pkl 3\n")
    batches = read_all(open_dataset(clips.parent / "x.list", labels_needed=False), batch_size=1)
    labels = [None if batch.labels is None else batch.labels.tolist() for batch in batches]
    assert labels == [[0], [1], [4], None, None, None, [3]]
    assert [len(batch) for batch in read_all(open_dataset(clips.parent / "x.list", labels_needed=False))] == [4, 3]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_workers", [0, 3])
def test_broken_clips_are_left_out_and_listed_up_to_the_number_allowed(clips, training, num_workers):
    (clips.parent / "v 1.mp4").write_bytes(b"broken")
    (clips.parent / "p2.pkl").write_bytes(b"\x80broken")
    heard = []
    dataset = open_dataset(clips, training=training, skip_broken=2)
    dataset.on_broken = heard.append
    for _ in range(2):  # another epoch neither counts nor tells them again
        batches = read_all(dataset, num_workers=num_workers)
        assert sorted(name for batch in batches for name in batch.ids) == ["p0", "p1", "v 0", "v 2"]
        assert all(len(batch.inputs[0]) == len(batch) for batch in batches)
    assert len(dataset.broken) == 2
    assert sorted(heard) == sorted(dataset.broken)
    assert "v 1.mp4" in dataset.broken[0]
    with pytest.raises(DataError, match="1 were skipped before it; --skip-broken"):
        read_all(open_dataset(clips, training=training, skip_broken=1))


def test_of_a_list_of_which_nothing_can_be_read_there_are_no_batches(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.pkl").write_bytes(b"\x80")
    (tmp_path / "x.list").write_text("0.pkl\n1.pkl\n2.pkl\n")
    expect_error(tmp_path / "x.list", "0.pkl")
    assert read_all(open_dataset(tmp_path / "x.list", skip_broken=3), batch_size=2) == []
