"""test.py and infer.py with nothing but a checkpoint, and what they say where a config is given as well."""

import csv
import json
import pickle
import shutil

import pytest

from tests.conftest import run_script
from tools.config.load import load_config
from tools.inference.predictions import describe_mixture

BEST = "checkpoints/AttentionCluster_best"
DESCRIPTIONS = ("config.txt", "class_names.csv")
RESULTS = [f"AttentionCluster_infer_result{suffix}" for suffix in ("", ".json", ".csv")]


def run(script, *flags, cwd, **options):
    return run_script(script, *flags, cwd=cwd, as_given=True, **options)


def refusal_of(script, *flags, cwd):
    """The only line of a run that fails."""
    result = run(script, *flags, cwd=cwd, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def named(trained, tmp_path_factory):
    """``trained`` with weights whose classes had names."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("named") / "copy")
    (folder / "names.txt").write_text("".join(f'name {"abcdefghijkl"[i]}, "{i}"\n' for i in range(12)))
    run_script("train", "--epoch=1", "--set", "INFER.class_names='names.txt'", cwd=folder)
    return folder


def make_old(folder):
    """The checkpoint as versions before self-descriptions wrote it."""
    for name in DESCRIPTIONS:
        (folder / BEST / name).unlink(missing_ok=True)
    forget_sums(folder)
    path = folder / BEST / "state.json"
    state = json.loads(path.read_text())
    del state["versions"]
    path.write_text(json.dumps(state))


def forget_sums(folder):
    """Leave out the sums that a checkpoint of earlier versions did not have."""
    path = folder / BEST / "state.json"
    state = json.loads(path.read_text())
    state["files"] = {name: sums for name, sums in state["files"].items() if name not in (*DESCRIPTIONS, path.name)}
    path.write_text(json.dumps(state))


def test_a_checkpoint_has_its_settings_names_versions_and_scores(named):
    for name in ("AttentionCluster_best", "AttentionCluster_epoch0"):
        folder = named / "checkpoints" / name
        assert (folder / "config.txt").read_text() == (named / "checkpoints/AttentionCluster_config.txt").read_text()
        assert (folder / "class_names.csv").read_text().splitlines()[:2] == ["Index,Name", '0,"name a, ""0"""']
        state = json.loads((folder / "state.json").read_text())
        assert {"project", "paddle", "format"} == state["versions"].keys()
        assert {"hit_at_one", "gap"} <= state["valid"].keys()


def test_names_that_are_formulas_are_texts_in_the_csv_where_that_is_asked_for(named):
    (named / "formulas.txt").write_text("".join(f"=1+{number}\n" for number in range(12)))
    for flags, begin in ((["--save-dir=plain"], "="), (["--save-dir=safe", "--csv-safe"], "'=")):
        run("infer", f"--weights={BEST}", "--class-names=formulas.txt", *flags, cwd=named)
        folder = named / flags[0].removeprefix("--save-dir=")
        with open(folder / RESULTS[2], newline="") as file:
            assert all(row["name"].startswith(f"{begin}1+") for row in csv.DictReader(file))
        assert '"name": "=1+' in (folder / RESULTS[1]).read_text()
        shown = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        assert shown == sorted([*RESULTS, "AttentionCluster_infer_result_run.json"])
        assert describe_mixture(folder / RESULTS[0]) is None


def test_a_checkpoint_alone_infers_as_with_its_config(named):
    run_script("infer", f"--weights={BEST}", "--class-names=names.txt", "--save-dir=long", cwd=named)
    result = run("infer", f"--weights={BEST}", "--save-dir=short", cwd=named)
    assert f"settings and class names of {BEST}\n" in result.stdout
    for name in RESULTS:
        assert (named / "short" / name).read_bytes() == (named / "long" / name).read_bytes()
    assert json.loads((named / "short" / RESULTS[1]).read_text())[0]["classes"][0]["name"].startswith("name ")


def test_a_checkpoint_alone_is_tested_as_with_its_config(trained, tmp_path):
    outputs = [tmp_path / "long.json", tmp_path / "short.json"]
    run_script("test", f"--weights={BEST}", f"--output={outputs[0]}", cwd=trained)
    result = run("test", f"--weights={BEST}", f"--output={outputs[1]}", cwd=trained)
    assert f"settings of {BEST}\n" in result.stdout
    reports = [json.loads(path.read_text()) for path in outputs]
    assert reports[0] | {"config": ""} == reports[1] | {"config": ""}
    assert reports[1]["config"] == f"{BEST}/config.txt"


@pytest.mark.parametrize("file", ["model.pdparams", "averaged.pdparams"])
def test_a_file_of_weights_in_a_checkpoint_takes_the_settings_beside_it(trained_copy, file):
    shutil.copy(trained_copy / BEST / "model.pdparams", trained_copy / BEST / "averaged.pdparams")
    result = run("test", f"--weights={BEST}/{file}", cwd=trained_copy)
    assert f"settings of {BEST}\n" in result.stdout


def test_a_checkpoint_that_was_moved_needs_nothing_of_where_it_was_trained(named, tmp_path):
    shutil.copytree(named / BEST, tmp_path / "mine")
    shutil.copytree(named / "data", tmp_path / "other")
    (tmp_path / "new.list").write_text("other/val0.pkl\n")
    run("infer", "--weights=mine", "--filelist=new.list", cwd=tmp_path)
    items = json.loads((tmp_path / RESULTS[1]).read_text())
    assert len(items) == 10
    assert items[0]["classes"][0]["name"].startswith("name ")


def test_a_config_that_differs_in_what_changes_answers_is_told(named):
    same = run_script("infer", f"--weights={BEST}", cwd=named)
    assert "differs" not in same.stdout
    text = (
        (named / "tiny.txt")
        .read_text()
        .replace("seg_num = 8", "seg_num = 6")
        .replace("batch_size = 4", "batch_size = 5")
    )
    (named / "other.txt").write_text(text)
    result = run("infer", f"--weights={BEST}", "--config=other.txt", cwd=named)
    assert (
        "other.txt differs from what the weights were trained with: MODEL.seg_num = 6 (trained with 8)\n"
        in result.stdout
    )


def test_flags_that_change_answers_are_told(named):
    result = run("infer", f"--weights={BEST}", "--set", "MODEL.seg_num=6", cwd=named)
    assert (
        "the command line differs from what the weights were trained with: MODEL.seg_num = 6 (trained with 8)\n"
        in result.stdout
    )


def test_names_of_a_config_that_are_not_those_of_the_checkpoint_are_told(named):
    (named / "others.txt").write_text("".join(f"other {'abcdefghijkl'[i]}\n" for i in range(12)))
    result = run("infer", f"--weights={BEST}", "--config=tiny.txt", "--class-names=others.txt", cwd=named)
    assert "others.txt names 12 of 12 classes otherwise than the weights were trained with" in result.stdout
    assert "class 0 is 'other a' there, 'name a, \"0\"' in the checkpoint" in result.stdout


def test_the_flags_come_before_the_settings_of_the_checkpoint(named, tmp_path):
    run("infer", f"--weights={BEST}", "--set", "INFER.filelist='data/train.list'", "--infer-topk=1",
        f"--save-dir={tmp_path}", cwd=named)  # fmt: skip
    assert len(pickle.loads((tmp_path / RESULTS[0]).read_bytes())) == 24


def test_a_checkpoint_of_an_earlier_version_works_with_a_config_and_says_its_model(trained_copy):
    make_old(trained_copy)
    result = run("test", f"--weights={BEST}", "--config=tiny.txt", "--output=scores.json", cwd=trained_copy)
    before = f"{BEST} holds no config.txt, as those of earlier versions: "
    assert f"{before}whether tiny.txt is what it was trained with is not known\n" in result.stdout
    result = run("test", f"--weights={BEST}", cwd=trained_copy, check=False)
    assert f"{before}the settings are those of " in result.stdout
    assert "file list" in result.stderr  # of the model's own config, as ever


def test_a_run_without_test_and_inference_in_its_config_can_be_tested_and_infers(tiny):
    text = (tiny / "tiny.txt").read_text()
    (tiny / "short.txt").write_text(text[: text.index("[TEST]")])
    run("train", "--config=short.txt", "--epoch=1", cwd=tiny)  # whose [MODEL] says which model it is
    run("test", f"--weights={BEST}", "--output=scores.json", cwd=tiny)
    run("infer", f"--weights={BEST}", cwd=tiny)
    config = load_config(str(tiny / BEST / "config.txt"), schema_of("AttentionCluster"), ["INFER"], "AttentionCluster")
    assert config.INFER.filelist == config.VALID.filelist


def schema_of(name):
    import models  # noqa: F401  (registers the specs)
    from tools.registry import MODELS

    return MODELS.get(name)().schema


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "error: which model? Pass --model-name (AttentionCluster, AttentionLSTM,"),
        (["--weights=nothing"], "error: nothing does not exist"),
        (["--weights=data/val0.pkl"], "error: data/val0.pkl"),
        ([f"--weights={BEST}", "--model-name=TSN"], f"error: {BEST} holds AttentionCluster, but --model-name is TSN"),
        (
            [f"--weights={BEST}", "--config=tsn.txt"],
            f"error: {BEST} holds AttentionCluster, but tsn.txt is a config of TSN",
        ),
        (["--config=nameless.txt"], "error: nameless.txt [MODEL] has no name; add one, or pass --model-name"),
    ],
)
def test_what_does_not_say_its_model_is_one_line(trained_copy, flags, text):
    (trained_copy / "nameless.txt").write_text("[MODEL]\nnum_classes = 12\n")
    (trained_copy / "tsn.txt").write_text('[MODEL]\nname = "TSN"\n')
    for script in ("test", "infer"):
        assert refusal_of(script, *flags, cwd=trained_copy).startswith(text)


