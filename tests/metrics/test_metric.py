"""What all metrics have in common: the contract, and that those of several processes merge to those of one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.kinetics import KineticsMetrics
from metrics.metric import Metric
from metrics.youtube8m import YouTube8MMetrics


def kinetics_metric(batches):
    metric = KineticsMetrics(6)
    for seed, size in batches:
        rng = np.random.default_rng(seed)
        metric.update(rng.random((size, 6), np.float32), rng.integers(-1, 6, size), rng.random())
    return metric


def youtube8m_metric(batches):
    metric = YouTube8MMetrics(6, top_k=3)
    for seed, size in batches:
        rng = np.random.default_rng(seed)
        probs = np.round(rng.random((size, 6), np.float32), 1)  # with ties
        metric.update(probs, (rng.random((size, 6)) < 0.3).astype(np.float32), rng.random())
    return metric


def test_they_have_every_member_of_the_contract():
    for metric_of in (kinetics_metric, youtube8m_metric):
        assert isinstance(metric_of([]), Metric)


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), world=st.integers(1, 4), data=st.data())
def test_metrics_of_several_processes_merge_to_those_of_one_bit_for_bit(sizes, world, data):
    batches = list(enumerate(sizes))
    mixed = data.draw(st.permutations(batches))
    edges = sorted(data.draw(st.lists(st.integers(0, len(mixed)), min_size=world - 1, max_size=world - 1)))
    parts = [mixed[a:b] for a, b in zip([0, *edges], [*edges, len(mixed)], strict=True)]  # some may be empty
    for metric_of in (kinetics_metric, youtube8m_metric):
        merged = metric_of(parts[0])
        for part in parts[1:]:
            merged.merge(metric_of(part))
        whole = metric_of(batches)
        assert merged.compute() == whole.compute()
        assert merged.report() == whole.report()
        assert merged.num_videos == whole.num_videos
