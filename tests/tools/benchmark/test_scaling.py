import pytest

from tests.conftest import PROJECT
from tools.benchmark.peers import make_job
from tools.benchmark.scaling import compare_threads, measure_scaling
from tools.benchmark.workers import Spent

CLUSTER = str(PROJECT / "configs/demo/attention_cluster.txt")


class FakeWorker:
    """A process whose tasks take so many seconds by a clock, one after another."""

    def __init__(self, sec: dict[str, list[float]]):
        self.sec = {task: iter(times) for task, times in sec.items()}

    def run(self, task):
        return Spent(7, next(self.sec[task]))


def test_threads_are_compared_by_the_clock_in_pairs(tmp_path):
    job = make_job("AttentionCluster", CLUSTER, 2, 2, tmp_path)
    one = FakeWorker({"inference 2": [9, 4, 6, 8], "training": [9, 10, 20, 40]})
    two = FakeWorker({"inference 2": [9, 2, 2, 8], "training": [9, 10, 10, 10]})
    assert compare_threads(job, {"1 thread": one, "2 threads": two}, repeat=3) == {
        "inference, batches of 2, 1 thread, ms a video": 3000,
        "inference, batches of 2, 2 threads, ms a video": 1000,
        "inference, batches of 2, times as fast with 2 threads": 2,
        "training step, batches of 2, 1 thread, ms a video": 10_000,
        "training step, batches of 2, 2 threads, ms a video": 5000,
        "training step, batches of 2, times as fast with 2 threads": 2,
    }


@pytest.mark.slow
def test_a_network_is_measured_with_two_threads_and_with_one():
    figures = measure_scaling("AttentionCluster", CLUSTER, batch_size=4, repeat=1, threads=2)
    assert len(figures) == 6
    assert all(value > 0 for value in figures.values())
