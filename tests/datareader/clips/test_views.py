"""What the network sees of clips: against 2019, random views of training, and several views of a test."""

import json

import numpy as np
import pytest

from datareader.clips.files import open_clip
from datareader.clips.settings import ClipSettings
from datareader.clips.views import decode_views
from datareader.lists import ListEntry
from datareader.loader import TrainingLoader
from datareader.sampling import sample_segment_frames
from datareader.transforms import crop_frame, draw_crop, scale_size
from tests.datareader.clips.synthetic import STD, TINY, open_dataset, read_all, write_pickle
from tests.datareader.clips.videos import cut_packet, read_sequential
from tests.golden_inputs import GOLDEN

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


@pytest.mark.pyav
@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_video_is_sampled_again_from_the_frames_it_has_and_its_crop_is_drawn_once(folder, h264, seed):
    path = cut_packet(h264, folder / "damaged.mkv", 12)
    everything, num_frames = read_sequential(path, np.arange)
    assert num_frames < 30
    settings = ClipSettings(**TINY)
    seg_num, seglen, size = settings.seg_num, settings.seglen, settings.target_size
    rng = np.random.default_rng(seed)
    sample_segment_frames(30, seg_num, seglen, rng)  # of 30 frames, as the packets say
    scaled = scale_size(64, 48, settings.short_size, keep_aspect=False)
    crop = draw_crop(*scaled, size, rng)
    numbers = sample_segment_frames(num_frames, seg_num, seglen, rng)
    expected = [crop_frame(everything[i], crop, scaled, size).transpose(2, 0, 1) for i in numbers.ravel()]

    out = np.empty((1, seg_num, 3 * seglen, size, size), np.uint8)
    seen = decode_views(out, open_clip(ListEntry(path, label=1), settings), settings, np.random.default_rng(seed))
    np.testing.assert_array_equal(out.reshape(-1, 3, size, size), expected)
    np.testing.assert_array_equal(seen.frames, [numbers])
    assert (seen.num_frames, seen.size, seen.scaled, seen.crops) == (num_frames, (64, 48), scaled, (crop,))
