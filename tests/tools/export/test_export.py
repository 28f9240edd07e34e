"""An exported model answers as the network that it was made of: in infer.py, in test.py, and by its own example."""

import json

import numpy as np
import pytest

from tests.conftest import run_script
from tests.tools.export.made_models import FILMS, MODEL_NAMES, MadeModel

LONG = pytest.mark.slow
ONNX = ("AttentionCluster", "NEXTVLAD", "STNET", "TSN")  # those whose operators paddle2onnx has


def require_same(found, expected, most):
    assert found.keys() == expected.keys()
    for name, probs in expected.items():
        assert found[name].keys() == probs.keys()
        assert max(abs(found[name][class_id] - prob) for class_id, prob in probs.items()) < most
        assert max(found[name], key=found[name].get) == max(probs, key=probs.get)


def require_example(made, target, expected):
    """The example's five best classes of every video are those of infer.py."""
    for path in made.files:
        printed = made.run_example(target, path)
        rows = [line.split() for line in printed if line[:2] in ("0.", "1.")]
        titles = [line for line in printed if line[:2] not in ("0.", "1.")] or [path.stem]
        assert len(rows) == 5 * len(titles)
        for i, title in enumerate(titles):
            best = sorted(expected[title].items(), key=lambda item: -item[1])[:5]
            for (prob, class_id, *_), (expected_id, expected_prob) in zip(rows[5 * i : 5 * i + 5], best, strict=True):
                assert int(class_id) == expected_id
                assert float(prob) == pytest.approx(expected_prob, abs=2e-5)


@pytest.mark.parametrize(
    "name", [name if name == "AttentionCluster" else pytest.param(name, marks=LONG) for name in MODEL_NAMES]
)
def test_an_exported_model_answers_as_infer_py_for_any_batch_size(name, tmp_path):
    made = MadeModel(name, tmp_path, is_small=True)
    shown = made.export("out").stdout
    assert "no best class changed" in shown
    expected = made.infer("--engine=dygraph", *made.flags)
    for batch_size in (1, 7):
        found = made.infer("--export=out", "--filelist=videos.list", f"--batch-size={batch_size}")
        require_same(found, expected, 1e-5)
    require_example(made, "out", expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_at_the_published_size_too_and_a_second_export_is_the_same_bytes(name, tmp_path):
    made = MadeModel(name, tmp_path, is_small=False)
    shown = made.export("out").stdout
    assert "no best class changed" in shown
    assert float(shown.split("largest difference of a probability ")[1].split(",")[0]) < 1e-4
    expected = made.infer("--engine=dygraph", *made.flags)
    require_same(made.infer("--export=out", "--filelist=videos.list"), expected, 1e-5)
    require_example(made, "out", expected)
    made.export("again")
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == files


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_onnx_runtime_answers_so_where_the_model_can_be_converted(name, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    made = MadeModel(name, tmp_path, is_small=True)
    done = made.export("out", "--onnx", "--verify=videos.list", check=name in ONNX)
    if name not in ONNX:
        (line,) = done.stderr.splitlines()
        assert line == "error: paddle2onnx cannot convert program.json: it has no operator addmm, while"
        assert not (tmp_path / "out").exists()
        return
    assert "model.onnx: largest difference of a probability" in done.stdout
    expected = made.infer("--engine=dygraph", *made.flags)
    found = made.infer("--export=out", "--engine=onnxruntime", "--filelist=videos.list", "--batch-size=3")
    require_same(found, expected, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"keep_aspect": True, "fast_decode": True},
        {"short_size": 48, "target_size": 48, "seg_num": 20},
    ],
    ids=str,
)
def test_the_example_does_what_the_settings_say(settings, tmp_path):
    made = MadeModel("TSN", tmp_path, is_small=True, **settings)
    made.export("out", "--verify=videos.list")
    expected = made.infer("--engine=dygraph", *made.flags)
    assert len(expected) == len(FILMS)
    require_example(made, "out", expected)
    require_same(made.infer("--export=out", "--filelist=videos.list"), expected, 1e-5)


def test_a_checkpoint_is_exported_with_its_settings_and_tested(trained, tmp_path):
    def run(script, *flags):
        return run_script(script, *flags, cwd=trained, as_given=True).stdout

    target = tmp_path / "deep" / "out"
    shown = run("tools/export/__main__", "--weights=checkpoints/AttentionCluster_best", str(target))
    assert "exported to" in shown
    card = json.loads((target / "model.json").read_text())
    assert card["model"] == "AttentionCluster"
    assert [part["name"] for part in card["inputs"]] == ["rgb", "audio"]
    scores = []
    for flags in (["--weights=checkpoints/AttentionCluster_best"], [f"--export={target}"]):
        run("test", *flags, f"--output={tmp_path / 'scores.json'}", "--log-interval=0")
        scores.append(json.loads((tmp_path / "scores.json").read_text())["scores"])
    assert scores[0].keys() == scores[1].keys()
    np.testing.assert_allclose([*scores[1].values()], [*scores[0].values()], rtol=1e-4)
