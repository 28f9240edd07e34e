"""train.py, test.py and infer.py on clips: engines, testing protocols, broken clips, and resuming."""

import csv
import json
import pickle
import shutil
import signal

import numpy as np
import pytest

from tests.conftest import run_script, start_script
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.terminal import run_on_terminal
from tests.test_train import assert_same_bits, wait_for
from tests.torch_files import tensors, zip_content
from tests.torch_resnets import resnet_arrays
from tools.files.pickles import load_pickle
from tools.runtime.cpu import describe_bf16, has_amx

CONFIG = """
[MODEL]
name = "TSN"
format = "pkl"
num_classes = 6
seg_num = 2
seglen = 1
image_mean = [0.485, 0.456, 0.406]
image_std = [0.229, 0.224, 0.225]
num_layers = 50

[TRAIN]
epoch = 1
short_size = 40
target_size = 32
batch_size = 4
learning_rate = 0.001
learning_rate_decay = 0.1
l2_weight_decay = 1e-4
momentum = 0.9
total_videos = "auto"
pretrain_base = None
buf_size = 1024
filelist = "clips.list"

[VALID]
short_size = 40
target_size = 32
batch_size = 8
filelist = "clips.list"

[TEST]
short_size = 40
target_size = 32
batch_size = 3
filelist = "clips.list"

[INFER]
short_size = 40
target_size = 32
batch_size = 2
filelist = "plain.list"
"""
FLAGS = ("--model-name=TSN", "--config=tsn.txt")
WEIGHTS = "--weights=checkpoints/TSN_epoch0"


@pytest.fixture(scope="module")
def kept_programs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PADDLE_VIDEO_PROGRAMS", str(tmp_path_factory.mktemp("programs")))
        yield


