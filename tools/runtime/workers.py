"""Work that is spread over threads, or over processes, which end with this one however it ends."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import chain, islice
from multiprocessing.connection import wait as wait_for_any
from queue import Full, Queue
from typing import TypeVar

from tools.errors import PeerError
from tools.runtime.cpu import usable_cores
from tools.runtime.log import progress_bar

QUICK = 64  # files at once for a thread that only looks at them; handing over one takes as long as looking at it
READERS_AT_LEAST = 4  # threads; a disk, and more so a file server, serves several at once
_END = object()  # of a stream
Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(function: Callable, items: Iterable, num_workers: int) -> Iterator:
    """``map`` with ``num_workers`` threads that stay ``num_workers + 1`` results ahead.

    Results come in the order of the items, and an exception comes in its item's place with its own
    type and text. With 0 workers it is ``map``.
    """
    if num_workers == 0:
        yield from map(function, items)
        return
    items = iter(items)
    pending = deque()
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="reader")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > num_workers + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def read_ahead(streams: Iterable[Iterable[Item]], num_workers: int, ahead: int) -> Iterator[Item]:
    """The items of all streams, one stream after another.

    Up to ``num_workers`` threads each go through one of the next streams, until ``ahead`` items of it wait. What a
    stream raises comes in its place. With 0 workers, the calling thread goes through them.
    """
    if num_workers == 0:
        yield from chain.from_iterable(streams)
        return
    streams, readers, ended = iter(streams), deque(), threading.Event()

    def read(stream: Iterable, waiting: Queue) -> None:
        def put(item) -> bool:
            while not ended.is_set():
                with suppress(Full):
                    waiting.put(item, timeout=0.1)
                    return True
            return False

        try:
            all(map(put, stream))
        finally:
            put(_END)

    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="reader")
    try:
        while True:
            for stream in islice(streams, num_workers - len(readers)):
                waiting = Queue(ahead)
                readers.append((waiting, pool.submit(read, stream, waiting)))
            if not readers:
                return
            waiting, reader = readers[0]
            while (item := waiting.get()) is not _END:
                yield item
            reader.result()
            readers.popleft()
    finally:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)


def map_files(
    function: Callable[[Item], Result], files: Sequence[Item], description: str, at_once: int = 1, shown: bool = True
) -> Iterator[Result]:
    """``map`` over files by threads, with a bar. at_once: files handed to a thread together."""

    def do(start: int) -> list:
        return [function(file) for file in files[start : start + at_once]]

    with progress_bar(len(files), 0, description, unit="file", shown=shown) as bar:
        for results in map_in_order(do, range(0, len(files), at_once), max(READERS_AT_LEAST, usable_cores())):
            bar.update(len(results))
            yield from results


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], num_workers: int, crashed: Callable[[Item], Result]
) -> Iterator[tuple[Item, Result]]:
    """Give each item with what ``function`` makes of it, in the order in which they are finished.

    Items are drawn as processes become free. What the function raises is raised here. ``crashed(item)`` stands
    for the result of an item on which a process dies; which one it was is found out by doing those that were
    under way again, one at a time. Close the iterator to end the processes.
    """
    items = iter(items)
    suspects = [None]
    while suspects:
        suspects = []
        with _open_pool(num_workers) as submit:
            yield from _map_until_crash(submit, function, items, num_workers + 1, suspects)
        for item in suspects:
            with _open_pool(1) as submit:
                try:
                    result = submit(function, item).result()
                except BrokenProcessPool:
                    result = crashed(item)
            yield item, result


def call_in_process(function: Callable[..., Result], *arguments) -> Result:
    """What ``function(*arguments)`` gives in a process of its own. Raises PeerError where that process dies."""
    with _open_pool(1) as submit:
        try:
            return submit(function, *arguments).result()
        except BrokenProcessPool:
            text = f"the process of {function.__name__} was ended from outside; perhaps the memory ran out"
    raise PeerError(text)


def _map_until_crash(submit, function, items: Iterator, window: int, suspects: list) -> Iterator[tuple]:
    """Until no item is left, or a process has died and those under way are suspects."""
    running: dict[Future, Item] = {}
    while True:
        while len(running) < window and not suspects:
            try:
                item = next(items)
            except StopIteration:
                break
            try:
                running[submit(function, item)] = item
            except BrokenProcessPool:
                suspects.append(item)
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            item = running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(item)
                continue
            try:
                yield item, future.result()
            finally:
                del future  # or what it raises would hold this frame, and this frame what it raised


@contextmanager
def _open_pool(num_workers: int) -> Iterator[Callable[..., Future]]:
    # Not forked: threads of a progress bar may hold locks at that moment.
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), end_with_parent)

    def submit(*arguments) -> Future:
        # This may start a process, which inherits that it does not hear Ctrl-C; here it is heard a moment later.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return pool.submit(*arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield submit
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """In a process that multiprocessing has started: end it when the one that started it ends, however it does."""

    def follow() -> None:
        wait_for_any([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
