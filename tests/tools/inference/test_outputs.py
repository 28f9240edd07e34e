"""--save-probs and --yt8m-csv: rows of all processes in the order of the list, and videos that are read again."""

import csv
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from datareader.dataset import Batch, Span
from datareader.lists import ListEntry
from tests.tools.distributed.threads import together
from tools.errors import ConfigError, DataError
from tools.inference.outputs import OutputOptions
from tools.inference.probs_file import RunFacts

FACTS = RunFacts("NEXTVLAD", "youtube8m", True, 30, 5, "my.list", [f"name {i}" for i in range(30)])
PROBS = np.random.default_rng(0).random((60, 30)).astype(np.float32)
LABELS = (np.random.default_rng(1).random((60, 30)) < 0.1).astype(np.float32)


def make_batch(numbers, labels=LABELS, **others):
    numbers = np.array(numbers)
    return Batch(
        ids=[f"v{i}" for i in numbers],
        sources=[""] * len(numbers),
        entries=[ListEntry("/x/a.pkl", "my.list line 2", None, "a.pkl", 2)] * len(numbers),
        inputs=(),
        labels=None if labels is None else labels[numbers],
        numbers=numbers,
        **others,
    )


def predict(numbers, **others):
    return SimpleNamespace(batch=make_batch(numbers, **others), probs=PROBS[numbers])


def options_of(tmp_path, dtype="float32"):
    return OutputOptions(str(tmp_path / "p.npz"), dtype, str(tmp_path / "s.csv"))


def write(group, options, batches):
    outputs = options.open()
    for prediction in batches:
        outputs.add(prediction)
    outputs.gather(group)
    if group.is_first:
        outputs.write(FACTS)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_files_of_any_number_of_processes_are_the_same_and_in_the_order_of_the_list(tmp_path, dtype):
    order = np.random.default_rng(2).permutation(60).tolist()  # as videos of similar length are read
    batches = [order[start : start + 7] for start in range(0, 60, 7)]
    contents = []
    for shares in ([batches], [batches[:4], batches[4:]], [[], batches[:1], [], batches[1:]]):
        options = options_of(tmp_path / str(len(shares)), dtype)
        failed = together(len(shares), lambda group, o=options, s=shares: write(group, o, map(predict, s[group.rank])))
        assert failed == [None] * len(shares)
        names = sorted(path.name for path in (tmp_path / str(len(shares))).iterdir())
        assert names == ["p.npz", "s.csv"]
        contents.append([(tmp_path / str(len(shares)) / name).read_bytes() for name in names])
    assert contents[0] == contents[1] == contents[2]
    with np.load(tmp_path / "1" / "p.npz") as arrays:
        np.testing.assert_array_equal(arrays["probs"], PROBS.astype(dtype))
        assert arrays["probs"].dtype == dtype
        assert arrays["ids"].tolist() == [f"v{i}" for i in range(60)]
        assert set(arrays["paths"].tolist()) == {"a.pkl"}
        assert set(arrays["lines"].tolist()) == {2}
        starts, ids = arrays["label_starts"], arrays["label_ids"]
        for row, label in enumerate(LABELS):
            assert ids[starts[row] : starts[row + 1]].tolist() == np.flatnonzero(label).tolist()
        assert arrays["class_names"].tolist() == FACTS.class_names
        shown = [str(arrays[key]) for key in ("model", "metrics", "filelist", "topk")]
        assert shown == ["NEXTVLAD", "youtube8m", "my.list", "5"]


def test_a_submission_has_20_classes_a_video_the_highest_first(tmp_path):
    options = OutputOptions(yt8m_csv=str(tmp_path / "s.csv"))
    together(1, lambda group: write(group, options, [predict([*range(60)])]))
    text = (tmp_path / "s.csv").read_text()
    assert text.splitlines()[0] == "VideoId,LabelConfidencePairs"
    rows = [*csv.reader(text.splitlines()[1:])]
    assert [video for video, _ in rows] == [f"v{i}" for i in range(60)]
    for (_, pairs), probs in zip(rows, PROBS, strict=True):
        words = pairs.split(" ")
        best = np.argsort(-probs, kind="stable")[:20]
        assert words[::2] == [str(c) for c in best]
        assert words[1::2] == [f"{probs[c]:.6f}" for c in best]


