"""test.py and infer.py, the flags, and how every bad input ends."""

import csv
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import PROJECT, clean_env, run_script, script_command

BEST = "--weights=checkpoints/AttentionCluster_best"


def test_scores_do_not_depend_on_batch_size_or_workers_and_every_record_counts(trained):
    reports = []
    for batch_size, workers in ((7, 4), (64, 0)):
        flags = [f"--batch-size={batch_size}", f"--num-workers={workers}", "--output=scores.json"]
        result = run_script("test", BEST, *flags, cwd=trained)
        assert "evaluated 21 of 21 records" in result.stdout
        reports.append(json.loads((trained / "scores.json").read_text()))
    assert reports[1]["scores"] == pytest.approx(reports[0]["scores"], abs=1e-6)
    state = json.loads((trained / "checkpoints/AttentionCluster_best/state.json").read_text())
    assert reports[0]["scores"] == pytest.approx(state["valid"], abs=1e-6)


def test_a_script_started_from_nothing_does_the_same_as_one_that_is_forked(trained):
    forked = run_script("test", BEST, "--output=forked.json", cwd=trained)
    command = [sys.executable, *script_command("test", [BEST, "--output=started.json"])]
    env = clean_env() | {"OMP_NUM_THREADS": "1"}
    started = subprocess.run(command, cwd=trained, env=env, capture_output=True, text=True, check=True)
    shown = [
        [line for line in text.splitlines() if not line.startswith("CPU:")] for text in (forked.stdout, started.stdout)
    ]
    assert shown[0] == shown[1]
    assert forked.stderr == started.stderr == ""
    assert (trained / "forked.json").read_bytes() == (trained / "started.json").read_bytes()


def test_infer_writes_the_pickle_of_2019_with_json_and_csv_beside_it(trained):
    (trained / "names.txt").write_text("\n".join(f"name {i}" for i in range(12)) + "\n")
    run_script("infer", BEST, "--infer-topk=3", "--class-names=names.txt", "--save-dir=out", cwd=trained)
    base = trained / "out" / "AttentionCluster_infer_result"
    results = pickle.loads(base.read_bytes())
    assert [video for video, _, _ in results] == [f"val0_{i}" for i in range(10)] + [f"val1_{i}" for i in range(11)]
    for _, probs, classes in results:
        assert (len(probs), len(classes)) == (3, 3)
        assert all(type(p) is float for p in probs)
        assert all(type(c) is int for c in classes)
        assert probs == sorted(probs, reverse=True)
    nested = json.loads((trained / "out" / "AttentionCluster_infer_result.json").read_text())
    with open(trained / "out" / "AttentionCluster_infer_result.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    first = {
        "rank": 1,
        "class_id": results[0][2][0],
        "name": f"name {results[0][2][0]}",
        "probability": results[0][1][0],
    }
    assert nested[0]["classes"][0] == first
    assert {key: nested[10][key] for key in ("id", "path", "line")} == {"id": "val1_0", "path": "val1.pkl", "line": 2}
    texts = {key: str(value) for key, value in first.items()}
    assert rows[0] == {"id": "val0_0", **texts, "path": "val0.pkl", "line": "1"}
    assert len(rows) == 63


def test_infer_keeps_all_classes_with_topk_0_and_needs_no_labels(trained):
    records = pickle.loads((trained / "data/val0.pkl").read_bytes())
    record = {key.encode(): value for key, value in records[0].items() if key != "label"}
    record[b"video"] = record[b"video"].encode()
    (trained / "one.pkl").write_bytes(pickle.dumps(record, protocol=2))  # one record, keys of Python 2, no label
    (trained / "one.list").write_text("one.pkl\n")
    run_script("infer", BEST, "--filelist=one.list", "--infer-topk=0", "--save-dir=one", cwd=trained)
    ((video, probs, classes),) = pickle.loads((trained / "one/AttentionCluster_infer_result").read_bytes())
    assert video == "val0_0"
    assert sorted(classes) == list(range(12))
    assert len(probs) == 12


def test_the_config_s_batch_size_holds_unless_the_flag_is_given(trained):
    many = run_script("infer", BEST, "--save-dir=out", cwd=trained)
    assert many.stdout.count("[INFER] iter") == 6  # 21 records in fours
    one = run_script("infer", BEST, "--save-dir=out", "--batch-size=21", cwd=trained)
    assert one.stdout.count("[INFER] iter") == 1


