"""What is decided for a training on own data: by the list's length, the memory and the cores, with its reason."""

import pytest

import models  # noqa: F401  (registers the specs)
from dataset.training_config import (
    FEWEST_EPOCHS,
    MOST_EPOCHS,
    Machine,
    choose_batch,
    choose_epochs,
    choose_rate,
    choose_scoring_batch,
    choose_threads,
    count_fitting,
    decide,
)
from models.spec import Choice
from tests.conftest import PROJECT
from tools.config.load import Override, load_config
from tools.registry import MODELS

GB, MB = 10**9, 10**6
PLENTY = Choice(10_000, "there is plenty")


def decide_for(name, num_videos, machine, folder):
    """{(section, key): value} for a model."""
    spec, config = load_published(name, folder)
    return {key: choice.value for key, choice in decide(spec, config, num_videos, machine).items()}


def load_published(name, folder, chosen=()):
    """A model's spec and its own config, with other values for some keys."""
    spec = MODELS.get(name)()
    overrides = [*spec.make_placeholders(folder), *(Override(*key, value, "test") for key, value in chosen)]
    path = str(PROJECT / spec.default_config)
    return spec, load_config(path, spec.schema, ["MODEL", "TRAIN", "VALID", "TEST", "INFER"], name, overrides)


@pytest.mark.parametrize(
    ("num_videos", "size"),
    [(1, 1), (2, 2), (3, 3), (6, 3), (7, 3), (8, 4), (48, 4), (320, 20), (330, 15), (10_000, 250), (200_000, 250)],
)
def test_the_batch_follows_the_list_up_to_the_published_one_and_leaves_few_videos_out(num_videos, size):
    batch = choose_batch(num_videos, PLENTY, 256, 0).value
    assert batch == size <= num_videos
    assert num_videos < 64 or num_videos // batch >= 16
    assert num_videos < 8 or num_videos % batch <= 0.03 * num_videos


def test_small_memory_makes_small_batches_and_says_so():
    fits = count_fitting(300 * MB, Machine(cores=2, memory=4 * GB))
    assert fits.value == 6
    batch = choose_batch(10_000, fits, 256, 0)
    assert batch.value == 5  # 10,000 is a multiple of it
    assert batch.reason.startswith("half of the 4.0 GB of this machine holds 6, at 300 MB a video")
    assert count_fitting(300 * MB, Machine(cores=2, memory=400 * MB)).value == 1
    assert count_fitting(300 * MB, Machine(cores=2, memory=None)).value == 4


def test_a_batch_splits_over_the_gpus_and_fits_each():
    fits = count_fitting(300 * MB, Machine(cores=8, memory=8 * GB, gpus=4))
    assert fits == Choice(52, "half of the 8.0 GB of each of 4 GPUs holds 13, at 300 MB a video")
    for num_videos in (6, 100, 10_007):
        batch = choose_batch(num_videos, fits, 256, 4)
        assert batch.value % 4 == 0
        assert batch.value <= min(num_videos, 52)
    assert "a multiple of 4 GPUs" in batch.reason


def test_what_does_not_fill_a_batch_is_told():
    assert choose_batch(7, PLENTY, 256, 0).reason.endswith("; 1 of the 7, others in each epoch, do not fill a batch")
    assert "do not fill" not in choose_batch(8, PLENTY, 256, 0).reason


def test_the_rate_follows_the_batch_by_the_rule_for_its_optimizer_down_to_a_tenth():
    assert choose_rate("linear", 0.01, 256, 256) == Choice(0.01, "0.01 for batches of 256, as published")
    assert choose_rate("linear", 0.01, 256, 128).value == 0.005
    assert choose_rate("square root", 0.001, 1024, 256).value == 0.0005
    small = choose_rate("linear", 0.01, 256, 8)
    assert small.value == 0.001
    assert (
        "1706.02677, section 2.1) gives 0.00031 for 8, and a tenth of the published rate is the least" in small.reason
    )
    assert "2205.10287" in choose_rate("square root", 0.001, 1024, 256).reason


@pytest.mark.parametrize(
    ("num_videos", "batch", "epochs"),
    [(6, 3, MOST_EPOCHS), (320, 20, MOST_EPOCHS), (2000, 25, 25), (10_000, 25, FEWEST_EPOCHS)],
)
def test_small_lists_are_seen_more_often(num_videos, batch, epochs):
    chosen = choose_epochs(num_videos, batch)
    assert chosen.value == epochs
    assert chosen.reason.startswith(f"{epochs * (num_videos // batch)} steps, {num_videos // batch} an epoch")


def test_a_few_hundred_videos_get_hundreds_of_steps_and_ten_thousand_not_a_week():
    for num_videos in (200, 300, 900):
        batch = choose_batch(num_videos, PLENTY, 256, 0).value
        assert choose_epochs(num_videos, batch).value * (num_videos // batch) >= 500
    week_sec, sec_per_video = 7 * 86400, 1.5  # of TSN at 224 pixels on two cores
    assert choose_epochs(10_000, 25).value * 10_000 * sec_per_video < week_sec / 4


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (12, 12), (64, 12)])
def test_threads_are_as_many_as_cores_up_to_those_published(cores, threads):
    assert choose_threads(cores, 12).value == threads


def test_scoring_takes_the_published_batch_where_it_fits():
    assert choose_scoring_batch(100, 32).value == 32
    assert choose_scoring_batch(10, 32).value == 10


@pytest.mark.parametrize("name", MODELS.names())
@pytest.mark.parametrize("num_videos", [6, 10_000])
def test_what_is_decided_for_a_model_fits_its_list_and_its_memory(name, num_videos, tmp_path):
    decided = decide_for(name, num_videos, Machine(cores=2, memory=4 * GB), tmp_path)
    on_large = decide_for(name, num_videos, Machine(cores=64, memory=512 * GB), tmp_path)
    assert 1 <= decided["TRAIN", "batch_size"] <= on_large["TRAIN", "batch_size"] <= num_videos
    for section in ("TRAIN", "VALID", "TEST", "INFER"):
        assert decided[section, "num_reader_threads"] == 2
        assert 1 <= decided[section, "batch_size"] <= on_large[section, "batch_size"]
    spec, config = load_published(name, tmp_path)
    assert decided["TRAIN", "batch_size"] * spec.video_bytes(config) <= 2 * GB


@pytest.mark.parametrize("name", ["TSN", "AttentionLSTM", "NEXTVLAD"])
def test_the_rate_of_a_decided_training_falls_within_its_epochs(name, tmp_path):
    decided = decide_for(name, 640, Machine(cores=2, memory=64 * GB), tmp_path)
    spec, config = load_published(name, tmp_path, decided.items())
    steps_per_epoch = 640 // config.TRAIN.batch_size
    schedule = spec.build_schedule(config, steps_per_epoch)
    last = config.TRAIN.epoch * steps_per_epoch - 1
    assert schedule(0) == config.TRAIN.learning_rate
    assert schedule(last // 4) > 0.3 * schedule(0)
    assert 0 < schedule(last) <= 0.11 * schedule(0)
