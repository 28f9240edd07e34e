"""Records of features: whatever holds them, they are described, and the frames that are taken are marked."""

import numpy as np
import pytest

import models  # noqa: F401
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Record
from tests.conftest import PROJECT, make_record
from tests.sequence_examples import write_shard
from tests.tools.drawing.pictures import RGB_BLUE, load_picture
from tests.tools.show.inputs import write_records
from tests.tools.show.printed_fields import fields_of
from tools.config.load import load_config
from tools.registry import MODELS
from tools.show.records import count_taken


def as_python_2(record):
    return {key.encode(): value.encode() if isinstance(value, str) else value for key, value in record.items()}


@pytest.mark.parametrize("container", ["list", "one record", "python 2", "shard"])
def test_a_record_is_described_whatever_holds_it(container, records, folder, run_show):
    path, chosen = folder / "x.bin", 0 if container == "one record" else 4
    if container == "shard":
        write_shard(path, records)
    elif container == "one record":
        write_records(path, records[0])
    else:
        write_records(path, [as_python_2(record) for record in records] if container == "python 2" else records)
    text = run_show(path, "--record", chosen, "--no-image")
    fields = fields_of(text)
    assert fields["kind"] == "YouTube-8M features"
    assert fields["records"] == ("1" if container == "one record" else "12")
    assert fields["video"] == f"video{chosen}"
    assert fields["label"] == f"{chosen}, 19"
    assert fields["nframes"] == str(10 + chosen)
    assert fields["feature"].startswith(f"{10 + chosen} frames of 1024 bytes, 0 to 255, for -1.99 to 2.01; ")
    assert fields["accepted"] == "yes"
    assert f"Record {chosen}\n" in text


def test_strange_keys_and_names_are_shown_on_one_line_each(folder, run_show):
    record = make_record(np.random.default_rng(0), "two\nlines \x1b[31m")
    write_records(folder / "x.pkl", {**record, 7: np.zeros(3), b"more": b"caf\xc3\xa9"})
    text = run_show("x.pkl")
    fields = fields_of(text)
    assert fields["video"] == r"'two\nlines \x1b[31m'"
    assert (fields["7"], fields["more"]) == ("a (3,) float64 array", "café")
    assert text.endswith("wrote x__two_nlines__x1b_31m_.png\n")


def test_values_of_any_length_are_shown_briefly(folder, run_show):
    record = make_record(np.random.default_rng(0), "a", labels=[3, 10**5000])
    write_records(folder / "x.pkl", {**record, "number": 10**5000, "text": "x" * 1000})
    fields = fields_of(run_show("x.pkl", "--no-image"))
    assert fields["label"] == "3, a value of type int"
    assert fields["number"] == "a value of type int"
    assert fields["text"] == "x" * 197 + "..."
    assert fields["accepted"].startswith("no: x.pkl record 0 (video a): label a value of type int is not in 0 to ")


def test_names_of_classes_stand_behind_the_ids(records, folder, run_show):
    write_records(folder / "x.pkl", records)
    (folder / "names.csv").write_text("Index,Name\n4,Ballet\n")
    fields = fields_of(run_show("x.pkl", "--id", "video4", "--class-names", "names.csv", "--no-image"))
    assert fields["label"] == "4 Ballet, 19"


def test_a_record_that_the_reader_refuses_is_drawn_all_the_same_and_the_reason_said(folder, run_show):
    record = make_record(np.random.default_rng(0), "video0", frames=1)
    del record["audio"]
    write_records(folder / "x.pkl", record)
    fields = fields_of(run_show("x.pkl"))
    assert fields["accepted"].startswith("no: x.pkl record 0 has no audio")
    pixels = load_picture("x_video0.png").reshape(-1, 3).astype(int)
    assert (np.abs(pixels - RGB_BLUE).max(axis=1) < 12).sum() > 50  # dots and the legend


@pytest.mark.parametrize(("frames", "section"), [(7, "TEST"), (300, "TEST"), (150, "TRAIN")])
def test_the_marked_frames_are_those_that_the_reader_takes(frames, section):
    path, name = PROJECT / "configs" / "attention_cluster.txt", "AttentionCluster"
    config = load_config(str(path), MODELS.get(name)().schema, [], name)
    rng, again = (np.random.default_rng(5) if section == "TRAIN" else None for _ in range(2))
    taken, text = count_taken(frames, name, config, rng)
    number = np.arange(frames)
    stream = np.stack([number // 256, number % 256], axis=1).astype(np.uint8)
    (batch,) = SegmentFrames(100)([Record("", "", (stream,), None)], [again] if again else None)
    seen = batch[0].astype(int) @ [256, 1]
    assert taken.tolist() == [int((seen == i).sum()) for i in range(frames)]
    assert text == "AttentionCluster takes 100 frames, one from each equal span"


def test_a_network_over_all_frames_has_none_marked(records, folder, run_show):
    write_records(folder / "x.pkl", records)
    text = run_show("x.pkl", "--model-name", "attentionlstm", "--no-image")
    assert fields_of(text)["frames"] == "AttentionLSTM takes every frame"
