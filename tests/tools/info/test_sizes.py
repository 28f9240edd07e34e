"""Parameters and multiply-adds of the published configs, against formulas of the layers that the papers describe."""

import itertools

import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tools.config.flags import ConfigSource
from tools.config.load import parse_set
from tools.info.card import describe_graph
from tools.info.subject import open_model

STREAMS, CLASSES = (1024, 128), 3862  # of YouTube-8M
FRAMES = 300


def sizes_of(name, *settings):
    """(trained parameters, running statistics, multiply-adds of one view) as a card says them."""
    subject = open_model(name, ConfigSource(None, tuple(map(parse_set, settings))))
    graph = describe_graph(subject, subject.build())
    return *graph["parameters"].values(), graph["multiply_adds"]["per_view"]


def attention_cluster():
    """K units a stream: a linear score of each frame, a weighted sum, a scale and a shift."""
    frames, units, layers = 100, 32, (32 * sum(STREAMS), 1024, 4096, CLASSES)
    weights = sum(a * b for a, b in itertools.pairwise(layers))
    own = sum(dim * units + units + 2 * units for dim in STREAMS)
    return own + weights + sum(layers[1:]), 0, sum(2 * frames * units * dim for dim in STREAMS) + weights


def attention_lstm():
    """A stream: an embedding, in each direction four gates of input and hidden state, a score, a weighted sum."""
    embedding, hidden, layers = 512, 1024, (2 * 1024 * len(STREAMS), 8192, 4096, CLASSES)
    weights = sum(a * b for a, b in itertools.pairwise(layers))
    gates = 4 * hidden * (embedding + hidden)
    trained, products = weights + sum(layers[1:]), weights
    for dim in STREAMS:
        one_direction = gates + 4 * hidden + 4 * hidden + 3 * hidden  # biases of both, and the peepholes
        trained += dim * embedding + embedding + 2 * one_direction + 2 * hidden + 1
        products += FRAMES * (dim * embedding + 2 * gates + 2 * hidden + 2 * hidden)
    return trained, 0, products


def nextvlad():
    """A stream: expansion, a weight a group, shares over K clusters, residuals; then a hidden layer with a gate."""
    clusters, groups, hidden, gate = 128, 8, 2048, 2048 // 8
    trained = products = statistics = descriptor = 0
    for dim in STREAMS:
        width, length = 2 * dim, 2 * dim // groups
        weights = dim * width + width * groups + width * groups * clusters
        trained += weights + width + groups + clusters * length
        normalised = groups * clusters + clusters * length
        trained, statistics = trained + 2 * normalised, statistics + 2 * normalised
        products += FRAMES * weights + FRAMES * groups * clusters * length
        descriptor += clusters * length
    head = descriptor * hidden + 2 * hidden * gate + hidden * CLASSES
    trained += head + CLASSES + 2 * (hidden + gate)
    return trained, statistics + 2 * (hidden + gate), products + head


def resnet(blocks, images, size):
    """(trained, statistics, multiply-adds of one input of 3 * images channels): He et al., table 1."""
    trained = channels_of_norms = products = 0

    def convolve(channels, width, kernel, side):
        nonlocal trained, channels_of_norms, products
        trained += channels * width * kernel**2
        channels_of_norms += width
        products += channels * width * kernel**2 * side**2

    convolve(3 * images, 64, 7, size // 2)
    channels, side = 64, size // 4
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            before, side = side, side // 2 if stage and not block else side
            convolve(channels, width, 1, before)
            convolve(width, width, 3, side)
            convolve(width, 4 * width, 1, side)
            if not block:
                convolve(channels, 4 * width, 1, side)
            channels = 4 * width
    return trained + 2 * channels_of_norms, 2 * channels_of_norms, products


def tsn(blocks=(3, 4, 6, 3), segments=3, images=1):
    trained, statistics, products = resnet(blocks, images, 224)
    return trained + 2048 * 400 + 400, statistics, segments * products + 2048 * 400


def stnet(segments=7):
    """Temporal blocks of 3 x 1 x 1 behind two stages; a temporal Xception block; the maximum; a classifier."""
    trained, statistics, products = resnet((3, 4, 6, 3), 5, 256)
    products *= segments
    for channels, side in ((512, 32), (1024, 16)):
        trained += 3 * channels**2 + channels + 2 * channels
        statistics += 2 * channels
        products += 3 * channels**2 * segments * side**2
    before, behind = 2048, 1024
    pointwise = before * behind + behind * behind + before * behind
    depthwise = 3 * (before + behind)
    trained += pointwise + 3 * behind + depthwise + before + behind + 2 * (before + behind + behind)
    statistics += 2 * (before + behind + behind)
    products += segments * (pointwise + depthwise)
    return trained + behind * 400 + 400, statistics, products + behind * 400


EXPECTED = {
    "AttentionCluster": attention_cluster,
    "AttentionLSTM": attention_lstm,
    "NEXTVLAD": nextvlad,
    "STNET": stnet,
    "TSN": tsn,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_sizes_of_a_published_config_are_those_of_its_layers(name):
    assert sizes_of(name) == EXPECTED[name]()


def test_the_settings_in_force_count():
    settings = ("MODEL.num_layers=101", "MODEL.seglen=2", "TEST.seg_num=5")
    assert sizes_of("TSN", *settings) == tsn((3, 4, 23, 3), segments=5, images=2)


def test_a_resnet_50_has_the_size_that_the_field_knows():
    trained, _, products = resnet((3, 4, 6, 3), 1, 224)
    assert trained + 2048 * 1000 + 1000 == 25_557_032
    assert round((products + 2048 * 1000) / 1e9, 2) == 4.09


@pytest.mark.parametrize("name", ["STNET", "TSN"])
def test_the_page_of_a_model_says_how_many_parameters_it_has(name):
    trained, _, _ = EXPECTED[name]()
    assert f"{trained:,} parameters" in (PROJECT / f"models/{name.lower()}/README.md").read_text(encoding="utf-8")
