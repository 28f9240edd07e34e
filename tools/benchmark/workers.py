"""Frameworks that are measured beside each other: each in a process of its own, and these work in turn."""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from tools.errors import PeerError, ZooError
from tools.runtime.log import start_log

Tasks = Mapping[str, Callable[[], object]]  # by name


class Worker:
    """A process with tasks: ``worker("name")()`` does one and gives the CPU seconds that it took there.

    opener: of the process, called with ``arguments``; gives its tasks, and what ``answers`` shall be.
    cores: how many the process may use, None for all of its parent's.
    Raises ImportError and ZooError where the opener does, RuntimeError for its other errors, and PeerError where the
    process ends.
    """

    def __init__(self, opener: Callable[..., tuple[Tasks, Any]], *arguments, cores: int | None = None):
        self._connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=serve, args=(theirs, opener, arguments, cores), daemon=True)
        self._process.start()
        theirs.close()
        self.answers = self._receive()

    def __call__(self, task: str) -> Callable[[], float]:
        return partial(self._run, task)

    def _run(self, task: str) -> float:
        self._connection.send(task)
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise PeerError(
                f"a process of the benchmark ended with code {self._process.exitcode}; -9 mostly means that memory is "
                "short, for which a smaller --batch-size helps"
            ) from None
        if isinstance(answer, Exception):
            self.close()
            raise answer
        return answer

    def close(self) -> None:
        self._connection.close()
        self._process.join()


def serve(connection: Connection, opener: Callable, arguments: tuple, cores: int | None) -> None:
    """The work of a process, until nobody asks."""
    start_log()
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    try:
        tasks, answers = opener(*arguments)
        connection.send(answers)
    except (ImportError, ZooError) as error:  # ImportError: the others are measured without this one
        connection.send(error)
        return
    except Exception as error:
        connection.send(RuntimeError(f"{type(error).__name__}: {error}"))  # not all can be sent as they are
        raise
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        began = time.process_time()
        tasks[task]()
        connection.send(time.process_time() - began)
