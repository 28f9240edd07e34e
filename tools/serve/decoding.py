"""The process that reads strangers' files: what it may use is bounded, and it ends with the server."""

import gc
import os
import resource
import signal
import threading
import time
import traceback
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
from tqdm import tqdm

from tools.errors import DataError
from tools.runtime.workers import end_with_parent
from tools.serve.reading import Reader, has_right_kind
from tools.serve.wire import (
    DONE,
    FAULT,
    OUT_OF_MEMORY,
    READY,
    REFUSED,
    Task,
    receive_task,
    send_message,
    send_part,
)

_MOST_SAID = 2000  # characters
_MOST_KEPT = 0.25  # of the memory for a file, when it was read


def decode_uploads(connection: Connection, reader: Reader, memory_bytes: int, decode_sec: float) -> None:
    """Read the files that are named on a connection until it is closed, or memory is used up.

    memory_bytes: beyond what the process has now. decode_sec: of processor time for a file.
    """
    end_with_parent()
    with open(os.devnull, "w") as nowhere:  # libraries in C may print what a file makes them print
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, which a killed process leaves behind
    most_kept = _limit_memory(memory_bytes)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    send_message(connection, READY)
    while True:
        try:
            task = receive_task(connection)
        except EOFError:
            return
        _limit_time(decode_sec)
        try:
            if not _read(connection, reader, task, most_kept):
                return
        except OSError:  # the server has gone, or does not wait for this any more
            return


def _read(connection: Connection, reader: Reader, task: Task, most_kept: float) -> bool:
    """Read a file; whether this process can read another."""
    kind, said = DONE, {}
    try:
        for part in reader.read(task):
            send_part(connection, part)
    except DataError as error:
        kind_is_right = has_right_kind(task.path, reader.kind)
        kind, said = REFUSED, {"text": str(error)[:_MOST_SAID], "kind_is_right": kind_is_right}
    except MemoryError:
        send_message(connection, OUT_OF_MEMORY)
        return False
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001  (the server tells of it, and another file may be read well)
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:  # which is no MemoryError
            send_message(connection, OUT_OF_MEMORY)
            return False
        kind, said = FAULT, {"text": traceback.format_exc()[-_MOST_SAID:]}
    is_used_up = _keeps_more_than(most_kept)
    send_message(connection, kind, is_used_up=is_used_up, **said)
    return not is_used_up


def _keeps_more_than(most_bytes: float) -> bool:
    """Whether so much memory is left behind that the next file might not find enough."""
    if _own_bytes() > most_bytes:
        gc.collect()
    return _own_bytes() > most_bytes


def _own_bytes() -> int:
    """The memory that is this process's own, 0 where the system does not say, as outside of Linux."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    (data_kb,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmData:"))
    return int(data_kb) * 1024


def _limit_memory(more_bytes: int) -> float:
    """Bound the memory that is this process's own; how much of it may be in use between files.

    Address space says little: libraries map much that they never use. Where the system does not say how much there is
    so far, nothing is bounded.
    """
    own_bytes = _own_bytes()
    if own_bytes:
        most = own_bytes + more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return own_bytes + _MOST_KEPT * more_bytes


def _limit_time(more_sec: float) -> None:
    """Have the system end this process once it has computed for so long."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = ceil(time.process_time() + more_sec) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
