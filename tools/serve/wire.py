"""What goes between the server and a process that reads strangers' files.

The server unpickles nothing that comes from there: a message is JSON, and behind it the bytes of its arrays.
"""

import json
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing.connection import Connection

import numpy as np

from datareader.clips.timeline import Windows
from datareader.dataset import Batch, Span
from datareader.lists import ListEntry

READY, PART, DONE, REFUSED, OUT_OF_MEMORY, FAULT = "ready", "part", "done", "refused", "out of memory", "fault"
_MOST_MESSAGE, _MOST_ARRAY = 4_000_000, 1 << 30  # bytes
_DTYPES = {"|u1": np.uint8, "<f4": np.float32, "<i8": np.int64}
_ENTRY = ListEntry("upload", written="upload")


@dataclass(frozen=True)
class Task:
    """A file to read. most_parts: windows or videos of it. pictures: whether to draw what the network sees."""

    path: str
    windows: Windows | None
    most_parts: int
    pictures: bool


@dataclass(frozen=True)
class Part:
    """Some of what the network sees of a file, with uint8 as it is stored.

    pictures: data: addresses. Of whole videos the frames of the first, of windows one each, "" for those without.
    """

    batch: Batch
    pictures: list[str] = field(default_factory=list)


def send_task(connection: Connection, task: Task) -> None:
    windows = task.windows and [str(task.windows.length_sec), str(task.windows.stride_sec)]
    values = {"path": task.path, "windows": windows, "most_parts": task.most_parts, "pictures": task.pictures}
    connection.send_bytes(json.dumps(values).encode())


def receive_task(connection: Connection) -> Task:
    """Raises EOFError where the server has gone."""
    values = json.loads(connection.recv_bytes())
    windows = values["windows"] and Windows(*map(Fraction, values["windows"]))
    return Task(values["path"], windows, values["most_parts"], values["pictures"])


def send_message(connection: Connection, kind: str, **values) -> None:
    connection.send_bytes(json.dumps({"kind": kind, **values}).encode())


def send_part(connection: Connection, part: Part) -> None:
    batch = part.batch
    arrays = [np.ascontiguousarray(array) for array in batch.inputs]
    spans = batch.spans and [[str(span.start_sec), str(span.end_sec), span.frames] for span in batch.spans]
    send_message(
        connection,
        PART,
        ids=batch.ids,
        views=batch.views,
        spans=spans,
        begins=batch.begins,
        pictures=part.pictures,
        arrays=[[array.dtype.str, array.shape] for array in arrays],
    )
    for array in arrays:
        connection.send_bytes(memoryview(array).cast("B"))


def receive_message(connection: Connection) -> dict:
    """A message; of a part, ``part`` is that. Raises EOFError, OSError or ValueError for what is no message."""
    values = json.loads(connection.recv_bytes(_MOST_MESSAGE))
    if values["kind"] == PART:
        arrays = tuple(_receive_array(connection, *described) for described in values["arrays"])
        count = len(values["ids"])
        spans = values["spans"] and [
            Span(Fraction(start), Fraction(end), tuple(frames)) for start, end, frames in values["spans"]
        ]
        batch = Batch(
            ids=values["ids"],
            sources=[_ENTRY.path] * count,
            entries=[_ENTRY] * count,
            inputs=arrays,
            labels=None,
            views=values["views"],
            spans=spans,
            begins=values["begins"],
        )
        values["part"] = Part(batch, values["pictures"])
    return values


def _receive_array(connection: Connection, dtype: str, shape: list[int]) -> np.ndarray:
    """Raises ValueError where the bytes are not those of such an array."""
    data = connection.recv_bytes(_MOST_ARRAY)
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