@pytest.fixture(scope="module")
def trained_clips(tmp_path_factory, kept_programs):
    """A folder with a config, eight clips, and TSN after an epoch on them; to be read only."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "tsn.txt").write_text(CONFIG)
    lines = []
    for i in range(4):
        write_pickle(folder / f"p{i}.pkl", make_frames(6 + 4 * i, seed=i), label=i)
        write_video(folder / f"a video {i}.mp4", make_frames(6 + 4 * i, seed=9 + i))
        lines += [f"p{i}.pkl", f"a video {i}.mp4 {i}"]
    (folder / "clips.list").write_text("\n".join(lines) + "\n")
    (folder / "plain.list").write_text("".join(f"a video {i}.mp4\n" for i in range(4)))
    run_script("train", *FLAGS, "--valid-interval=0", cwd=folder)
    return folder


@pytest.fixture
def clips_copy(trained_clips, tmp_path):
    """A copy of ``trained_clips`` that a test may change."""
    return shutil.copytree(trained_clips, tmp_path / "copy", ignore=shutil.ignore_patterns("*.pdopt"))


def probabilities(folder, *flags):
    """Video -> probabilities by class, from infer.py's CSV; and what it printed."""
    shown = run_script("infer", *FLAGS, WEIGHTS, "--infer-topk=0", *flags, cwd=folder).stdout
    with open(folder / "TSN_infer_result.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        found.setdefault(row["id"], np.zeros(6))[int(row["class_id"])] = float(row["probability"])
    return found, shown


def test_videos_of_one_name_are_told_apart_by_path_and_line_and_answers_are_shown_on_a_terminal(clips_copy):
    for place, video in (("cam1", 0), ("cam2", 1)):
        (clips_copy / place).mkdir()
        shutil.copy(clips_copy / f"a video {video}.mp4", clips_copy / place / "0001.mp4")
    (clips_copy / "same.list").write_text("# cameras\ncam1/0001.mp4\ncam2/0001.mp4\n")
    flags = (*FLAGS, WEIGHTS, "--filelist=same.list", "--engine=dygraph", "--infer-topk=1")
    code, shown = run_on_terminal("infer", *flags, cwd=clips_copy, columns=60)
    assert code == 0
    assert "[INFER] iter 0   , 0001: class " in shown
    assert "2 of 2 videos share their id with another (0001: 2 of them)" in shown
    with open(clips_copy / "TSN_infer_result.csv", newline="") as file:
        places = [(row["id"], row["path"], row["line"]) for row in csv.DictReader(file)]
    assert places == [("0001", "cam1/0001.mp4", "2"), ("0001", "cam2/0001.mp4", "3")]
    assert [video for video, *_ in pickle.loads((clips_copy / "TSN_infer_result").read_bytes())] == ["0001", "0001"]


def test_plain_video_paths_are_inferred_alike_in_all_engines_and_nearly_so_in_bf16(clips_copy):
    fast, shown = probabilities(clips_copy, "--engine=predictor")
    assert "exported for the inference engine" in shown
    assert list(fast) == [f"a video {i}" for i in range(4)]
    exact, _ = probabilities(clips_copy, "--engine=dygraph")
    usual, shown = probabilities(clips_copy)
    assert "exported" not in shown
    rough, shown = probabilities(clips_copy, "--precision=bf16", "--engine=predictor")
    assert "exported" not in shown  # the program is kept
    assert f"--precision bf16: {describe_bf16()}" in shown
    for name, probs in exact.items():
        for other in (fast, usual):
            np.testing.assert_allclose(other[name], probs, atol=1e-4)
            assert other[name].argmax() == probs.argmax()
        np.testing.assert_allclose(rough[name], probs, atol=0.1)


@pytest.mark.skipif(not has_amx(), reason="this processor has no AMX")
def test_a_processor_with_amx_trains_and_infers_in_bf16(clips_copy):
    exact, _ = probabilities(clips_copy)
    rough, shown = probabilities(clips_copy, "--precision=bf16")
    assert f"--precision bf16: {describe_bf16()}" in shown
    assert any((rough[name] != exact[name]).any() for name in exact)
    for name, probs in exact.items():
        np.testing.assert_allclose(rough[name], probs, atol=0.1)
    flags = (*FLAGS, "--epoch=1", "--valid-interval=0", "--conv-engine=onednn")
    for amp in ("off", "bf16"):
        run_script("train", *flags, f"--amp={amp}", f"--save-dir={amp}", cwd=clips_copy)
    assert '"--amp": "bf16"' in (clips_copy / "bf16/TSN_epoch0/state.json").read_text()
    weights = [(clips_copy / amp / "TSN_epoch0/model.pdparams").read_bytes() for amp in ("off", "bf16")]
    assert weights[0] != weights[1]


def test_lists_with_labels_of_another_set_of_classes_are_inferred_too(clips_copy):
    plain, _ = probabilities(clips_copy, "--engine=dygraph")
    lines = [f"a video {i}.mp4 {label}\n" for i, label in enumerate((573, 0, 6, -1))]
    (clips_copy / "plain.list").write_text("".join(lines))
    labelled, _ = probabilities(clips_copy, "--engine=dygraph")
    assert plain.keys() == labelled.keys()
    for name, probs in plain.items():
        np.testing.assert_array_equal(labelled[name], probs)


def test_a_test_shows_its_protocol_and_writes_accuracies_by_class(trained_clips, tmp_path):
    flags = ("--set=TEST.num_clips=2", "--set=TEST.num_crops=3", "--set=TEST.seg_num=3", "--engine=dygraph")
    shown = run_script("test", *FLAGS, WEIGHTS, *flags, f"--output={tmp_path}/out.json", cwd=trained_clips).stdout
    protocol = "2 clips x 3 crops, 3 segments of 1 frame, 32 px of a short side of 40 px"
    assert f"evaluated 8 of 8 records: {protocol}" in shown
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["protocol"] == protocol
    assert report["scores"].keys() == {"loss", "top1_acc", "top5_acc", "top1_low", "top1_high"}
    assert [(row["class_id"], row["videos"]) for row in report["per_class"]] == [(i, 2) for i in range(4)]
    assert sum(row["videos"] for row in report["confusions"]) == round(8 - 0.08 * report["scores"]["top1_acc"])


def test_a_corrupt_clip_stops_training_with_its_name_or_is_left_out_as_allowed(clips_copy):
    (clips_copy / "a video 2.mp4").write_bytes(b"\0" * 5000)
    flags = (*FLAGS, "--save-dir=other", "--valid-interval=0")
    stopped = run_script("train", *flags, cwd=clips_copy, check=False)
    assert stopped.returncode == 1
    (line,) = stopped.stderr.splitlines()[-1:]
    assert line.startswith("error: clips.list line 6: a video 2.mp4 is not a video")
    shown = run_script("train", *flags, "--skip-broken=1", cwd=clips_copy).stdout
    assert shown.count("[TRAIN] skipped: clips.list line 6") == 1
    shown = run_script("test", *FLAGS, WEIGHTS, "--skip-broken=1", "--engine=dygraph", cwd=clips_copy).stdout
    assert "evaluated 7 of 8 records" in shown


def test_steps_and_epochs_none_of_whose_clips_can_be_read(clips_copy):
    for i in range(4):
        (clips_copy / f"a video {i}.mp4").write_bytes(b"\0" * 5000)
    flags = (*FLAGS, "--save-dir=other", "--valid-interval=0", "--batch-size=1", "--log-interval=1")
    shown = run_script("train", *flags, "--skip-broken=4", cwd=clips_copy).stdout
    assert shown.count("none of its videos can be read") == 4
    assert "[TRAIN] Epoch 0 done" in shown
    (clips_copy / "clips.list").write_text("".join(f"a video {i}.mp4 {i}\n" for i in range(4)))
    stopped = run_script("train", *flags, "--skip-broken=4", cwd=clips_copy, check=False)
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[-1] == "error: none of the videos of epoch 0 can be read"


@pytest.mark.slow
def test_a_run_resumed_before_steps_without_a_clip_that_can_be_read_ends_its_epoch(clips_copy):
    flags = (*FLAGS, "--save-dir=other", "--valid-interval=0", "--batch-size=1", "--log-interval=1", "--skip-broken=8")
    process = start_script("train", *flags, cwd=clips_copy)
    wait_for(process, "iter 0 ")
    process.send_signal(signal.SIGINT)
    process.communicate()
    for path in clips_copy.glob("*[0-9].*"):
        path.write_bytes(b"\0" * 5000)
    shown = run_script("train", *flags, "--resume=auto", cwd=clips_copy).stdout
    assert "iter 7   , none of its videos can be read" in shown
    assert "saved other/TSN_epoch0 in" in shown


def test_a_training_begins_with_torchvision_s_resnet_and_its_checkpoint_is_like_any_other(clips_copy):
    """At a rate of 0, so that what is saved is what it began with."""
    arrays = resnet_arrays(50)
    (clips_copy / "resnet50.pth").write_bytes(zip_content({"model": tensors(arrays), "epoch": 89}))
    flags = (*FLAGS, "--save-dir=other", "--pretrain=resnet50.pth", "--learning-rate=0")
    shown = run_script("train", *flags, cwd=clips_copy).stdout
    for line in (
        "265 matched, 0 missing, 0 unexpected, 0 mismatched",
        "the weights are those under 'model'",
        "a ResNet-50 by the names of torchvision and timm",
        "newly initialised, classifier: fc.weight, fc.bias",
    ):
        assert f"--pretrain resnet50.pth: {line}\n" in shown
    with open(clips_copy / "other/TSN_epoch0/model.pdparams", "rb") as file:
        saved = load_pickle(file)
    np.testing.assert_array_equal(saved["trunk.conv1.conv.weight"], arrays["conv1.weight"])
    np.testing.assert_array_equal(saved["trunk.stages.3.2.branch2c.norm.bias"], arrays["layer4.2.bn3.bias"])
    shown = run_script("test", *FLAGS, "--weights=other/TSN_best", "--engine=dygraph", cwd=clips_copy).stdout
    assert "267 matched, 0 missing" in shown


@pytest.mark.slow
def test_a_killed_run_of_tsn_resumes_with_the_same_bits(clips_copy):
    flags = (*FLAGS, "--epoch=2", "--valid-interval=0", "--threads=1", "--save-every=1")
    run_script("train", *flags, "--save-dir=whole", cwd=clips_copy)
    process = start_script("train", *flags, "--save-dir=cut", cwd=clips_copy)
    wait_for(process, "saved cut/TSN_epoch0_step1")
    process.kill()
    process.communicate()
    run_script("train", *flags, "--save-dir=cut", "--resume=auto", cwd=clips_copy)
    assert_same_bits(clips_copy / "whole/TSN_epoch1", clips_copy / "cut/TSN_epoch1")


def test_bf16_needs_an_engine_that_computes_in_it(trained_clips):
    flags = ("--precision=bf16", "--engine=dygraph")
    result = run_script("test", *FLAGS, WEIGHTS, *flags, cwd=trained_clips, check=False)
    assert result.returncode == 1
    assert "--precision bf16 needs --engine predictor or onednn" in result.stderr


def test_a_broken_clip_of_validation_stops_a_run_before_its_first_step(clips_copy):
    """And with as many as may be skipped, training, test and inference leave it out from the start."""
    (clips_copy / "val.list").write_text("p0.pkl\na video 1.mp4 1\n")
    whole = (clips_copy / "a video 1.mp4").read_bytes()
    (clips_copy / "a video 1.mp4").write_bytes(whole[: len(whole) // 2])
    (clips_copy / "clips.list").write_text("".join(f"p{i}.pkl\n" for i in range(4)))
    flags = (*FLAGS, "--save-dir=other", "--set=VALID.filelist=val.list", "--set=TEST.filelist=val.list")
    stopped = run_script("train", *flags, cwd=clips_copy, check=False)
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[-1].startswith("error: val.list line 2: a video 1.mp4 is not a video (")
    assert stopped.stderr.splitlines()[-1].endswith("; --skip-broken 1 would skip such")
    assert "[TRAIN] Epoch 0" not in stopped.stdout
    shown = run_script("train", *flags, "--skip-broken=1", cwd=clips_copy).stdout
    assert shown.index("[VALID] skipped: val.list line 2") < shown.index("[TRAIN] Epoch 0")
    assert not list(clips_copy.glob("*.looked.npz"))  # of a few clips nothing is remembered
