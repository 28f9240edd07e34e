"""What comes together runs together, as far as it fits, and everybody has an answer."""

import concurrent.futures
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import pytest

import tests.tuned_paddle  # noqa: F401
from datareader.dataset import Batch
from tests.tools.serve.servers import wait_until
from tools.serve.network import NetworkThread


class Doubling:
    """Gives each record twice its numbers, and fails for a seven. sizes: of the batches so far."""

    def __init__(self):
        self.sizes, self.may_go = [], threading.Event()
        self.may_go.set()

    def eval(self):
        pass

    def __call__(self, x):
        assert self.may_go.wait(30)
        self.sizes.append(len(x))
        if bool((x == 7).any()):
            raise RuntimeError("seven")
        return x * 2

    def probs(self, logits):
        return logits


def batch_of(*rows):
    names = [str(row) for row in rows]
    return Batch(names, names, [None] * len(rows), (np.array(rows, np.float32),), None)


@pytest.fixture
def network():
    return Doubling()


def test_batches_that_wait_are_joined_up_to_the_size_in_their_order(network):
    network.may_go.clear()
    with NetworkThread(network, lambda batch: batch, 3, 0.05) as thread:
        futures = [thread.submit(batch_of([number, 0])) for number in range(6)]
        network.may_go.set()
        assert [future.result(30).tolist() for future in futures] == [[[2 * number, 0]] for number in range(6)]
    assert sum(network.sizes) == 6
    assert max(network.sizes) == 3


def test_no_more_bytes_wait_than_there_is_room_for(network, monkeypatch):
    monkeypatch.setattr("tools.serve.network._MOST_WAITING", 100)
    network.may_go.clear()
    with NetworkThread(network, lambda batch: batch, 8, 0) as thread, ThreadPoolExecutor(1) as pool:
        first = thread.submit(batch_of([1] * 100))  # which is larger than the room, and runs alone
        wait_until(lambda: thread.num_waiting == 0)
        second = thread.submit(batch_of([1] * 20))
        third = pool.submit(thread.submit, batch_of([1] * 10))
        with pytest.raises(concurrent.futures.TimeoutError):
            third.result(0.3)
        network.may_go.set()
        assert [len(future.result(30)[0]) for future in (first, second, third.result(30))] == [100, 20, 10]


def test_batches_of_other_forms_and_larger_ones_run_by_themselves(network):
    network.may_go.clear()
    with NetworkThread(network, lambda batch: replace(batch), 2, 0.05) as thread:
        batches = [batch_of([1]), batch_of([1, 2]), batch_of([1], [2], [3]), batch_of([4])]
        futures = [thread.submit(batch) for batch in batches]
        network.may_go.set()
        for batch, future in zip(batches, futures, strict=True):
            np.testing.assert_array_equal(future.result(30), 2 * batch.inputs[0])
    assert sorted(network.sizes) == [1, 1, 1, 3]


def test_a_failure_is_told_to_those_it_concerns_and_the_next_batch_runs(network, log_lines):
    with NetworkThread(network, lambda batch: batch, 1, 0) as thread:
        bad, good = thread.submit(batch_of([7])), thread.submit(batch_of([8]))
        with pytest.raises(RuntimeError, match="seven"):
            bad.result(30)
        assert good.result(30).tolist() == [[16]]
    assert log_lines == ["the network failed: RuntimeError: seven"]


def test_what_was_given_up_is_not_run(network):
    network.may_go.clear()
    with NetworkThread(network, lambda batch: batch, 1, 0) as thread:
        first, second, third = (thread.submit(batch_of([number])) for number in range(3))
        assert second.cancel()
        network.may_go.set()
        wait([first, third], 30)
        assert third.result().tolist() == [[4]]
    assert network.sizes == [1, 1]


def test_nothing_waits_for_ever_at_the_end(network):
    with NetworkThread(network, lambda batch: batch, 1, 0) as thread:
        pass
    assert thread.submit(batch_of([1])).cancelled()
