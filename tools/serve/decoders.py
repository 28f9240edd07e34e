"""The processes that read uploads, seen from the server: each is asked by a thread, and replaced when it goes wrong."""

import contextlib
import logging
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection

from tools.errors import ZooError
from tools.runtime.text import format_bytes
from tools.serve.decoding import decode_uploads
from tools.serve.options import Limits
from tools.serve.reading import Reader
from tools.serve.refusals import ClientGoneError, RefusalError
from tools.serve.wire import DONE, FAULT, OUT_OF_MEMORY, PART, READY, REFUSED, Part, Task, receive_message, send_task

log = logging.getLogger(__name__)

_START_SEC = 120  # of a process, on a busy machine
_LOOK_SEC = 0.1  # between looks at whether a client is still there
_PATIENCE_SEC = 1  # with what is read for a client that has gone, before its process is ended
_starting = threading.Lock()


class Job:
    """A file to read. consume: called with each part by the thread that reads it. done: once no part follows."""

    def __init__(self, task: Task, consume: Callable[[Part], None]):
        self.task, self.consume = task, consume
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # who no longer waits for it does not end it
        self.gone_at: float | None = None  # when its client went away
        self.spent_sec = 0.0  # of its process


class Decoders:
    """Context manager. Jobs are done in their order, as many at once as there are processes.

    on_restart: called when a process was replaced.
    """

    def __init__(self, reader: Reader, limits: Limits, on_restart: Callable[[], None] = lambda: None):
        self._reader, self._limits, self._on_restart = reader, limits, on_restart
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._processes: dict[int, _Process | None] = {}
        self._started: list[Future[None]] = []
        self._threads: list[threading.Thread] = []

    @property
    def num_waiting(self) -> int:
        return len(self._jobs)

    def __enter__(self) -> "Decoders":
        for number in range(self._limits.decode_processes):
            started = Future()
            self._started.append(started)
            thread = threading.Thread(target=self._work, args=(number, started), daemon=True, name=f"decoder {number}")
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *error) -> None:
        """End all processes. Jobs that wait or are under way are given up."""
        with self._changed:
            self._closed = True
            left = [*self._jobs]
            self._jobs.clear()
            self._changed.notify_all()
            for process in filter(None, self._processes.values()):
                process.kill()
        for job in left:
            job.done.set_exception(ClientGoneError())
        for thread in self._threads:
            thread.join(timeout=5)

    def require_started(self) -> None:
        """Wait for the processes. Raises ZooError where one does not start."""
        for started in self._started:
            started.result(timeout=2 * _START_SEC)

    def submit(self, job: Job) -> None:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def give_up(self, job: Job) -> None:
        """Let go of a job whose client has gone; one that is being read ends in a moment."""
        job.gone_at = time.monotonic()
        with self._changed:
            if job not in self._jobs:
                return
            self._jobs.remove(job)
        job.done.set_exception(ClientGoneError())

    def _next(self) -> Job | None:
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            return None if self._closed else self._jobs.popleft()

    def _work(self, number: int, started: Future) -> None:
        try:
            self._start(number)
            started.set_result(None)
        except Exception as error:  # noqa: BLE001  (who waits for the start tells of it)
            started.set_exception(error)
        while (job := self._next()) is not None:
            try:
                process = self._living(number) or self._start(number)
                process.run(job, self._limits)
            except Exception as error:  # noqa: BLE001  (the client hears of it; this thread has other files to read)
                failure = error
            else:
                failure = None
            if (process := self._processes[number]) and not process.is_well:
                process.kill()
                self._processes[number] = None
                self._on_restart()
            if failure is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(failure)
            if self._processes[number] is None and not self._closed:
                with contextlib.suppress(ZooError):  # the next job tries again
                    self._start(number)

    def _living(self, number: int) -> "_Process | None":
        """The process, unless it has ended meanwhile, as by a system that is short of memory: no upload is at fault."""
        process = self._processes[number]
        if process and not process.is_alive:
            process.kill()
            self._processes[number] = process = None
            self._on_restart()
        return process

    def _start(self, number: int) -> "_Process":
        process = _Process(self._reader, self._limits)
        with self._changed:
            self._processes[number] = process
            if self._closed:
                process.kill()
        try:
            process.require_ready()
        except ZooError:
            process.kill()
            self._processes[number] = None
            raise
        return process


