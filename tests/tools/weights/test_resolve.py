"""Which weights a run begins with or is tested with: --pretrain, pretrain_base, the released ones."""

import json
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT, clean_env, run_script
from tests.released_server import Page
from tests.tools.weights.golden_networks import NAMES
from tests.tools.weights.run_command import run_tool
from tools.config.load import Override, load_config
from tools.errors import CheckpointError, ConfigError, DownloadError
from tools.registry import MODELS
from tools.weights.fluid_files import write_folder
from tools.weights.resolve import choose_pretrain

pytestmark = pytest.mark.usefixtures("no_sync")


def stnet_config(tmp_path, base, num_layers=50):
    spec = MODELS.get("STNET")
    overrides = [
        Override("TRAIN", "pretrain_base", base, "test"),
        Override("MODEL", "num_layers", num_layers, "test"),
    ]
    return load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", "TRAIN"], "STNET", overrides)


def chosen(config, pretrain=None, weights_dir=None):
    return choose_pretrain(pretrain, config, weights_dir=weights_dir, offline=True)


def test_pretrain_base_is_used_if_it_is_there_and_pretrain_comes_before_it(tmp_path, log_lines):
    config = stnet_config(tmp_path, str(tmp_path))
    assert chosen(config) == ("TRAIN.pretrain_base", str(tmp_path))
    assert chosen(config, pretrain="x") == ("--pretrain", "x")
    assert chosen(stnet_config(tmp_path, None)) is None
    assert log_lines == []
    with pytest.raises(CheckpointError, match=r"pretrain_base = .*/no does not exist; a path to weights"):
        chosen(stnet_config(tmp_path, f"{tmp_path}/no"))


def test_the_released_resnet_is_no_base_for_a_deeper_one(tmp_path):
    config = stnet_config(tmp_path, "ResNet50_pretrained", num_layers=101)
    with pytest.raises(ConfigError, match=r"has 50 layers, and MODEL.num_layers is 101; .*pretrain_base=None"):
        chosen(config, weights_dir=str(tmp_path))
    assert chosen(config, pretrain="x") == ("--pretrain", "x")


def test_the_released_resnet_is_looked_for_in_the_cache_where_the_config_s_folder_is_not_there(tmp_path):
    config = stnet_config(tmp_path, "./dataset/pretrained/ResNet50_pretrained")
    with pytest.raises(DownloadError) as error:
        chosen(config, weights_dir=str(tmp_path))
    for part in ("[TRAIN]", "ResNet50_pretrained.tar.gz", str(tmp_path), "TRAIN.pretrain_base=None starts from random"):
        assert part in str(error.value)
    write_folder(tmp_path / "ResNet50_pretrained", {"conv1_weights": np.zeros((2, 3, 1, 1), np.float32)})
    assert chosen(config, weights_dir=str(tmp_path)) == (
        "TRAIN.pretrain_base",
        str(tmp_path / "ResNet50_pretrained"),
    )


def test_without_weights_the_released_ones_are_fetched_once_and_scored(trained, server, tmp_path, monkeypatch, capsys):
    """A checkpoint stands in for the release: as an archive of variables on a server."""
    folder = tmp_path / "attention_cluster_youtube8m"
    best = str(trained / "checkpoints" / "AttentionCluster_epoch0")
    options = ["--model-name=AttentionCluster", f"--config={trained}/tiny.txt", "--to=fluid"]
    run_tool(monkeypatch, capsys, "convert", best, folder, *options)
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    server.pages["/attention_cluster_youtube8m.tar.gz"] = Page((tmp_path / "packed.tar.gz").read_bytes())
    cache = f"--weights-dir={tmp_path / 'cache'}"
    for _ in range(2):
        run_script("test", cache, f"--output={tmp_path}/released.json", cwd=trained)
    assert len(server.requests) == 1
    run_script("test", f"--weights={best}", f"--output={tmp_path}/own.json", cwd=trained)
    released, own = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("released", "own"))
    assert released["scores"] == own["scores"]


@pytest.mark.parametrize("flags", [(), ("--offline",)])
def test_without_weights_and_network_one_line_says_what_to_fetch_and_where_to_put_it(flags, tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", "http://127.0.0.1:9/")  # nothing listens there
    monkeypatch.setenv("PADDLE_WEIGHTS_DIR", str(tmp_path / "cache"))
    began = time.monotonic()
    command = [sys.executable, str(PROJECT / "test.py"), "--model-name=TSN", *flags]
    result = subprocess.run(command, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, check=False)
    assert time.monotonic() - began < 60
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    for part in ("http://127.0.0.1:9/tsn_kinetics.tar.gz", str(tmp_path / "cache")):
        assert part in line


def test_pretrain_base_has_no_effect_on_models_without_a_trunk():
    for name in NAMES:
        live = "pretrain_base" in MODELS.get(name).schema.keys("TRAIN")
        assert live == (name in ("TSN", "STNET"))
