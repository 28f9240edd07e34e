"""train.py as a whole: what it leaves, and that no interruption changes how it ends."""

import json
import random
import re
import resource
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
import train
from datareader.features.records import load_records
from metrics.youtube8m import YouTube8MMetrics
from tests.conftest import PROJECT, run_script, start_script
from tools.config.flags import ConfigSource, RunOptions
from tools.config.load import Override, load_config
from tools.files.pickles import load_data_pickle
from tools.registry import MODELS
from tools.run_setup import plan_run
from tools.training.options import TrainingOptions

# What one epoch leaves, and what is moved aside of it.
KINDS = ("best", "config.txt", "epoch0", "report.html", "train.jsonl", "train.log", "valid.json")
WHOLE_RUN = [f"AttentionCluster_{kind}" for kind in KINDS]


def weights_of(folder):
    return load_data_pickle(str(folder / "model.pdparams"))


def assert_same_bits(one, other):
    for name in ("model.pdparams", "optimizer.pdopt"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def wait_for(process, text):
    """Read the output up to a line that holds ``text``; return that line."""
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the process ended without {text!r}")


def test_a_run_leaves_checkpoints_a_log_numbers_and_its_settings(tiny):
    result = run_script("train", "--log-interval=2", "--seed=3", "--keep=1", "--valid-first", cwd=tiny)
    saved = tiny / "checkpoints"
    kinds = ["best", "config.txt", "epoch1", "report.html", "train.jsonl", "train.log", "valid.json"]
    assert sorted(path.name for path in saved.iterdir() if path.suffix != ".lock") == [
        f"AttentionCluster_{kind}" for kind in kinds
    ]
    line = r"\[TRAIN\] Epoch 0, iter 2   , loss = \d+\.\d{6}, Hit@1 = [\d.]+ %, PERR = [\d.]+ %, GAP = [\d.]+ %\n"
    assert re.search(line, result.stdout)
    assert "CPU: " not in result.stdout
    log = (saved / "AttentionCluster_train.log").read_text()
    assert all(text in log for text in result.stdout.splitlines())
    assert "CPU: " in log
    events = [json.loads(text) for text in (saved / "AttentionCluster_train.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in events if event["event"] == "valid_epoch"] == [-1, 0, 1]
    assert [event["iter"] for event in events if event["event"] == "train_step"] == [0, 2, 4] * 2
    state = json.loads((saved / "AttentionCluster_best" / "state.json").read_text())
    scores = {event["epoch"]: event["gap"] for event in events if event["event"] == "valid_epoch"}
    assert state["best_score"] == max(scores[0], scores[1]) == scores[state["best_epoch"]]

    again = run_script("train", "--config=checkpoints/AttentionCluster_config.txt", "--save-dir=again", cwd=tiny)
    assert "2 of 2 epochs" not in again.stdout
    assert_same_bits(saved / "AttentionCluster_epoch1", tiny / "again" / "AttentionCluster_epoch1")


def test_the_weights_do_not_depend_on_the_number_of_reading_threads(tiny):
    for workers in ("0", "4"):
        run_script("train", f"--num-workers={workers}", f"--save-dir={workers}", "--valid-interval=0", cwd=tiny)
    assert_same_bits(tiny / "0" / "AttentionCluster_epoch1", tiny / "4" / "AttentionCluster_epoch1")


def test_training_and_validation_read_with_threads_of_their_own(tiny):
    overrides = [Override("VALID", "num_reader_threads", 0, "test"), Override("TRAIN", "num_reader_threads", 3, "test")]
    options = RunOptions("AttentionCluster", ConfigSource(str(tiny / "tiny.txt"), tuple(overrides)))
    run = plan_run(options, ["MODEL", "TRAIN", "VALID"], gpu_wanted=lambda config: False)
    datasets = [list(range(40)), list(range(40))]
    loaders = train.build_loaders(run, TrainingOptions(), *datasets, as_float=True)
    assert [loader.num_workers for loader in loaders] == [3, 0]


def kill_and_resume(tiny, kills, *flags, epochs=3):
    """Train undisturbed in one folder, and killed ``kills`` times in another; compare all that was left."""
    options = ["--save-every=1", f"--epoch={epochs}", "--log-interval=0", *flags]
    began = time.monotonic()
    run_script("train", *options, "--save-dir=calm", cwd=tiny)
    whole_sec = time.monotonic() - began
    rng = random.Random(0)
    for _ in range(kills):
        process = start_script("train", *options, "--save-dir=killed", "--resume=auto", cwd=tiny)
        time.sleep(rng.uniform(0.1, 0.9) * whole_sec)
        process.kill()
        process.communicate()
    run_script("train", *options, "--save-dir=killed", "--resume=auto", cwd=tiny)
    names = sorted(path.parent.name for path in (tiny / "calm").glob("*/state.json"))
    assert names == sorted(path.parent.name for path in (tiny / "killed").glob("*/state.json"))
    for name in names:
        assert_same_bits(tiny / "calm" / name, tiny / "killed" / name)
    states = [json.loads((tiny / run / names[-1] / "state.json").read_text()) for run in ("calm", "killed")]
    assert states[0] == states[1]


def test_a_run_that_was_killed_and_resumed_ends_with_the_same_bits(tiny):
    kill_and_resume(tiny, kills=2, epochs=2)


# AttentionLSTM's layers of 8192 and 4096 do not shrink with the config: half a gigabyte a checkpoint.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["NEXTVLAD", "AttentionLSTM"])
def test_the_networks_over_all_frames_resume_with_the_same_bits_and_test_as_they_infer(tiny, name, monkeypatch):
    write_ragged_config(tiny, name, monkeypatch)
    flags = [f"--model-name={name}", "--config=ragged.txt"]
    kill_and_resume(tiny, 1, *flags)
    weights = f"--weights=killed/{name}_best"
    run_script("test", *flags, weights, "--batch-size=5", "--output=scores.json", cwd=tiny)
    run_script("infer", *flags, weights, "--infer-topk=0", cwd=tiny)
    run_script("infer", *flags, weights, "--infer-topk=0", "--batch-size=5", "--nproc=2", "--save-dir=two", cwd=tiny)
    places = (tiny, tiny / "two")
    results, batched = (load_data_pickle(str(place / f"{name}_infer_result")) for place in places)
    assert [video for video, *_ in batched] == [f"val0_{i}" for i in range(10)] + [f"val1_{i}" for i in range(11)]
    for one, other in zip(results, batched, strict=True):  # by batches of similar length, of which two processes share
        assert one[0] == other[0]
        np.testing.assert_allclose(*(np.array(p)[np.argsort(c)] for _, p, c in (one, other)), atol=1e-6)
    records = [record for i in range(2) for record in load_records(str(tiny / f"data/val{i}.pkl"))]
    metric = YouTube8MMetrics(num_classes=12, top_k=5)
    for (_, probs, classes), record in zip(results, records, strict=True):
        row, label = np.zeros((1, 12), np.float32), np.zeros((1, 12), np.float32)
        row[0, classes], label[0, record["label"]] = probs, 1
        metric.update(row, label, loss=0.0)
    scores = json.loads((tiny / "scores.json").read_text())["scores"]
    values = metric.compute()
    assert all(values[key] == pytest.approx(scores[key], abs=1e-6) for key in ("hit_at_one", "perr", "gap", "map"))


def write_ragged_config(folder, name, monkeypatch):
    """ragged.txt: the model's demo config, smaller, on the data of ``tiny``."""
    np.save(folder / "eigenvals.npy", np.ones((2048, 1), np.float32))
    spec = MODELS.get(name)()
    sizes = {"cluster_size": 2, "hidden_size": 16, "embedding_size": 8, "lstm_size": 8, "num_classes": 12, "topk": 5}
    changes = {("MODEL", key): value for key, value in sizes.items()}
    changes |= {("MODEL", "eigen_file"): "eigenvals.npy", ("TRAIN", "filelist"): "data/train.list"}
    changes |= {(section, "filelist"): "data/val.list" for section in ("VALID", "TEST", "INFER")}
    changes |= {("TRAIN", "batch_size"): 8, ("TRAIN", "sort_by_length"): True, ("INFER", "class_names"): None}
    overrides = [
        Override(section, key, value, "test")
        for (section, key), value in changes.items()
        if key in spec.schema.keys(section)
    ]
    path = str(PROJECT / "configs" / "demo" / Path(spec.default_config).name)
    monkeypatch.chdir(folder)
    config = load_config(path, spec.schema, ["MODEL", "TRAIN"], name, overrides)
    (folder / "ragged.txt").write_text(config.text())


BALANCED = (
    "--set", "TRAIN.sampling=balanced", "--set", "TRAIN.class_weights=balanced", "--label-smoothing=0.1",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_on_balanced_classes_that_was_killed_ends_with_the_same_bits(tiny, processes):
    kill_and_resume(tiny, 2, *BALANCED, f"--nproc={processes}", "--threads=1", "--accumulate=2")


def test_balanced_classes_and_smoothing_change_the_training_loss_and_no_other(tiny):
    """At a rate of 0, so that all runs score the same weights."""
    scores, losses = [], []
    for name, flags in (("plain", ()), ("balanced", BALANCED)):
        options = ["--learning-rate=0", "--epoch=1", f"--save-dir={name}", *flags]
        shown = run_script("train", *options, cwd=tiny).stdout
        events = [json.loads(line) for line in (tiny / name / "AttentionCluster_train.jsonl").read_text().splitlines()]
        scores += [{**event, "time": 0} for event in events if event["event"] == "valid_epoch"]
        losses += [event["loss"] for event in events if event["event"] == "train_epoch"]
    assert scores[0] == scores[1]
    assert abs(losses[0] - losses[1]) > 0.01
    assert '[TRAIN] sampling = "balanced": all classes come as often' in shown
    assert 'class_weights = "balanced": 0.' in shown


def test_an_early_stop_counts_validations_without_a_better_score_and_a_resume_counts_on(trained_copy):
    def resume(*flags):
        # At a rate of 0, so that no epoch is better than the first.
        shown = run_script("train", "--learning-rate=0", "--epoch=9", "--resume=auto", *flags, cwd=trained_copy).stdout
        return re.findall(r"(\[TRAIN\] Epoch \d|\[VALID\] Epoch \d|early stop: .*)", shown)

    stop = "early stop: no better gap in {} validations; {} of 9 epochs are done"
    found = resume("--early-stop=2", "--log-interval=0")
    assert found == [*("[TRAIN] Epoch 1", "[VALID] Epoch 1", "[TRAIN] Epoch 2", "[VALID] Epoch 2"), stop.format(2, 3)]
    assert resume("--early-stop=2") == [stop.format(2, 3)]
    found = resume("--early-stop=3", "--valid-interval=2", "--log-interval=0")
    assert found == ["[TRAIN] Epoch 3", "[VALID] Epoch 3", stop.format(3, 4)]


def test_a_run_ends_with_its_best_epoch_and_a_command_that_tests_it(tiny):
    shown = run_script("train", "--epoch=2", "--save-dir=a folder", cwd=tiny).stdout.splitlines()
    best, command = shown[-2:]
    state = json.loads((tiny / "a folder/AttentionCluster_best/state.json").read_text())
    size = sum(path.stat().st_size for path in (tiny / "a folder").glob("*_epoch*/*"))  # the best shares its files
    assert best == (
        f"best: epoch {state['best_epoch']}, gap {100 * state['best_score']:.6f} %, in a folder/AttentionCluster_best; "
        f"the checkpoints take {size / 1e6:.0f} MB"
    )
    assert command.startswith("test it: ")
    python, script, *flags = shlex.split(command.removeprefix("test it: "))
    assert (python, script) == (sys.executable, str(PROJECT / "test.py"))
    result = run_script("test", *flags, cwd=tiny)
    assert re.search(rf"gap +{100 * state['best_score']:.4f}", result.stdout)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(tiny):
    kill_and_resume(tiny, kills=10)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_ctrl_c_and_sigterm_save_inside_the_epoch_and_resume_goes_on(tiny, number, code):
    options = ["--save-dir=stopped", "--epoch=400", "--log-interval=1", "--valid-interval=0"]
    process = start_script("train", *options, cwd=tiny)
    wait_for(process, "iter 1 ")
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name}; --resume auto resumes from here" in rest
    assert f"stopped by {number.name}" in (tiny / "stopped/AttentionCluster_report.html").read_text()
    process = start_script("train", *options, "--resume=auto", cwd=tiny)
    resumed = wait_for(process, "resumed")
    process.kill()
    process.communicate()
    epoch, step = map(int, re.search(r"next is epoch (\d+), iter (\d+)", resumed).groups())
    assert epoch * 5 + step >= 2


def test_a_reader_of_the_output_that_goes_keeps_no_run_from_saving(tiny):
    process = start_script("train", "--save-dir=stopped", "--epoch=400", "--log-interval=1", cwd=tiny)
    wait_for(process, "iter 1 ")
    process.stdout.close()
    log = tiny / "stopped/AttentionCluster_train.log"
    length, deadline = log.stat().st_size, time.monotonic() + 30
    while log.stat().st_size < length + 1000:
        assert time.monotonic() < deadline, "the run has ended"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    *_, saved, stopped = log.read_text().splitlines()
    assert "saved stopped/AttentionCluster_epoch" in saved
    assert "stopped by SIGINT; --resume auto resumes from here" in stopped


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(trained_copy):
    before = weights_of(trained_copy / "checkpoints" / "AttentionCluster_epoch0")
    result = run_script("train", "--resume=auto", "--learning-rate=1e38", cwd=trained_copy, check=False)
    assert result.returncode == 1
    assert re.search(r"error: the loss of \d of 8 videos is not finite at epoch 1, iter \d: data/train", result.stderr)
    after = weights_of(trained_copy / "checkpoints" / "AttentionCluster_epoch0")
    assert all((before[name] == after[name]).all() for name in before)
    assert not (trained_copy / "checkpoints" / "AttentionCluster_epoch1").exists()


def test_a_full_disk_ends_with_one_line_and_keeps_what_was_saved(trained_copy):
    process = start_script("train", "--resume=auto", cwd=trained_copy)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))  # the weights have 27 MB
    shown, _ = process.communicate()
    assert process.returncode == 1
    assert "AttentionCluster_epoch1 could not be written" in shown
    assert "Traceback" not in shown
    folders = sorted(path.name for path in (trained_copy / "checkpoints").iterdir() if path.is_dir())
    assert folders == ["AttentionCluster_best", "AttentionCluster_epoch0"]
    weights_of(trained_copy / "checkpoints" / "AttentionCluster_epoch0")


def test_auto_passes_over_a_damaged_checkpoint_and_begins_where_there_is_none(trained_copy):
    (trained_copy / "checkpoints" / "AttentionCluster_epoch0" / "model.pdparams").write_bytes(b"cut")
    result = run_script("train", "--resume=auto", "--epoch=1", "--valid-interval=0", cwd=trained_copy)
    assert "skipped: checkpoints/AttentionCluster_epoch0/model.pdparams is damaged" in result.stdout
    assert "no whole checkpoint in checkpoints, starting from the beginning" in result.stdout
    assert "checkpoints and logs of an earlier run are now in checkpoints/AttentionCluster_before_" in result.stdout
    (moved,) = (trained_copy / "checkpoints").glob("AttentionCluster_before_*")
    assert sorted(path.name for path in moved.iterdir()) == WHOLE_RUN
    log = (trained_copy / "checkpoints/AttentionCluster_train.log").read_text()
    assert "skipped: checkpoints/AttentionCluster_epoch0/model.pdparams is damaged" in log  # said before the move


def test_a_second_run_leaves_the_first_one_its_log_and_a_resume_goes_on_in_it(trained_copy):
    saved = trained_copy / "checkpoints"
    first = {name: (saved / name).read_bytes() for name in WHOLE_RUN if (saved / name).is_file()}
    shown = run_script("train", "--epoch=1", "--seed=5", cwd=trained_copy).stdout
    (moved,) = saved.glob("AttentionCluster_before_*")
    assert f"checkpoints and logs of an earlier run are now in checkpoints/{moved.name}\n" in shown
    assert {name: (moved / name).read_bytes() for name in first} == first
    log, numbers = saved / "AttentionCluster_train.log", saved / "AttentionCluster_train.jsonl"
    assert {line.split(" ", 2)[2] for line in log.read_text().splitlines()} >= set(shown.splitlines())
    assert log.read_text().count("[VALID] Epoch 0 done") == 1
    events = [json.loads(line)["event"] for line in numbers.read_text().splitlines()]
    assert events.count("begin") == events.count("valid_epoch") == 1
    before = log.read_bytes(), numbers.read_bytes()
    shown = run_script("train", "--epoch=2", "--resume=auto", cwd=trained_copy).stdout
    assert "of an earlier run" not in shown
    assert log.read_bytes().startswith(before[0])
    assert numbers.read_bytes().startswith(before[1])
    assert len(list(saved.glob("AttentionCluster_before_*"))) == 1


def test_fine_tuning_takes_everything_but_a_classifier_of_another_size(trained_copy):
    source = weights_of(trained_copy / "checkpoints" / "AttentionCluster_epoch0")
    options = ["--pretrain=checkpoints/AttentionCluster_best", "--set", "MODEL.num_classes=15", "--save-dir=tuned"]
    result = run_script("train", *options, "--learning-rate=0", "--epoch=1", cwd=trained_copy)
    assert "12 matched, 0 missing, 0 unexpected, 0 mismatched" in result.stdout
    assert (
        "newly initialised, classifier: logistic.weight [4096, 12] for [4096, 15], logistic.bias [12]" in result.stdout
    )
    tuned = weights_of(trained_copy / "tuned" / "AttentionCluster_epoch0")
    np.testing.assert_array_equal(tuned["fc1.weight"], source["fc1.weight"])
    assert tuned["logistic.bias"].shape == (15,)


def test_a_run_resumed_in_another_folder_takes_nothing_from_what_is_there(trained_copy):
    run_script("train", "--epoch=1", "--save-dir=other", "--seed=7", cwd=trained_copy)
    best = weights_of(trained_copy / "other" / "AttentionCluster_best")
    flags = ["--resume=checkpoints/AttentionCluster_epoch0", "--save-dir=other", "--epoch=2", "--keep=1"]
    result = run_script("train", *flags, cwd=trained_copy)
    assert "there is no AttentionCluster_best here" in result.stdout
    (moved,) = (trained_copy / "other").glob("AttentionCluster_before_*")
    assert sorted(path.name for path in moved.iterdir()) == WHOLE_RUN
    kept = weights_of(moved / "AttentionCluster_best")
    assert all((best[name] == kept[name]).all() for name in best)
    assert (trained_copy / "other" / "AttentionCluster_best").is_dir()


def test_a_run_stopped_while_it_validated_validates_first_when_it_goes_on(trained_copy):
    state_path = trained_copy / "checkpoints" / "AttentionCluster_epoch0" / "state.json"
    state = json.loads(state_path.read_text())
    unfinished = state | {"validated": False, "best_score": None, "best_epoch": None}
    del unfinished["valid"], unfinished["files"]["state.json"]  # of earlier versions, as nobody else writes one
    state_path.write_text(json.dumps(unfinished))
    shutil.rmtree(trained_copy / "checkpoints" / "AttentionCluster_best")
    run_script("train", "--epoch=1", "--resume=auto", cwd=trained_copy)
    assert json.loads(state_path.read_text())["valid"] == pytest.approx(state["valid"])
    assert_same_bits(state_path.parent, trained_copy / "checkpoints" / "AttentionCluster_best")
    state_path.write_text(json.dumps(unfinished))
    result = run_script("train", "--epoch=1", "--resume=auto", "--valid-interval=0", cwd=trained_copy)
    assert "[VALID]" not in result.stdout