class _Process:
    """One process. is_well: whether it can read another file."""

    def __init__(self, reader: Reader, limits: Limits):
        context = multiprocessing.get_context("spawn")  # so that it inherits no socket, and no lock that a thread holds
        ours, theirs = context.Pipe()
        arguments = (theirs, reader, limits.decode_bytes, limits.decode_sec)
        self._process = context.Process(target=decode_uploads, args=arguments, daemon=True)
        with _starting:
            # What asks the server to stop, by Ctrl-C in a terminal all processes in it, does not end what is under way.
            heeded = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
            before = signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
            try:
                self._process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                theirs.close()
        self._connection: Connection = ours
        self.is_well = True

    def require_ready(self) -> None:
        """Raises ZooError where the process does not start."""
        try:
            if self._connection.poll(_START_SEC) and receive_message(self._connection)["kind"] == READY:
                return
        except (OSError, EOFError, ValueError):
            pass
        raise ZooError(
            "a process that reads uploads does not start; more memory, or fewer --decode-processes, may help"
        )

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self.is_well = False
        self._process.kill()
        self._process.join(timeout=5)
        self._connection.close()

    def run(self, job: Job, limits: Limits) -> None:
        """Read a file. Raises RefusalError, and ClientGoneError once a client has gone."""
        well, self.is_well = self.is_well, False
        try:
            send_task(self._connection, job.task)
            while (message := self._wait(job, limits))["kind"] == PART:
                job.consume(message["part"])
        except (OSError, EOFError, ValueError, KeyError):
            raise self._explain_end(limits) from None
        kind = message["kind"]
        if kind == OUT_OF_MEMORY:
            raise _too_large(limits)
        self.is_well = well and not message.get("is_used_up", True)
        if kind == REFUSED:
            raise RefusalError(422 if message["kind_is_right"] else 415, message["text"])
        if kind == FAULT:
            log.info(f"an upload could not be read: {message['text']}")
            raise RefusalError(500, "the server failed to read the upload; its log says more")
        if kind != DONE:
            self.is_well = False
            raise self._explain_end(limits)

    def _wait(self, job: Job, limits: Limits) -> dict:
        """The next message; what the thread does between messages does not count as time of this process."""
        deadline = time.monotonic() + limits.decode_sec - job.spent_sec
        began = time.monotonic()
        while True:
            is_there = self._connection.poll(_LOOK_SEC)
            if job.gone_at is not None and time.monotonic() > job.gone_at + _PATIENCE_SEC:
                raise ClientGoneError
            if is_there:
                break
            if time.monotonic() > deadline:
                raise _too_slow(limits)
        message = self._receive_until(deadline, limits)
        job.spent_sec += time.monotonic() - began
        return message

    def _receive_until(self, deadline: float, limits: Limits) -> dict:
        """A message that has begun; a process that stops in the midst of one is ended. Raises as receive_message."""
        watch = threading.Timer(max(deadline - time.monotonic(), 1), self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            return receive_message(self._connection)
        except (OSError, EOFError):
            if time.monotonic() > deadline:
                raise _too_slow(limits) from None
            raise
        finally:
            watch.cancel()

    def _explain_end(self, limits: Limits) -> RefusalError:
        """Why the process ended, or had to be ended as what it said was no message."""
        self._process.join(timeout=1)
        code = self._process.exitcode
        if code == -signal.SIGXCPU:
            return _too_slow(limits)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        log.info(f"a process that read an upload ended ({how}); another takes its place")
        return RefusalError(422, f"the upload ended the process that decodes it ({how}); convert it, or send another")


def _too_slow(limits: Limits) -> RefusalError:
    return RefusalError(
        422, f"the upload takes more than {limits.decode_sec:g} s to decode; send a shorter or smaller one"
    )


def _too_large(limits: Limits) -> RefusalError:
    most = format_bytes(limits.decode_bytes)
    return RefusalError(422, f"the upload takes more than {most} of memory to decode; send a smaller one")