def test_yaml_configs_any_case_of_the_name_and_the_dead_flags_work(trained):
    (trained / "tiny.yaml").write_text(
        "MODEL: {drop_rate: 0.5, feature_num: 2, feature_names: [rgb, audio], feature_dims: [1024, 128], seg_num: 8,\n"
        "        cluster_nums: [2, 2], num_classes: 12}\n"
        "TRAIN: {epoch: 1, learning_rate: 1e-3, batch_size: 8, filelist: data/train.list}\n"
    )
    flags = ["--no-use-pyreader", "--no-memory-optimize", "--valid-interval=0", "--save-dir=yaml"]
    result = run_script("train", "--model-name=ATTENTIONCLUSTER", "--config=tiny.yaml", *flags, cwd=trained)
    assert result.stdout.count("has no effect any more") == 2
    assert (trained / "yaml" / "AttentionCluster_epoch0").is_dir()


@pytest.mark.parametrize("value", ["false", "False", "0", "no"])
def test_use_gpu_takes_every_spelling_of_no(trained, value):
    assert run_script("test", BEST, f"--use-gpu={value}", "--help", cwd=trained).returncode == 0


def test_a_gpu_asked_for_where_there_is_none_is_an_error(trained):
    import paddle

    if paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count():
        pytest.skip("this machine has a GPU")
    result = run_script("test", BEST, "--use-gpu=yes", cwd=trained, check=False)
    assert result.returncode == 1
    assert "error: --use-gpu: Paddle" in result.stderr
    assert run_script("test", BEST, "--verbose", cwd=trained).stdout.count("running on the CPU") == 1
    assert "no GPU" not in run_script("test", BEST, "--verbose", "--use-gpu=false", cwd=trained).stdout


def test_what_is_the_same_at_every_start_is_shown_only_when_asked_for(trained, tmp_path):
    (tmp_path / "obsolete.txt").write_text((trained / "tiny.txt").read_text().replace("topk", "num_gpus = 8\ntopk"))
    flags = (BEST, f"--config={tmp_path / 'obsolete.txt'}")
    quiet, verbose = (run_script("test", *flags, *more, cwd=trained).stdout for more in ((), ("--verbose",)))
    kept = [line for line in verbose.splitlines() if not line.startswith(("CPU: ", "no GPU")) and "2019" not in line]
    assert kept == quiet.splitlines()
    assert "without effect since 2019: MODEL.num_gpus" in verbose
    assert "CPU: " in verbose


BAD_INPUTS = [  # flags, and a part of the line
    (["--config=gone.txt"], "error: config gone.txt does not exist; the published ones are in configs/"),
    (
        ["--set", "TEST.batch_sise=1"],
        "error: --set TEST.batch_sise: unknown key 'batch_sise'; did you mean 'batch_size'?",
    ),
    (["--use-gpu=maybe"], "test.py: error: argument --use-gpu: 'maybe' is not one of true, false, 1, 0, yes, no"),
    (["--batch-size=some"], "test.py: error: argument --batch-size: 'some' is not a whole number of 0 or more"),
    (["--batch-size=0"], "error: --batch-size: batch_size = 0 should be at least 1"),
    (["--batch_size=1"], "unrecognized arguments: --batch_size=1; did you mean --batch-size? --help shows all"),
    (["--batch-size=99999999999999999999"], "argument --batch-size: 99999999999999999999 is too large"),
    (["--model-name=AttentionClusters"], "error: no model named 'AttentionClusters'; known: AttentionCluster"),
    (["--weights=data"], "error: data holds no weights (model.pdparams, or variables); it holds "),
    (["--weights=gone"], "error: gone does not exist; give a checkpoint folder such as AttentionCluster_epoch0"),
    (
        ["--weights=checkpoints"],
        "name one of the checkpoints in it: AttentionCluster_best, AttentionCluster_epoch0",
    ),
    (["--weights=other"], "error: other holds TSN, but --model-name is AttentionCluster"),
    (["--set", "TEST.filelist=empty.list"], "error: file list empty.list names no files"),
    (["--set", "TEST.filelist=gone.list"], "error: file list gone.list does not exist"),
    (["--set", "TEST.filelist=dangling.list"], "error: dangling.list line 1: no file gone.pkl"),
    (["--set", "TEST.filelist=truncated.list"], "error: truncated.pkl is not a whole pickle"),
    (
        ["--set", "TEST.filelist=code.list"],
        "error: code.pkl is not a data file and was not loaded: it names posix.system",
    ),
    (["--set", "TEST.filelist=narrow.list"], "feature is 1000 wide, but the config says 1024"),
    (["--set", "TEST.filelist=label.list"], "label 5000 is not in 0 to 11 (num_classes)"),
    (["--set", "MODEL.feature_names=['rgb', 'flow']"], "feature_names has 'flow'; records hold rgb, audio"),
    (["--set", "MODEL.seg_num=lots"], "error: --set MODEL.seg_num: seg_num = 'lots' should be a whole number"),
    (["--set", "MODEL.num_classes=13"], "does not fit this network: 12 matched"),
    (["--output=tiny.txt/scores.json"], "error: --output tiny.txt/scores.json cannot be written"),
]


