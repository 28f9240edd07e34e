"""infer.py names the classes of weights in the form of 2019, and of no others."""

import csv
import subprocess
import sys

import pytest

import tests.tuned_paddle  # noqa: F401
from tests.conftest import PROJECT, clean_env, run_script
from tests.datareader.clips.synthetic import make_frames, write_video
from tests.test_clip_scripts import CONFIG
from tools.weights.released_names import KINETICS_NAMES

MODEL = ["--model-name=TSN", "--config=tsn.txt"]
NAMES = KINETICS_NAMES.read_text().splitlines()


def answer(folder, *flags):
    """What was printed, and the best class's id and name."""
    shown = run_script("infer", *MODEL, "--filelist=films.list", "--engine=dygraph", *flags, cwd=folder).stdout
    with open(folder / "TSN_infer_result.csv") as file:
        first = next(csv.DictReader(file))
    return shown, int(first["class_id"]), first["name"]


@pytest.mark.slow
def test_weights_in_the_form_of_2019_tell_the_classes_of_kinetics_unless_others_are_named(tmp_path):
    import paddle

    from models.tsn.tsn import TSN

    network = TSN(50, 400, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    paddle.save(network.state_dict(), str(tmp_path / "own.pdparams"))
    (tmp_path / "tsn.txt").write_text(CONFIG.replace("num_classes = 6", "num_classes = 400"))
    write_video(tmp_path / "one.mp4", make_frames(10))
    (tmp_path / "films.list").write_text("one.mp4\n")
    convert = [sys.executable, "-m", "tools.weights", "convert", str(tmp_path / "own.pdparams"), str(tmp_path / "2019")]
    flags = [MODEL[0], f"--config={tmp_path}/tsn.txt", "--to=fluid"]
    subprocess.run([*convert, *flags], cwd=PROJECT, env=clean_env(), check=True, timeout=120)

    shown, class_id, name = answer(tmp_path, "--weights=2019")
    assert "class names: those of Kinetics-400, as 2019 has the form of the released weights" in shown
    assert f", one: {NAMES[class_id]} " in shown
    assert name == NAMES[class_id]

    (tmp_path / "mine.txt").write_text("".join(f"mine {number:03}a\n" for number in range(400)))
    shown, class_id, name = answer(tmp_path, "--weights=2019", "--class-names=mine.txt")
    assert ("Kinetics" in shown, name) == (False, f"mine {class_id:03}a")

    shown, _, name = answer(tmp_path, "--weights=own.pdparams")
    assert "classes have ids only, as no names are known; --class-names FILE takes some" in shown
    assert name == ""
