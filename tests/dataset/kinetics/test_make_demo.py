"""The demo clips: the same every time, whole videos, and of classes that only the order of frames tells apart."""

import subprocess
import sys
from itertools import pairwise

import av
import numpy as np
import pytest

from dataset.demo import is_finished
from dataset.kinetics import make_demo
from tests.conftest import PROJECT
from tests.dataset.programs import start
from tools.errors import ConfigError

SCRIPT = PROJECT / "dataset" / "kinetics" / "make_demo.py"
COUNTS = {"train": 2, "val": 1}  # clips a class
PAIRS = [("rising", "sinking"), ("growing", "shrinking")]


def run(folder, cwd):
    return subprocess.run([sys.executable, SCRIPT, folder], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    make_demo.make_demo(folder, make_demo.encode_h264, COUNTS)
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def decode(path):
    """All frames of a video (T, H, W, 3) uint8 RGB, and its stream's codec, frame count and rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        facts = stream.codec_context.name, stream.frames, stream.average_rate
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), facts


def test_it_is_the_same_every_time(demo, tmp_path):
    make_demo.make_demo(tmp_path, make_demo.encode_h264, COUNTS)
    assert files(tmp_path) == files(demo)


def test_every_clip_is_a_whole_video_of_the_stated_frames(demo):
    paths = sorted(demo.rglob("*.mp4"))
    assert len(paths) == 6 * 3
    lengths, shapes = set(), set()
    for path in paths:
        frames, (codec, count, rate) = decode(path)
        assert (codec, rate) == ("h264", 25)
        assert len(frames) == count
        lengths.add(count)
        shapes.add(frames.shape[1:])
    assert min(lengths) >= 30
    assert max(lengths) <= 60
    assert len(lengths) > 5
    assert all(64 <= height <= 80 <= width <= 96 or height == width == 72 for height, width, _ in shapes)
    assert len(shapes) > 3


def test_the_lists_hold_every_clip_once_with_its_label(demo):
    names = (demo / "class_names.txt").read_text().split()
    assert names == sorted(make_demo.CLASSES) == list(make_demo.CLASSES)
    for split, count in COUNTS.items():
        rows = [line.split() for line in (demo / f"{split}.list").read_text().splitlines()]
        assert len(rows) == 6 * count
        assert {path for path, _ in rows} == {f"{split}/{path.name}" for path in (demo / split).iterdir()}
        for path, label in rows:
            assert path.startswith(f"{split}/{names[int(label)]}_")


def test_the_list_to_infer_from_names_clips_without_labels(demo):
    paths = (demo / "infer.list").read_text().splitlines()
    assert len(paths) == 6
    assert all((demo / path).is_file() for path in paths)
    assert all(path.startswith("val/") for path in paths)


def test_a_clip_is_what_was_drawn_but_for_what_the_encoder_loses(demo):
    for label, name in enumerate(make_demo.CLASSES):
        drawn = make_demo.draw_clip(name, np.random.default_rng([2019, 0, label, 1]))
        frames, _ = decode(demo / "train" / f"{name}_01.mp4")
        assert frames.shape == drawn.shape
        assert np.abs(frames.astype(float) - drawn).mean() < 25  # colours are kept at half the size


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_one_class_of_a_pair_is_the_other_played_backwards(name, other):
    for seed in range(4):
        forwards = make_demo.draw_clip(name, np.random.default_rng(seed), noise=0)
        backwards = make_demo.draw_clip(other, np.random.default_rng(seed), noise=0)[::-1]
        np.testing.assert_array_equal(forwards, backwards)
        assert not np.array_equal(forwards, backwards[::-1])


def flow(frames, direction):
    """How much a clip moves along a direction (H, W), (H, W): the sign of least squares over its neighbours."""
    gray = frames.mean(axis=-1)
    total = 0.0
    for before, after in pairwise(gray):
        dy, dx = np.gradient((before + after) / 2)
        slope = dy * direction[0] + dx * direction[1]
        step = np.clip(before - after, -20, 20)  # so that a sudden jump counts little
        total += np.sign((step * slope).sum())
    return total


def test_neighbouring_frames_of_the_files_tell_the_pairs_apart(demo):
    for pair in PAIRS:
        for sign, name in zip((-1, 1), pair, strict=True):
            for path in demo.glob(f"*/{name}_*.mp4"):
                frames, _ = decode(path)
                height, width = frames.shape[1:3]
                y, x = np.indices((height, width), dtype=float)
                down = (np.ones_like(y), np.zeros_like(x))
                inwards = (height / 2 - y, width / 2 - x)
                assert sign * flow(frames, down if "sinking" in pair else inwards) > 0, path


def test_left_and_right_do_not_tell_which_way_stripes_drift():
    right = (0.0, 1.0)
    flows = [flow(make_demo.draw_clip("stripes", np.random.default_rng(seed)), right) for seed in range(12)]
    assert min(flows) < 0 < max(flows)


def test_a_second_run_from_anywhere_finds_it_made(demo, tmp_path):
    before = files(demo)
    result = run(demo, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{demo} is there already\n"
    assert files(demo) == before


def test_what_was_interrupted_does_not_count_as_made_and_is_made_again(demo, tmp_path):
    written = []

    def encode(frames):
        if len(written) == 8:
            raise KeyboardInterrupt
        written.append(frames)
        return make_demo.encode_h264(frames)

    with pytest.raises(KeyboardInterrupt):
        make_demo.make_demo(tmp_path, encode, COUNTS)
    assert not is_finished(tmp_path, make_demo.VERSION)
    assert len(files(tmp_path)) == 8  # whole clips, and nothing half written
    make_demo.make_demo(tmp_path, make_demo.encode_h264, COUNTS)
    assert is_finished(tmp_path, make_demo.VERSION)
    assert files(tmp_path) == files(demo)


def test_without_pyav_clips_are_written_by_opencv(monkeypatch, tmp_path):
    pytest.importorskip("cv2")
    clip = make_demo.draw_clip("rising", np.random.default_rng(0))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        encode, name = make_demo.find_encoder()
        data = encode(clip)
    assert name.startswith("MPEG-4 by OpenCV")
    (tmp_path / "clip.mp4").write_bytes(data)
    frames, (codec, count, rate) = decode(tmp_path / "clip.mp4")
    assert (codec, count, rate) == ("mpeg4", len(clip), 25)
    assert frames.shape == clip.shape
    assert np.abs(frames.astype(float) - clip).mean() < 25


def test_without_any_encoder_the_error_says_what_to_install(monkeypatch, tmp_path):
    for module in ("av", "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"^neither PyAV nor OpenCV is here to write videos; pip install av$"):
        start(monkeypatch, make_demo, tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    result = run(SCRIPT, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {SCRIPT} cannot be written")
    assert "Traceback" not in result.stderr