@pytest.mark.parametrize(("flags", "message"), BAD_INPUTS)
def test_a_bad_input_ends_with_one_clear_line_and_no_traceback(trained, flags, message):
    record = pickle.loads((trained / "data/val0.pkl").read_bytes())[0]
    files = {
        "truncated": pickle.dumps([record], protocol=4)[:5000],
        "code": b"cposix\nsystem\n(S'touch ran'\ntR.",
        "narrow": pickle.dumps([record | {"feature": np.zeros((9, 1000), np.uint8)}], protocol=4),
        "label": pickle.dumps([record | {"label": [5000]}], protocol=4),
    }
    for name, content in files.items():
        (trained / f"{name}.pkl").write_bytes(content)
        (trained / f"{name}.list").write_text(f"{name}.pkl\n")
    (trained / "empty.list").write_text("\n")
    (trained / "dangling.list").write_text("gone.pkl\n")
    (trained / "other").mkdir(exist_ok=True)
    (trained / "other/state.json").write_text('{"model": "TSN"}')

    weights = [] if "--weights" in flags[0] else [BEST]
    result = run_script("test", *weights, *flags, cwd=trained, check=False)
    assert result.returncode in (1, 2)
    last = result.stderr.strip().splitlines()[-1]
    assert message in last
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error:") == 1
    assert not (trained / "ran").exists()


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("train", ["--save-dir=tiny.txt"], "error: --save-dir tiny.txt cannot be written"),
        (
            "train",
            ["--resume=checkpoints"],
            "error: checkpoints holds no weights (model.pdparams, or variables); name",
        ),
        ("train", ["--resume=gone"], "error: gone does not exist"),
        ("train", ["--resume=a", "--pretrain=b"], "--pretrain begins a run and --resume continues one"),
        ("train", ["--batch-size=64"], "has 24 records, which do not fill one training batch of 64"),
        ("infer", [BEST, "--class-names=tiny.txt"], "error: class names tiny.txt has "),
        ("infer", [BEST, "--save-dir=tiny.txt"], "error: --save-dir tiny.txt cannot be written"),
        ("infer", ["--offline", "--weights-dir=cache"], "attention_cluster_youtube8m.tar.gz"),
    ],
)
def test_a_bad_flag_of_train_or_infer_ends_the_same_way(trained, script, flags, message):
    result = run_script(script, *flags, cwd=trained, check=False)
    assert result.returncode in (1, 2)
    assert message in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_skipped_records_are_listed_and_the_count_says_so(trained):
    records = pickle.loads((trained / "data/val0.pkl").read_bytes())
    records[2]["label"] = [5000]
    (trained / "mixed.pkl").write_bytes(pickle.dumps(records, protocol=4))
    (trained / "mixed.list").write_text("mixed.pkl\n")
    result = run_script("test", BEST, "--set", "TEST.filelist=mixed.list", "--skip-broken=1", cwd=trained)
    assert "[TEST] skipped: mixed.pkl record 2 (video val0_2): label 5000" in result.stdout
    assert "evaluated 9 of 10 records" in result.stdout


def test_what_was_printed_before_an_error_is_not_lost_in_a_file(tmp_path):
    program = "from tools.runtime.entry import run_program\nfrom tools.errors import DataError\n"
    program += "def main():\n    print('found')\n    raise DataError('no room')\nrun_program(main)\n"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open(tmp_path / "out", "w") as out:
        result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env=env, stdout=out, check=False)
    assert result.returncode == 1
    assert (tmp_path / "out").read_text() == "found\n"


def test_averaged_weights_beside_those_of_a_checkpoint_are_told_of(trained_copy):
    best = trained_copy / "checkpoints/AttentionCluster_best"
    (best / "averaged.pdparams").write_bytes((best / "model.pdparams").read_bytes())
    shown = run_script("test", BEST, cwd=trained_copy).stdout
    averaged = "checkpoints/AttentionCluster_best/averaged.pdparams"
    assert f"holds averaged weights too, which --weights {averaged} takes" in shown
    assert "too, which" not in run_script("test", f"--weights={averaged}", cwd=trained_copy).stdout


