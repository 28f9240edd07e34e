"""Checkpoints with damage in any of their files: refused with one line, or as they were."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from tests.mutants import mutants, refusal_of
from tools.errors import CheckpointError
from tools.training.checkpoint import CheckpointStore, Progress, load_checkpoint
from tools.weights.files import load_weights
from tools.weights.self_description import find_self_description

WEIGHTS = {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
AVERAGED = {"fc.weight": np.ones((2, 3), np.float32)}
COMPANIONS = {"config.txt": b'[MODEL]\nname = "TSN"\n', "class_names.csv": b"Index,Name\n0,a\n"}
PROGRESS = Progress(8, 77, 40, 1, epoch=3, step=5, steps_taken=700, best_score=0.5, best_epoch=2, best_loss=1.25)
FILES = ["averaged.pdparams", "class_names.csv", "config.txt", "model.pdparams", "optimizer.pdopt", "state.json"]


@pytest.fixture
def saved(tmp_path):
    store = CheckpointStore(str(tmp_path), "TSN", companions=COMPANIONS)
    path = store.save(WEIGHTS, {"steps": 1}, PROGRESS, AVERAGED)
    store.add_to_state(path, valid={"top1": 12.5})
    assert sorted(file.name for file in path.iterdir()) == FILES
    return path


def require_as_saved(path):
    """The checkpoint is what was saved, in all ways of reading it; raises CheckpointError where it is refused."""
    checkpoint = load_checkpoint(path, "TSN")
    assert asdict(checkpoint.progress) == asdict(PROGRESS)
    assert checkpoint.optimizer == {"steps": 1}
    for found, expected in ((checkpoint.weights, WEIGHTS), (checkpoint.averaged, AVERAGED)):
        np.testing.assert_array_equal(found["fc.weight"], expected["fc.weight"])


def require_as_trained(path):
    """As above, of what a test and an inference read."""
    described = find_self_description(str(path))
    assert described.model_name == "TSN"
    for given, expected in ((path, WEIGHTS), (path / "averaged.pdparams", AVERAGED)):
        np.testing.assert_array_equal(load_weights(str(given), "TSN").arrays["fc.weight"], expected["fc.weight"])
    for name, content in COMPANIONS.items():
        assert (path / name).read_bytes() == content


def refusal(require, path):
    """The one line of a refusal, which names the folder or a file in it; None where all is as it was."""
    text = refusal_of(require, path)
    assert text is None or str(path) in text
    return text


@pytest.mark.parametrize(("number", "seed"), [(60, 0), pytest.param(3000, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_damage_to_any_file_is_refused_or_changes_nothing(saved, name, number, seed):
    whole = (saved / name).read_bytes()
    for mutant in mutants(whole, number, seed):
        (saved / name).write_bytes(mutant)
        refused = refusal(require_as_saved, saved)
        if name != "optimizer.pdopt":
            refusal(require_as_trained, saved)
        same = name == "state.json" and json_or_none(mutant) == json.loads(whole)  # a space is another
        assert refused or same


def json_or_none(content):
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_listed_and_gone_is_refused(saved, name):
    (saved / name).unlink()
    expected = "holds no training state" if name == "state.json" else f"{name} is damaged"
    assert expected in refusal(require_as_saved, saved)


@pytest.mark.parametrize(
    "change",
    [{"steps_taken": 701}, {"epoch": 2}, {"step": 6}, {"best_score": 0.6}, {"seed": 78}, {"model": "STNET"}],
    ids=str,
)
def test_facts_changed_in_a_state_are_refused_with_what_works(saved, change):
    state = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps(state | change))
    expected = (
        f"{saved}/state.json is damaged: its content is not what its own checksum says; take another checkpoint, or "
        "for the weights alone a copy of model.pdparams in another folder, with --config"
    )
    for require in (require_as_saved, require_as_trained):
        assert refusal(require, saved) == expected
    copy = saved.parent / "copy" / "model.pdparams"
    copy.parent.mkdir()
    shutil.copyfile(saved / "model.pdparams", copy)
    np.testing.assert_array_equal(load_weights(str(copy), "TSN").arrays["fc.weight"], WEIGHTS["fc.weight"])


@pytest.mark.parametrize("name", ["", "../x", "/dev/zero", "two\nlines"])
def test_a_state_that_lists_what_no_checkpoint_holds_is_refused(saved, name):
    state = json.loads((saved / "state.json").read_text())
    state["files"][name] = state["files"].pop("state.json")
    (saved / "state.json").write_text(json.dumps(state))
    for require in (require_as_saved, require_as_trained):
        assert refusal(require, saved).startswith(f"{saved}/state.json is damaged: ")


def test_a_state_is_not_added_to_once_it_is_damaged(saved, tmp_path):
    state = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps(state | {"epoch": 9}))
    with pytest.raises(CheckpointError, match=r"state\.json is damaged"):
        CheckpointStore(str(tmp_path / "other"), "TSN").add_to_state(saved, best_score=1.0)
    assert json.loads((saved / "state.json").read_text())["epoch"] == 9
