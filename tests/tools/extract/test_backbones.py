"""Features of trained backbones: those of the network itself, and a model on features that learns from them."""

import json
import subprocess
import sys

import numpy as np
import pytest

import models  # noqa: F401
from datareader.clips.decoding import open_video
from datareader.clips.seconds import Pace, choose_frames, read_at_pace
from datareader.clips.settings import build_clip_settings
from datareader.extraction.backbone import use_backbone
from datareader.features.records import load_records
from tests.conftest import PROJECT, clean_env, run_script
from tests.datareader.clips.videos import Clip, make_clip
from tests.torch_files import tensors, zip_content
from tests.torch_resnets import resnet_arrays
from tools.config.load import load_config
from tools.registry import MODELS

pytestmark = pytest.mark.slow
LIST = [("0.mp4", 60, 0), ("1.mp4", 40, 1), ("2.mp4", 70, 0), ("3.mp4", 65, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Films, their list with classes, and a ResNet of torchvision."""
    folder = tmp_path_factory.mktemp("backbones")
    for name, count, _ in LIST:
        make_clip(folder, Clip(name, "libx264", num_frames=count, size=(96, 72)))
    (folder / "own.list").write_text("".join(f"{name} {label}\n" for name, _, label in LIST))
    (folder / "class_names.txt").write_text("even\nodd\n")
    (folder / "resnet50.pth").write_bytes(zip_content(tensors(resnet_arrays(50))))
    return folder


def extract(folder, *flags, check=True):
    env = clean_env() | {"PYTHONPATH": str(PROJECT), "PADDLE_VIDEO_PROGRAMS": str(folder / "programs")}
    command = [sys.executable, "-m", "tools.extract", *flags]
    return subprocess.run(command, cwd=folder, env=env, check=check, timeout=300, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_rows_are_what_the_network_s_backbone_gives(folder, name):
    from tests.tuned_paddle import paddle

    path = PROJECT / f"configs/demo/{name.lower()}.txt"
    spec = MODELS.get(name)()
    config = load_config(str(path), spec.schema, ["MODEL", "TEST"], name, [])
    paddle.seed(1)
    network = spec.build_network(config)
    network.eval()
    paddle.save(network.state_dict(), str(folder / f"{name}.pdparams"))
    flags = ["--weights", f"{name}.pdparams", "--model-name", name, "--config", str(path), "--every", "0.5"]
    extract(folder, *flags, "--video", "0.mp4", "1.mp4", "--output", name)
    records = load_records(str(folder / name / "features-00000.pkl"))
    pace = Pace(Pace().every_sec / 2, length=config.MODEL.seglen)
    sight = use_backbone(None, build_clip_settings(config, "TEST"), pace)
    for record, file in zip(records, ("0.mp4", "1.mp4"), strict=True):
        source = open_video(str(folder / file))
        rows = {row: sight.see(frames) for places, frames in read_at_pace(source, pace) for row in places}
        assert record["nframes"] == len(rows) == len(choose_frames(source.times, pace))
        seen = paddle.to_tensor(np.stack([rows[row] for row in sorted(rows)]))
        with paddle.no_grad():
            wanted = network.backbone()(seen).numpy()
        assert record["feature"].dtype == np.float16
        np.testing.assert_allclose(record["feature"], wanted, rtol=2e-3, atol=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("store", ["float16", "uint8"])
@pytest.mark.parametrize("name", ["AttentionCluster", "AttentionLSTM"])
def test_models_of_one_stream_learn_from_a_resnet_of_torchvision(folder, name, store):
    out = folder / f"{name}_{store}"
    config = ["--config", str(PROJECT / "configs/demo/tsn.txt"), "--segments", "4", "--store", store]
    flags = ["--weights", "resnet50.pth", "--model-name", "TSN", *config, "--filelist", "own.list"]
    said = extract(folder, *flags, "--output", str(out)).stdout
    assert "4 videos, 16 rows of features" in said
    lists = {"train.list": "features.list", "val.list": "features.list"}
    for path in lists:
        (out / path).write_text((out / "features.list").read_text())
    demo = {"AttentionCluster": "attention_cluster", "AttentionLSTM": "attention_lstm"}[name]
    text = (PROJECT / f"configs/demo/{demo}.txt").read_text().replace("dataset/youtube8m/demo", str(out))
    for before, after in (
        ("feature_num = 2", "feature_num = 1"),
        ("feature_names = ['rgb', 'audio']", "feature_names = ['rgb']"),
        ("feature_dims = [1024, 128]", "feature_dims = [2048]"),
        ("cluster_nums = [4, 4]", "cluster_nums = [4]"),
        ("num_classes = 20", "num_classes = 2"),
        ("topk = 20", "topk = 2"),
    ):
        text = text.replace(before, after)
    (out / "class_names.txt").write_text("even\nodd\n")
    (out / "config.txt").write_text(text)
    flags = [f"--model-name={name}", f"--config={out / 'config.txt'}"]
    run_script("train", *flags, "--epoch=2", "--batch-size=4", f"--save-dir={out / 'saved'}", cwd=folder)
    weights = f"--weights={out / 'saved' / f'{name}_best'}"
    run_script("test", *flags, weights, cwd=folder)
    run_script("infer", *flags, weights, f"--filelist={out / 'features.list'}", f"--save-dir={out}", cwd=folder)
    found = json.loads((out / f"{name}_infer_result.json").read_text())
    assert [item["id"] for item in found] == [file for file, _, _ in LIST]
    assert {best["name"] for item in found for best in item["classes"]} == {"even", "odd"}


def test_a_model_on_features_has_no_backbone(folder):
    (folder / "other.pdparams").write_bytes(b"")
    flags = ["--weights", "other.pdparams", "--model-name", "NEXTVLAD", "--video", "0.mp4", "--output", "none"]
    result = extract(folder, *flags, check=False)
    assert result.returncode == 1
    assert "NEXTVLAD takes features itself; TSN and STNET have a backbone" in result.stderr


def test_weights_of_a_resnet_alone_are_no_backbone_of_stnet(folder):
    flags = ["--weights", "resnet50.pth", "--model-name", "STNET", "--video", "0.mp4", "--output", "none"]
    result = extract(folder, *flags, "--config", str(PROJECT / "configs/demo/stnet.txt"), check=False)
    assert result.returncode == 1
    assert "--weights resnet50.pth: temporal1, temporal2 of the backbone of STNET are not in it" in result.stderr
    assert not (folder / "none" / "features.list").exists()


def test_nextvlad_learns_from_rgb_alone(folder):
    out = folder / "NEXTVLAD"
    config = ["--config", str(PROJECT / "configs/demo/tsn.txt"), "--segments", "4"]
    extract(
        folder,
        "--weights",
        "resnet50.pth",
        "--model-name",
        "TSN",
        *config,
        "--filelist",
        "own.list",
        "--output",
        str(out),
    )
    for path in ("train.list", "val.list"):
        (out / path).write_text((out / "features.list").read_text())
    text = (PROJECT / "configs/demo/nextvlad.txt").read_text().replace("dataset/youtube8m/demo", str(out))
    lines = [
        line for line in text.splitlines() if not line.startswith(("audio_feature_size", "eigen_file", "class_names"))
    ]
    text = "\n".join(lines).replace("video_feature_size = 1024", "video_feature_size = 2048\neigen_file = None")
    (out / "config.txt").write_text(
        text.replace("num_classes = 20", "num_classes = 2").replace("topk = 20", "topk = 2")
    )
    flags = ["--model-name=NEXTVLAD", f"--config={out / 'config.txt'}"]
    run_script("train", *flags, "--epoch=2", "--batch-size=4", f"--save-dir={out / 'saved'}", cwd=folder)
    run_script("test", *flags, f"--weights={out / 'saved' / 'NEXTVLAD_best'}", cwd=folder)
