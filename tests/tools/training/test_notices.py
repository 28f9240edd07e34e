"""Settings that may not be what was meant: a rate for another batch size, and a batch that leaves records out."""

from pathlib import Path

import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tools.config.load import Override, load_config, parse_set
from tools.registry import MODELS
from tools.training.notices import (
    compare_balancing,
    compare_rate,
    compare_unfreezing,
    count_left_out,
    suggest_processes,
)

PATH = str(PROJECT / "configs/tsn.txt")  # batch_size = 256, learning_rate = 0.01


def notices_of(*settings):
    overrides = [parse_set(text) for text in settings]
    return compare_rate(load_config(PATH, MODELS.get("TSN").schema, ["MODEL", "TRAIN"], "TSN", overrides))


def test_a_rate_that_stands_beside_another_batch_size_is_told_with_the_one_in_proportion():
    (line,) = notices_of("TRAIN.batch_size=9")
    assert line.startswith(f"{PATH} [TRAIN]: learning_rate = 0.01 stands beside batch_size = 256; for batches of 9")
    assert "gives 0.000352, which --learning-rate would set" in line  # 0.01 * 9 / 256
    (line,) = notices_of("TRAIN.batch_size=64", "TRAIN.batch_size=512")
    assert "gives 0.02," in line


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("TRAIN.batch_size=256",),
        ("VALID.batch_size=9",),
        ("TRAIN.batch_size=9", "TRAIN.learning_rate=0.01"),
        ("TRAIN.epoch=3",),
    ],
)
def test_nothing_is_said_of_a_rate_that_was_chosen_or_a_batch_size_that_stayed(settings):
    assert notices_of(*settings) == []


def test_a_batch_size_of_a_file_that_is_no_number_is_passed_over(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text(Path(PATH).read_text().replace("batch_size = 256", 'batch_size = "many"', 1))
    overrides = [Override("TRAIN", "batch_size", 9, "--batch-size")]
    assert compare_rate(load_config(str(path), MODELS.get("TSN").schema, ["TRAIN"], "TSN", overrides)) == []


@pytest.mark.parametrize(
    ("records", "batch_size", "parts", "line"),
    [
        (40, 30, 1, "10 of 40 records (25 %), others in each epoch, are not read: they do not fill a batch of 30; "
         "--batch-size 20 would leave out 0"),
        (40, 30, 3, "10 of 40 records (25 %), others in each epoch, are not read: they do not fill a batch of 30"),
        (7, 4, 4, "3 of 7 records (43 %), others in each epoch, are not read: they do not fill a batch of 4"),
    ],
)  # fmt: skip
def test_a_batch_that_leaves_a_good_part_out_is_told_with_a_size_that_does_not(records, batch_size, parts, line):
    assert count_left_out(records, batch_size, parts) == [f"[TRAIN] {line}"]


@pytest.mark.parametrize(("records", "batch_size"), [(40, 8), (1000, 97), (100, 97)])
def test_a_few_records_are_left_out_without_a_word(records, batch_size):
    assert count_left_out(records, batch_size, 1) == []


def test_balancing_twice_is_told():
    def notices(*settings):
        overrides = [parse_set(f"TRAIN.{text}") for text in settings]
        return compare_balancing(load_config(PATH, MODELS.get("TSN").schema, ["MODEL", "TRAIN"], "TSN", overrides))

    assert notices("class_weights=balanced") == notices("sampling=balanced") == []
    (line,) = notices("class_weights=balanced", "sampling=balanced")
    assert 'class_weights = "balanced" stands beside sampling = "balanced"' in line


def test_an_epoch_of_unfreezing_that_does_not_come_is_told():
    config = load_config(PATH, MODELS.get("TSN").schema, ["TRAIN"], "TSN", [parse_set("TRAIN.epoch=3")])
    assert compare_unfreezing(config, None) == compare_unfreezing(config, 2) == []
    for epoch in (3, 7):
        (line,) = compare_unfreezing(config, epoch)
        assert line == (
            f"--unfreeze-at {epoch} does not come: the last of 3 epochs is 2, and the backbone stays frozen to the end"
        )


def test_processes_are_suggested_to_one_that_has_many_cores():
    assert suggest_processes("TSN", 7, "paddle") == suggest_processes("TSN", 64, "onednn") == []
    (line,) = suggest_processes("TSN", 8, "paddle")
    assert line.startswith("one process has 8 cores; --nproc 2, or more, may train TSN faster")
