"""python -m tools.ensemble as a user runs it: results, scores and files, and what it refuses in one line."""

import csv
import json
import pickle
import sys

import numpy as np
import pytest

from metrics.kinetics import KineticsMetrics
from metrics.youtube8m import YouTube8MMetrics
from tests.tools.ensemble.saved_runs import CLASSES, write_pair, write_run
from tests.tools.program_runs import run_module
from tools.ensemble.__main__ import main
from tools.errors import ZooError
from tools.files.pickles import load_data_pickle


@pytest.fixture
def pair(tmp_path):
    return write_pair(tmp_path)


@pytest.fixture
def ensemble(monkeypatch, tmp_path, capsys):
    """Run the program in this process in a folder; gives what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ensemble", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run


def table_of(text, title="videos"):
    """Name -> numbers of the row, of the table behind a title."""
    table = {}
    for line in text[text.index(f" {title}:") :].splitlines()[2:]:
        name, *numbers = line.split()
        table[name] = [float(number) for number in numbers]
        if name == "ensemble":
            break
    return table


def top1_of(probs, labels):
    metric = KineticsMetrics(probs.shape[1])
    metric.update(probs, labels, 0.0)
    return metric.compute()["top1_acc"]


def test_a_user_merges_two_runs(pair, tmp_path):
    (first, second), _, probs = pair
    result = run_module("ensemble", str(first), str(second), "--weights", "3", "1", "--save-dir", str(tmp_path / "out"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "60 videos; results in " in result.stdout
    names = ["ensemble_infer_result" + end for end in ("", ".csv", ".json", "_run.json")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".lock") == names
    mean = 0.75 * probs[0].astype(np.float64) + 0.25 * probs[1]
    items = load_data_pickle(str(tmp_path / "out/ensemble_infer_result"))
    for number, (video, values, class_ids) in enumerate(items):
        assert video == f"v{number}"
        np.testing.assert_allclose(values, np.sort(mean[number])[::-1], atol=1e-7)
        assert class_ids == np.argsort(-mean[number], kind="stable").tolist()
    rows = [*csv.DictReader((tmp_path / "out/ensemble_infer_result.csv").read_text().splitlines())]
    assert (rows[0]["path"], rows[0]["line"]) == ("v0.mp4", "1")


def test_scores_are_those_of_the_metrics(pair, ensemble):
    _, labels, probs = pair
    scores = table_of(ensemble("a.npz", "b.npz"))
    assert scores["a.npz"][:2] == [0.5, pytest.approx(top1_of(probs[0], labels), abs=1e-3)]
    assert scores["b.npz"][:2] == [0.5, pytest.approx(top1_of(probs[1], labels), abs=1e-3)]
    mean = ((probs[0].astype(np.float64) + probs[1]) / 2).astype(np.float32)
    assert scores["ensemble"][0] == pytest.approx(top1_of(mean, labels), abs=1e-3)


def test_one_run_alone_is_itself(pair, ensemble, tmp_path):
    text = ensemble("a.npz", "--save-probs", "c.npz")
    scores = table_of(text)
    assert scores["a.npz"][1:] == scores["ensemble"]
    with np.load(tmp_path / "c.npz") as merged, np.load(tmp_path / "a.npz") as own:
        for key in ("ids", "paths", "lines", "labels", "probs", "metrics"):
            np.testing.assert_array_equal(merged[key], own[key])


def test_videos_of_another_order_are_found_by_their_ids(pair, ensemble, tmp_path):
    _, labels, probs = pair
    order = np.random.default_rng(3).permutation(len(labels))
    ids = [f"v{i}" for i in order]
    write_run(tmp_path / "b2.npz", probs[1][order], labels[order], ids=ids, dtype=np.float32)
    ensemble("a.npz", "b.npz", "--save-probs", "one.npz")
    ensemble("a.npz", "b2.npz", "--save-probs", "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_submission_of_several_models(tmp_path, ensemble):
    rng = np.random.default_rng(0)
    probs = [rng.random((40, 25)).astype(np.float32) for _ in range(2)]
    labels = [tuple(rng.choice(25, 2, replace=False).tolist()) for _ in range(40)]
    for name, one in zip("ab", probs, strict=True):
        write_run(tmp_path / f"{name}.npz", one, labels, multilabel=True)
    text = ensemble("a.npz", "b.npz", "--yt8m-csv", "sub.csv")
    metric = YouTube8MMetrics(25, 5)
    dense = np.zeros((40, 25), np.float32)
    for row, own in zip(dense, labels, strict=True):
        row[list(own)] = 1
    metric.update((probs[0] + probs[1]) / 2, dense, 0.0)
    values = metric.compute()
    shown = [100 * values[key] for key in ("hit_at_one", "perr", "gap", "map")]
    assert table_of(text)["ensemble"] == pytest.approx(shown, abs=1e-3)
    rows = [*csv.reader((tmp_path / "sub.csv").read_text().splitlines())]
    assert len(rows) == 41
    assert all(len(pairs.split()) == 40 for _, pairs in rows[1:])


def test_pickles_of_2019_count_their_best_classes_alone(pair, ensemble, tmp_path):
    _, labels, probs = pair
    kept = np.argsort(-probs[1], axis=1)[:, :2]
    items = [(f"v{i}".encode(), probs[1][i][kept[i]].tolist(), kept[i].tolist()) for i in range(len(labels))]
    (tmp_path / "c").write_bytes(pickle.dumps(items, protocol=2))
    text = ensemble("a.npz", "c", "--infer-topk=0")
    assert "c: holds the best classes of each video, up to 2; all others count as 0" in text
    part = np.zeros_like(probs[1])
    np.put_along_axis(part, kept, np.take_along_axis(probs[1], kept, 1), 1)
    mean = ((probs[0].astype(np.float64) + part) / 2).astype(np.float32)
    assert table_of(text)["ensemble"][0] == pytest.approx(top1_of(mean, labels), abs=1e-3)
    (_, values, class_ids), *_ = load_data_pickle("ensemble_infer_result")
    np.testing.assert_allclose(values, mean[0][class_ids], atol=1e-7)
    (tmp_path / "d").write_bytes(pickle.dumps(items[::-1], protocol=2))
    assert "no labels are known, so that nothing is scored" in ensemble("c", "d")


def test_windows_keep_their_times(tmp_path, ensemble):
    from tools.inference.predictions import VideoClasses
    from tools.inference.probs_file import LabelledVideo, RunFacts, write_probs

    probs = np.random.default_rng(0).random((3, CLASSES)).astype(np.float32)
    videos = [VideoClasses("film", "film.mp4", None, [], [], start_sec=i / 2, end_sec=i / 2 + 1) for i in range(3)]
    facts = RunFacts("TSN", "kinetics", False, CLASSES, 0, "", [f"name {i}" for i in range(CLASSES)])
    for name in "ab":
        write_probs(tmp_path / f"{name}.npz", [LabelledVideo(one, None) for one in videos], [probs], np.float32, facts)
    assert "1 video; results in " in ensemble("a.npz", "b.npz")
    items = json.loads((tmp_path / "ensemble_infer_result.json").read_text())
    assert [(one["id"], one["start_sec"], one["end_sec"]) for one in items] == [
        ("film", 0, 1), ("film", 0.5, 1.5), ("film", 1, 2)
    ]  # fmt: skip
    assert items[0]["classes"][0]["name"] == f"name {probs[0].argmax()}"
    assert [one[0] for one in load_data_pickle("ensemble_infer_result")][1] == "film#t=0.5,1.5"
    assert (tmp_path / "ensemble_infer_result_merged.json").exists()


def test_videos_that_share_an_id_are_told_apart_by_their_paths(pair, ensemble, tmp_path):
    _, labels, probs = pair
    for name, one in zip("ab", probs, strict=True):
        ids, paths = [f"v{i % 30}" for i in range(60)], [f"{i // 30}/v{i % 30}.mp4" for i in range(60)]
        write_run(tmp_path / f"same_{name}.npz", one, labels, ids=ids, paths=paths)
    ensemble("a.npz", "b.npz", "--save-probs", "one.npz")
    ensemble("same_a.npz", "same_b.npz", "--save-probs", "two.npz")
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        np.testing.assert_array_equal(one["probs"], two["probs"])


def test_search_finds_weights_and_a_list_says_on_which_videos(pair, ensemble, tmp_path):
    scores = table_of(ensemble("a.npz", "b.npz", "--search"), "videos of --search")
    assert scores["ensemble"][0] >= max(scores["a.npz"][1], scores["b.npz"][1])
    assert scores["a.npz"][0] + scores["b.npz"][0] == pytest.approx(1)
    (tmp_path / "fit.list").write_text("# half\n" + "".join(f"v{i}.mp4\n" for i in range(30)) + "other.mp4 3\n")
    text = ensemble("a.npz", "b.npz", "--search", "fit.list")
    assert "fit.list names 30 of 60 videos; 1 line of it name others" in text
    _, labels, probs = pair
    fitted, others = table_of(text, "videos of --search"), table_of(text, "all others")
    assert fitted["a.npz"][1] == pytest.approx(top1_of(probs[0][:30], labels[:30]), abs=1e-3)
    assert others["a.npz"][1] == pytest.approx(top1_of(probs[0][30:], labels[30:]), abs=1e-3)
    assert fitted["a.npz"][0] == others["a.npz"][0]
    assert ensemble("a.npz", "b.npz", "--search", "fit.list") == text


def test_a_list_gives_the_labels_of_runs_that_have_none(pair, ensemble, tmp_path):
    _, labels, probs = pair
    for name, one in zip("ab", probs, strict=True):
        write_run(tmp_path / f"{name}.npz", one, [None] * 60)
    assert "nothing is scored" in ensemble("a.npz", "b.npz")
    (tmp_path / "fit.list").write_text("".join(f"elsewhere/v{i}.mp4 {labels[i]}\n" for i in range(60)))
    scores = table_of(ensemble("a.npz", "b.npz", "--search=fit.list"), "videos of --search")
    assert scores["a.npz"][1] == pytest.approx(top1_of(probs[0], labels), abs=1e-3)


def test_missing_videos_are_named_and_left_out_on_demand(pair, ensemble, tmp_path):
    _, labels, probs = pair
    write_run(tmp_path / "less.npz", probs[1][5:], labels[5:], ids=[f"v{i}" for i in range(5, 60)])
    with pytest.raises(ZooError) as error:
        ensemble("a.npz", "less.npz")
    assert str(error.value) == (
        "less.npz lacks 5 of the 60 videos of a.npz: v0, v1, v2, and 2 more; --skip-missing merges the 55 that all have"
    )
    assert "55 videos; results in" in ensemble("a.npz", "less.npz", "--skip-missing")
    assert len(load_data_pickle("ensemble_infer_result")) == 55


def saved(folder, name="x.npz", **arrays):
    np.savez(folder / name, **arrays)
    return name


def change(folder, **arrays):
    """x.npz: a.npz with other arrays."""
    with np.load(folder / "a.npz") as own:
        return saved(folder, **dict(own) | arrays)


def with_nan(folder):
    with np.load(folder / "a.npz") as own:
        probs = own["probs"].copy()
    probs[7, 2] = np.nan
    return change(folder, probs=probs)


def cut(folder):
    (folder / "x.npz").write_bytes((folder / "a.npz").read_bytes()[:-50])
    return "x.npz"


def text(folder):
    (folder / "x.npz").write_text("hello\n")
    return "x.npz"


class Evil:
    def __reduce__(self):
        return eval, ("1",)


def dangerous(folder):
    (folder / "x").write_bytes(pickle.dumps([Evil()]))
    return "x"


def results(folder, *items):
    (folder / "x").write_bytes(pickle.dumps([*items], protocol=2))
    return "x"


IDS = np.array([f"v{i}" for i in range(60)])
NAMES = np.array([f"name {i}" for i in range(CLASSES)])
BAD = {
    "another number of classes": (
        lambda f: change(f, probs=np.full((60, 7), 0.1, np.float32)),
        "x.npz has 7 classes, a.npz 6 classes",
    ),
    "nan": (with_nan, "x.npz: video 'v7' (row 7) has the probability nan; expected 0 to 1"),
    "logits": (lambda f: change(f, probs=np.full((60, 6), 3.5)), "(row 0) has the probability 3.5; expected 0 to 1"),
    "bytes": (lambda f: change(f, probs=np.zeros((60, 6), np.uint8)), "probs are uint8"),
    "rows": (lambda f: change(f, probs=np.zeros((9, 6))), "has 60 ids and probs of shape (9, 6)"),
    "objects": (lambda f: change(f, ids=np.array([*IDS], object)), "no file of --save-probs: its array ids: "),
    "cut": (cut, "x.npz is damaged, or no file of --save-probs: File is not a zip file"),
    "something else": (lambda f: saved(f, weights=np.zeros(3)), "x.npz has no array ids and no array probs: it holds"),
    "text": (text, "x.npz is a text; give a file of --save-probs"),
    "a folder": (lambda f: ".", ". is a folder; give a file of --save-probs"),
    "not there": (lambda f: "no.npz", "no.npz does not exist; give"),
    "twice": (lambda f: "a.npz", "a.npz is given twice"),
    "duplicates": (
        lambda f: change(f, ids=np.array(["v1", *IDS[1:]]), paths=np.array(["v1.mp4"] * 60)),
        "x.npz has 2 videos of the id 'v1' (v1.mp4); its list names a file twice",
    ),
    "no video in common": (lambda f: change(f, ids=np.char.add("w", IDS)), "no video is in all of a.npz, x.npz"),
    "other labels": (lambda f: change(f, labels=np.zeros(60, np.int64)), " in a.npz and 0 in x.npz"),
    "label out of range": (lambda f: change(f, labels=np.full(60, 6)), "x.npz: label 6 is no class; 6 classes take 0"),
    "another kind": (lambda f: change(f, metrics=np.array("youtube8m")), "is scored as kinetics, x.npz as youtube8m"),
    "a pickle that runs code": (dangerous, "x is not a data file and was not loaded: it names"),
    "a pickle of something else": (lambda f: results(f, 1, 2), "x item 0 is 1, expected (id, probabilities, class"),
    "a class twice": (lambda f: results(f, ("v1", [0.5, 0.4], [1, 1])), "x item 0 ('v1') names a class twice"),
    "probabilities above 1": (lambda f: results(f, ("v1", [5.0], [1])), "has the probabilities [5.0]; expected 0 to 1"),
    "a class too many": (lambda f: results(f, ("v1", [0.5], [6])), "x has class 6, a.npz 6 classes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_merged_is_told_in_one_line(pair, ensemble, tmp_path, kind):
    make, message = BAD[kind]
    with pytest.raises(ZooError) as error:
        ensemble("a.npz", make(tmp_path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ensemble_infer_result").exists()


def test_classes_in_another_order_are_told(pair, ensemble, tmp_path):
    _, labels, probs = pair
    write_run(tmp_path / "a.npz", probs[0], labels, names=NAMES.tolist())
    write_run(tmp_path / "b.npz", probs[1], labels, names=NAMES[::-1].tolist())
    with pytest.raises(ZooError, match="class 0 is 'name 0' in the first and 'name 5' in the second"):
        ensemble("a.npz", "b.npz")


CALLS = [
    (["--weights", "1"], "--weights has 1 number for 2 files; give one each"),
    (["--weights", "0", "0"], "--weights are all 0; at least one has to be above"),
    (["--weights", "1", "-1"], "argument --weights: '-1' is not a number above 0, or 0"),
    (["--weights", "1", "1", "--search"], "--weights says what --search would look for"),
    (["--search", "no.list"], "file list no.list does not exist"),
    (["--search", "a.npz"], "file list a.npz "),
    (["--yt8m-csv", "s.csv"], "--yt8m-csv is for AttentionCluster"),
    (["--save-probs", "a.npz"], "a.npz and --save-probs are the same file"),
    (["--yt8m-csv", "ensemble_infer_result.csv"], "ensemble_infer_result.csv and --yt8m-csv are the same file"),
    (["--yt8m-csv", "n.csv", "--class-names", "n.csv"], "--class-names and --yt8m-csv are the same file, n.csv"),
    (["--yt8m-csv", "l.csv", "--search", "l.csv"], "the list of --search and --yt8m-csv are the same file, l.csv"),
    (["--save-dir", "a.npz"], "--save-dir a.npz cannot be written: "),
    (["--class-names", "names.txt"], "class names names.txt"),
]


@pytest.mark.parametrize(("flags", "message"), CALLS, ids=[" ".join(flags) for flags, _ in CALLS])
def test_a_wrong_call_is_told_in_one_line(pair, ensemble, tmp_path, capsys, flags, message):
    with pytest.raises((ZooError, SystemExit)) as error:
        ensemble("a.npz", "b.npz", *flags)
    assert message in str(error.value) + capsys.readouterr().err
    assert not (tmp_path / "ensemble_infer_result").exists()


def test_a_search_without_labels_is_refused(pair, ensemble, tmp_path):
    _, _, probs = pair
    for name, one in zip("ab", probs, strict=True):
        write_run(tmp_path / f"{name}.npz", one, [None] * 60)
    with pytest.raises(ZooError, match="no video has a known class"):
        ensemble("a.npz", "b.npz", "--search")


def test_videos_of_other_paths_are_told(pair, ensemble, tmp_path):
    _, labels, probs = pair
    write_run(
        tmp_path / "c.npz", probs[1], labels, paths=["v0.mp4", "./v1.mp4", *(f"test/v{i}.mp4" for i in range(2, 60))]
    )
    shown = ensemble("a.npz", "c.npz")
    told = "58 of 60 videos have other paths in c.npz than in a.npz, such as test/v2.mp4 and v2.mp4; they are taken for"
    assert told in shown
    assert "other paths" not in ensemble("a.npz", "b.npz")