def test_an_id_with_a_comma_or_a_quote_stays_in_its_column(tmp_path):
    options = OutputOptions(yt8m_csv=str(tmp_path / "s.csv"))
    prediction = predict([0])
    prediction.batch = replace(prediction.batch, ids=['a,"b'])
    together(1, lambda group: write(group, options, [prediction]))
    assert [row[0] for row in csv.reader((tmp_path / "s.csv").read_text().splitlines())] == ["VideoId", 'a,"b']


def span(start):
    return Span(Fraction(start), Fraction(start + 1), (start,))


def test_windows_count_once_their_video_has_come_to_its_end(tmp_path):
    """One is read again from its first window on, and the last is broken in the middle."""
    parts = [
        ([0, 1], True, False), ([2], False, True),
        ([3, 4], True, False), ([5], False, False), ([3], True, False), ([4], False, False), ([5], False, True),
        ([6], True, False),
    ]  # fmt: skip
    predictions = [
        SimpleNamespace(
            batch=replace(
                make_batch(numbers, None, spans=[span(number % 3) for number in numbers], begins=begins, ends=ends),
                numbers=None,
                ids=[f"film {number // 3}" for number in numbers],
            ),
            probs=PROBS[numbers],
        )
        for numbers, begins, ends in parts
    ]
    options = OutputOptions(save_probs=str(tmp_path / "p.npz"))
    together(1, lambda group: write(group, options, predictions))
    with np.load(tmp_path / "p.npz") as arrays:
        assert arrays["ids"].tolist() == [f"film {v}#t={t},{t + 1}" for v in range(2) for t in range(3)]
        assert arrays["start_sec"].tolist() == [0, 1, 2] * 2
        np.testing.assert_array_equal(arrays["probs"], PROBS[:6])
        assert "labels" not in arrays
        assert "label_ids" not in arrays


def test_labels_of_one_class_are_minus_1_where_they_are_not_known(tmp_path):
    options = OutputOptions(save_probs=str(tmp_path / "p.npz"))
    facts = replace(FACTS, multilabel=False, metrics="kinetics", class_names=None)
    labels = np.array([3, -1, 0])

    def run(group):
        outputs = options.open()
        outputs.add(predict([0, 1, 2], labels=labels))
        outputs.add(predict([3], labels=None))
        outputs.gather(group)
        outputs.write(facts)

    assert together(1, run) == [None]
    with np.load(tmp_path / "p.npz") as arrays:
        assert arrays["labels"].tolist() == [3, -1, 0, -1]
        assert "class_names" not in arrays


def test_an_id_of_many_characters_is_refused_as_it_comes(tmp_path):
    outputs = options_of(tmp_path).open()
    prediction = predict([0])
    prediction.batch = replace(prediction.batch, ids=["x" * 5000])
    with pytest.raises(DataError, match="has more than 4096 characters"):
        outputs.add(prediction)


def test_a_full_disk_is_told_with_the_flag_and_the_file(tmp_path, monkeypatch):
    outputs = options_of(tmp_path).open()
    outputs.add(predict([0]))

    def fail(self, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.files.row_files.RowSpool.append", fail)
    with pytest.raises(DataError, match=r"^--save-probs .*p\.npz could not be written: .*No space left on device$"):
        outputs.add(predict([1]))
    outputs.close()


def test_without_flags_nothing_is_kept():
    outputs = OutputOptions().open()
    outputs.add(None)
    outputs.gather(None)
    outputs.write(FACTS)


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for options, data, message in [
        (OutputOptions(save_probs="p.npy"), "clips", "--save-probs p.npy: the name of this file ends in .npz"),
        (OutputOptions(yt8m_csv="s.txt"), "features", "--yt8m-csv s.txt: the name of this file ends in .csv"),
        (OutputOptions(yt8m_csv="s.csv"), "clips", "--yt8m-csv is for AttentionCluster, AttentionLSTM and NEXTVLAD"),
        (OutputOptions(save_probs=f"{tmp_path}/file/p.npz"), "clips", "cannot be written: "),
        (OutputOptions(save_probs=f"{tmp_path}/a.npz"), "clips", "--output and --save-probs are the same file"),
    ]:
        with pytest.raises((ConfigError, DataError)) as error:
            options.check(data, {"--output": f"{tmp_path}/a.npz"})
        assert message in str(error.value)
    OutputOptions(save_probs=f"{tmp_path}/new/p.npz", yt8m_csv=f"{tmp_path}/s.csv").check("features")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
