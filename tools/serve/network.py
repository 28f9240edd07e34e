"""The thread that runs the network, on batches of what uploads hold."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from datareader.dataset import Batch

log = logging.getLogger(__name__)

_END = None
_MOST_WAITING = 512 << 20  # bytes of batches that wait, unless one alone has more


class NetworkThread:
    """Context manager. Batches that come within ``wait_sec`` of one another are run together, up to ``batch_size``.

    to_float: makes a batch what the network takes. on_batch: called with the number of records of each that was run.
    """

    def __init__(
        self,
        network,
        to_float: Callable[[Batch], Batch],
        batch_size: int,
        wait_sec: float,
        on_batch: Callable[[int], None] = lambda size: None,
    ):
        self._network, self._to_float, self._on_batch = network, to_float, on_batch
        self._batch_size, self._wait_sec = batch_size, wait_sec
        self._waiting = queue.Queue(2 * batch_size)
        self._next: tuple[Batch, Future] | None = None  # what did not go with those before
        self._running: list[tuple[Batch, Future]] = []
        self._closed = threading.Event()
        self._bytes, self._fewer = 0, threading.Condition()  # of what waits
        self._thread = threading.Thread(target=self._run, daemon=True, name="network")

    def __enter__(self) -> "NetworkThread":
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        """What waits is given up; the batch that is run comes to its end within moments, or is left behind."""
        self._closed.set()
        with self._fewer:
            self._fewer.notify_all()
        while not self._waiting.empty():
            _, future = self._waiting.get()
            future.cancel()
        self._waiting.put(_END)
        self._thread.join(timeout=10)

    @property
    def num_waiting(self) -> int:
        return self._waiting.qsize()

    def submit(self, batch: Batch) -> "Future[np.ndarray]":
        """Probabilities (N, num_classes) float32 of the N records of a batch, later; waits while many others wait."""
        future, size = Future(), size_of(batch)
        with self._fewer:
            self._fewer.wait_for(
                lambda: not self._bytes or self._bytes + size <= _MOST_WAITING or self._closed.is_set()
            )
            self._bytes += size
        if self._closed.is_set():
            future.cancel()
        else:
            self._waiting.put((batch, future))
        return future

    def _take(self, timeout: float | None = None) -> tuple[Batch, Future] | None:
        """The next that waits, or the end. Raises queue.Empty."""
        item = self._waiting.get(timeout=timeout)
        if item is not _END:
            with self._fewer:
                self._bytes -= size_of(item[0])
                self._fewer.notify_all()
        return item

    def _run(self) -> None:
        from tools.inference.predict import predict  # imports Paddle

        while not self._closed.is_set():
            try:
                for prediction in predict(self._network, self._batches()):
                    first = 0
                    for batch, future in self._running:
                        future.set_result(prediction.probs[first : first + len(batch)])
                        first += len(batch)
                    self._running = []
            except Exception as error:  # noqa: BLE001  (those who wait hear of it; others may fare better)
                log.info(f"the network failed: {type(error).__name__}: {error}")
                for _, future in self._running:
                    if not future.done():
                        future.set_exception(error)
                self._running = []

    def _batches(self) -> Iterator[Batch]:
        while items := self._gather():
            self._running = [item for item in items if item[1].set_running_or_notify_cancel()]
            if self._running:
                batch = self._to_float(join([batch for batch, _ in self._running]))
                self._on_batch(len(batch))
                yield batch

    def _gather(self) -> list[tuple[Batch, Future]]:
        """What to run together; nothing at the end."""
        item = self._next or self._take()
        self._next = None
        if item is _END:
            return []
        items, size, deadline = [item], len(item[0]), time.monotonic() + self._wait_sec
        while size < self._batch_size:
            try:
                item = self._take(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if item is _END:
                self._waiting.put(_END)
                break
            if size + len(item[0]) > self._batch_size or form_of(item[0]) != form_of(items[0][0]):
                self._next = item
                break
            items.append(item)
            size += len(item[0])
        return items


def size_of(batch: Batch) -> int:
    """Bytes of its arrays."""
    return sum(array.nbytes for array in batch.inputs)


def form_of(batch: Batch) -> tuple:
    """Batches of the same form can be joined."""
    return batch.views, tuple((array.dtype, array.shape[1:]) for array in batch.inputs)


def join(batches: list[Batch]) -> Batch:
    """Several batches of one form as one; spans are left out."""
    first = batches[0]
    return replace(
        first,
        ids=[name for batch in batches for name in batch.ids],
        sources=[source for batch in batches for source in batch.sources],
        entries=[entry for batch in batches for entry in batch.entries],
        inputs=tuple(map(np.concatenate, zip(*(batch.inputs for batch in batches), strict=True))),
        spans=None,
    )