def test_weights_of_2019_do_not_say_their_model(trained_copy):
    (trained_copy / "loose.pdparams").write_bytes((trained_copy / BEST / "model.pdparams").read_bytes())
    assert "loose.pdparams does not say which model it is; pass --model-name (Att" in refusal_of(
        "test", "--weights=loose.pdparams", cwd=trained_copy
    )


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("config.txt", b"[MODEL]\n", "config.txt: section [INFER] is missing"),
        ("class_names.csv", b"Index,Name\n0,a\n", "class_names.csv names 1 of 12 classes"),
        ("state.json", b'{"versions": {"project": "9.1", "format": 3}}', "is in format 3, written by version 9.1"),
        ("state.json", b"[]", "state.json holds a list"),
    ],
)
def test_a_checkpoint_with_a_file_that_is_damaged_is_refused_by_its_name(trained_copy, file, content, text):
    forget_sums(trained_copy)
    (trained_copy / BEST / file).write_bytes(content)
    assert text in refusal_of("infer", f"--weights={BEST}", cwd=trained_copy)


def test_a_changed_or_lost_setting_of_a_checkpoint_is_refused_with_what_works(trained_copy):
    config = trained_copy / BEST / "config.txt"
    text = config.read_text()
    advice = (
        "take another checkpoint, or for the weights alone a copy of model.pdparams in another folder, with --config"
    )
    for change in ("drop_rate = 0.5", None):
        config.write_text(f"{text}\n[MODEL]\n{change}\n") if change else config.unlink()
        assert refusal_of("test", f"--weights={BEST}", cwd=trained_copy) == (
            f"error: {BEST}/config.txt is damaged: its size or checksum is not what state.json says; {advice}"
        )
    (trained_copy / "weights alone").mkdir()
    shutil.copy(trained_copy / BEST / "model.pdparams", trained_copy / "weights alone")
    (trained_copy / "config.txt").write_text(text)
    run("test", "--weights=weights alone/model.pdparams", "--config=config.txt", cwd=trained_copy)
