"""What a careless user types is one line that says what would work, and nothing is left or changed."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import clean_env, run_script

EXPORT = "tools/export/__main__"
BEST = "--weights=checkpoints/AttentionCluster_best"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A folder with an exported model, to be read only."""
    target = tmp_path_factory.mktemp("exported") / "out"
    run_script(EXPORT, BEST, str(target), cwd=trained, as_given=True)
    return target


def refusal_of(script, *flags, cwd):
    result = run_script(script, *flags, cwd=cwd, as_given=True, check=False)
    assert result.returncode in (1, 2)
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "the following arguments are required: FOLDER"),
        (["data"], "data is there already, and no export to replace: data holds no model.json"),
        (["tiny.txt"], "tiny.txt is there already, and no export to replace: tiny.txt is a file"),
        (["a new export", "--weights=nowhere"], "nowhere"),
        (["a new export", "--verify=no.list"], "file list no.list does not exist"),
        (["a new export", "--nproc=2"], "--nproc: an export is the work of one process"),
        (["."], " is there already, and no export to replace"),
        (["data/.."], " is there already, and no export to replace"),
        (["/"], "/ is there already, and no export to replace"),
        (["tiny.txt/out"], "tiny.txt/out could not be written"),
    ],
)
def test_an_export_is_refused_in_one_line_and_leaves_nothing(trained, flags, text):
    before = sorted(path.name for path in trained.iterdir())
    assert text in refusal_of(EXPORT, *([BEST] if "nowhere" not in str(flags) else []), *flags, cwd=trained)
    assert sorted(path.name for path in trained.iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([BEST], "give --export or --weights, one of them"),
        (["--engine=dygraph"], "an exported model is run by predictor or onnxruntime"),
        (["--engine=onnxruntime"], "holds no model.onnx; export it with --onnx"),
        (["--set=MODEL.seg_num=5"], "makes inputs of {'rgb': (5, 1024), 'audio': (5, 128)}, but the program in"),
        (["--model-name=TSN"], "holds AttentionCluster, but --model-name is TSN"),
    ],
)
def test_flags_that_do_not_go_with_an_exported_model_are_refused(trained, exported, flags, text):
    for script in ("infer", "test"):
        assert text in refusal_of(script, f"--export={exported}", *flags, cwd=trained)


def damage(folder, name, content):
    (folder / name).write_bytes(content) if content is not None else (folder / name).unlink()


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("model.json", None, "holds no model.json, so no exported model"),
        ("model.json", b"{", "model.json cannot be read"),
        ("model.json", b"[]", "model.json is not that of an exported model"),
        ("program.json", b"{}", "program.json is not what was exported, as model.json says"),
        ("program.pdiparams", None, "program.pdiparams cannot be read (No such file or directory)"),
        ("config.txt", b"[MODEL]\n", "config.txt is not what was exported"),
    ],
)
def test_a_folder_that_was_changed_is_refused(trained, exported, name, content, text, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "out")
    damage(folder, name, content)
    assert text in refusal_of("infer", f"--export={folder}", cwd=trained)


def test_a_card_of_another_version_or_with_a_path_is_refused(trained, exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "out")
    card = json.loads((folder / "model.json").read_text())
    for change, text in (
        ({"version": 99}, "is of version 99, and this program reads 1"),
        ({"sha256": card["sha256"] | {"../tiny.txt": ""}}, "names '../tiny.txt', which is no file beside it"),
        ({"sha256": {}}, "does not say which files belong to it"),
    ):
        (folder / "model.json").write_text(json.dumps(card | change))
        assert text in refusal_of("infer", f"--export={folder}", cwd=trained)


def test_something_else_than_an_exported_model_is_told(trained):
    for path, text in (("nowhere", "nowhere is not there"), ("tiny.txt", "is a file"), ("data", "holds no model.json")):
        assert text in refusal_of("infer", f"--export={path}", cwd=trained)


def test_an_earlier_export_is_replaced_unless_something_else_is_in_it(trained, exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "out")
    (folder / "notes.txt").write_text("mine")
    assert "holds notes.txt beside an export" in refusal_of(EXPORT, BEST, str(folder), cwd=trained)
    (folder / "notes.txt").unlink()
    left = folder.with_name(".out.replaced")
    folder.rename(left)  # as a run that was killed between the two leaves it
    run_script(EXPORT, BEST, str(folder), cwd=trained, as_given=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert (folder / "model.json").read_bytes() == (exported / "model.json").read_bytes()


def test_a_link_to_an_export_stays_one_and_leads_to_the_new_one(trained, exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "out")
    (tmp_path / "link").symlink_to("out")
    for _ in range(2):
        run_script(EXPORT, BEST, str(tmp_path / "link"), cwd=trained, as_given=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]
    assert (tmp_path / "link").is_symlink()
    written = [path.joinpath("model.json").stat().st_mtime_ns for path in (folder, exported)]
    assert written[0] != written[1]  # which a copy has alike


@pytest.mark.slow
def test_a_disk_without_room_is_told_with_the_folder_and_leaves_nothing(trained, exported, tmp_path):
    pytest.importorskip("resource", reason="limits of file sizes are on Unix alone")
    size = (exported / "program.pdiparams").stat().st_size // 2
    code = (
        f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
        f"sys.argv = ['export', {BEST!r}, {str(tmp_path / 'out')!r}]; "
        "runpy.run_module('tools.export', run_name='__main__')"
    )
    environment = clean_env() | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=trained, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 1
    assert f"error: {tmp_path / 'out'} could not be written: " in result.stderr.splitlines()[-1]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clips", "features"])
def test_an_example_tells_a_file_that_is_none_of_its_kind(exported, tmp_path, name):
    folder = shutil.copytree(exported, tmp_path / "out")
    example = ROOT / "tools/export/examples" / f"{name}.py"
    shutil.copyfile(example, folder / "example.py")
    card = json.loads((folder / "model.json").read_text())
    card["preprocessing"] |= {"crop_size": 8, "segments": 3, "frames_of_a_segment": 1}  # as the card of clips has
    (folder / "model.json").write_text(json.dumps(card))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("# no video")
    for files in (["empty"], ["text"], ["none"], [], ["text", "text"]):
        command = [sys.executable, str(folder / "example.py"), *files]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode == 1
        line = result.stderr.splitlines()[-1]
        assert ("python example.py" if len(files) != 1 else f"{files[0]} cannot be read as a ") in line
        assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_example_refuses_a_video_without_frames(exported, tmp_path):
    record = {"video": "v0", "feature": np.zeros((0, 1024), np.uint8), "audio": np.zeros((0, 128), np.uint8)}
    (tmp_path / "r.pkl").write_bytes(pickle.dumps([record]))
    command = [sys.executable, str(exported / "example.py"), str(tmp_path / "r.pkl")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "r.pkl: video v0 has no frames" in result.stderr.splitlines()[-1]
