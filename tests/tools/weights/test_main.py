"""python -m tools.weights: show and convert."""

import numpy as np
import paddle
import pytest

from tests.tools.weights.golden_networks import golden_arrays, write_weights
from tests.tools.weights.run_command import run_tool
from tools.errors import CheckpointError
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import load_weights
from tools.weights.loading import load_into_network

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.mark.parametrize("name", ["NEXTVLAD", "AttentionCluster"])
def test_converting_there_and_back_keeps_every_bit(name, golden, tmp_path, monkeypatch, capsys):
    run = golden(name)
    arrays = golden_arrays(run)
    if name == "NEXTVLAD":
        arrays["eigen_param"] = run.network.whitening.numpy()
    write_weights("folder", tmp_path / "old", arrays)
    config = tmp_path / "golden.txt"
    config.write_text(run.numbers["config"])
    options = ["--model-name", name.lower(), "--config", config]
    text = run_tool(
        monkeypatch, capsys, "convert", tmp_path / "old", tmp_path / "new.pdparams", *options, "--to=paddle"
    )
    assert f"{len(run.network.released_names)} matched, 0 missing" in text
    run_tool(monkeypatch, capsys, "convert", tmp_path / "new.pdparams", tmp_path / "back", *options, "--to=fluid")
    assert {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "back").iterdir()
    }
    loaded = paddle.load(str(tmp_path / "new.pdparams"))
    for own, value in network_arrays(run.network).items():
        np.testing.assert_array_equal(loaded[own], value)
    load_into_network(run.network, load_weights(str(tmp_path / "new.pdparams"), name))


def test_converting_overwrites_nothing_and_leaves_nothing_behind_when_it_fails(golden, tmp_path, monkeypatch, capsys):
    write_weights("folder", tmp_path / "old", golden_arrays(golden("NEXTVLAD")))
    with pytest.raises(CheckpointError, match="old exists and is left as it is"):
        run_tool(
            monkeypatch, capsys, "convert", tmp_path / "old", tmp_path / "old", "--model-name=NEXTVLAD", "--to=fluid"
        )
    with pytest.raises(CheckpointError, match=r"logits_clf_weights \[16, 17\] for \[2048, 3862\]"):
        run_tool(
            monkeypatch, capsys, "convert", tmp_path / "old", tmp_path / "x", "--model-name=NEXTVLAD", "--to=fluid"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_show_lists_names_shapes_types_and_totals(golden, tmp_path, monkeypatch, capsys):
    run = golden("NEXTVLAD")
    arrays = golden_arrays(run)
    write_weights("folder", tmp_path / "w", arrays)
    (tmp_path / "w" / "README").write_text("x")
    lines = run_tool(monkeypatch, capsys, "show", tmp_path / "w").splitlines()
    assert lines[0] == f"{tmp_path}/w: folder of Fluid variables"
    assert "audio_fc_group_attention_b  float32  [8]" in lines
    assert lines[-2].startswith("41 arrays; ")
    assert lines[-1] == "not variables: README"
    write_weights("single file", tmp_path / "f", arrays)
    assert "it does not say its names" in run_tool(monkeypatch, capsys, "show", tmp_path / "f")
    (tmp_path / "golden.txt").write_text(run.numbers["config"])
    options = ["--model-name=NEXTVLAD", "--config", tmp_path / "golden.txt"]
    assert "audio_fc_group_attention_b" in run_tool(monkeypatch, capsys, "show", tmp_path / "f", *options)