@pytest.mark.parametrize("kind", ["train", "test", "infer"])
def test_the_shell_scripts_pass_their_flags_on_from_any_folder(tmp_path, kind):
    script = PROJECT / "scripts" / kind / f"{kind}_AttentionCluster.sh"
    env = {**clean_env(), "PYTHON": sys.executable}
    result = subprocess.run(
        ["bash", script, "--help"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert "--skip-broken" in result.stdout


@pytest.mark.parametrize("script", ["quickstart.sh", "run_tests.sh"])
def test_the_two_commands_have_help_and_refuse_a_wrong_python(tmp_path, script):
    command = ["bash", str(PROJECT / "scripts" / script)]
    result = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "3.10 to 3.13" in result.stdout or "PYTHON=" in result.stdout
    env = {**os.environ, "PYTHON": "/bin/false"}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env, check=False)
    assert result.returncode == 1
    assert "error: PYTHON=/bin/false is not a Python 3.10, 3.11, 3.12 or 3.13" in result.stderr


def test_the_quickstart_refuses_unknown_arguments_and_models(tmp_path):
    command = ["bash", str(PROJECT / "scripts/quickstart.sh")]
    for flags, message in (
        (["--modle=x"], "unknown argument --modle=x"),
        (["--model", "x"], "no demo for a model named x"),
    ):
        result = subprocess.run([*command, *flags], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert message in result.stderr


PYTHON_STUB = """#!/bin/sh
case $1$2 in
    -mvenv) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    -mpip) echo "$*" >> pip.log ;;
    *) exec {python} -c "import sys; sys.version_info = {version}
sys.modules.update(dict.fromkeys({lacks}))
$2" ;;
esac
"""


def make_python(path, minor, *lacks):
    """A command that passes for a Python 3.{minor} without some modules; it makes environments with itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PYTHON_STUB.format(python=sys.executable, version=(3, minor, 0), lacks=list(lacks)))
    path.chmod(0o755)
    return path


def prepare_environment(folder, python=None):
    """Run prepare_environment of the scripts in a folder, with ``python`` as PYTHON or first in the path."""
    (folder / "requirements.txt").touch()
    first = make_python(folder / "bin/python3", 12)
    env = {**clean_env(), "PATH": f"{first.parent}{os.pathsep}{os.environ['PATH']}", "PYTHON": str(python or "")}
    command = f"set -euo pipefail; source {PROJECT}/scripts/environment.sh; prepare_environment requirements.txt"
    return subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_an_environment_is_made_once_and_anew_for_another_version(tmp_path):
    first, again = prepare_environment(tmp_path), prepare_environment(tmp_path)
    assert first.stdout == "making .venv with Python 3.12 (python3)\ninstalling requirements.txt\n"
    assert (again.returncode, again.stdout) == (0, "")
    other = make_python(tmp_path / "python", 13)
    assert "making .venv with Python 3.13" in prepare_environment(tmp_path, other).stdout
    assert prepare_environment(tmp_path, other).stdout == ""


def test_an_environment_whose_making_was_broken_off_is_made_anew(tmp_path):
    prepare_environment(tmp_path)
    (tmp_path / ".venv/bin/python").unlink()
    assert "making .venv" in prepare_environment(tmp_path).stdout
    assert (tmp_path / ".venv/bin/python").exists()


def test_an_environment_of_others_is_used_if_it_has_a_supported_python_with_pip(tmp_path):
    make_python(tmp_path / ".venv/bin/python", 11)
    for _ in range(2):  # what was installed into it does not make it this script's
        result = prepare_environment(tmp_path)
        assert (result.returncode, "making" in result.stdout) == (0, False)
    assert (tmp_path / "pip.log").exists()
    assert "(3, 11, 0)" in (tmp_path / ".venv/bin/python").read_text()


@pytest.mark.parametrize(
    ("minor", "lacks", "asked", "message"),
    [
        (11, ["pip"], None, "has no Python 3.10, 3.11, 3.12 or 3.13 with pip; move it away, or put pip into it"),
        (9, [], None, "has no Python 3.10, 3.11, 3.12 or 3.13 with pip"),
        (11, [], 12, "has Python 3.11, not that of PYTHON="),
    ],
)
def test_an_environment_of_others_that_does_not_do_is_left_alone_and_one_line_says_so(
    tmp_path, minor, lacks, asked, message
):
    python = make_python(tmp_path / ".venv/bin/python", minor, *lacks)
    result = prepare_environment(tmp_path, asked and make_python(tmp_path / "python", asked))
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: the .venv here is not of this script's making and {message}")
    assert result.stderr.count("\n") == 1
    assert python.exists()
    assert not (tmp_path / "pip.log").exists()


def test_a_python_that_makes_no_environments_costs_none(tmp_path):
    prepare_environment(tmp_path)
    result = prepare_environment(tmp_path, make_python(tmp_path / "python", 13, "ensurepip"))
    assert result.returncode == 1
    assert result.stderr.endswith("cannot make virtual environments; on Debian and Ubuntu install python3.13-venv\n")
    assert "(3, 12, 0)" in (tmp_path / ".venv/bin/python").read_text()
