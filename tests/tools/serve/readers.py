"""A reader that does what its tasks say, for tests of the processes that read."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datareader.dataset import Batch
from tools.errors import DataError
from tools.serve.wire import Part

KEPT = []


@dataclass(frozen=True)
class ObedientReader:
    kind: str = "clips"

    def read(self, task):
        command, _, value = task.path.partition(" ")
        match command:
            case "give":
                for number in range(int(value)):
                    yield part_of(np.full((1, 3), number, np.uint8), f"{number}")
            case "sleep":
                time.sleep(float(value))
            case "spin":
                while True:
                    pass
            case "allocate":
                kept = [bytearray(b"x" * 1_000_000) for _ in range(int(value))]
                raise DataError(f"{len(kept)} MB are there")
            case "keep":
                KEPT.append(bytearray(1_000_000 * int(value)))
            case "opencv":
                cv2.error.code = cv2.Error.StsNoMem  # as OpenCV itself sets it
                raise cv2.error("Insufficient memory")
            case "stop":  # in the midst of a message
                os.write(int(value), (1000).to_bytes(4, "big") + b"{")
                os.kill(os.getpid(), signal.SIGSTOP)
            case "end":
                os._exit(int(value))
            case "babble":
                os.write(int(value), b"\xff\xff\xff\xff what is no message")
            case "refuse":
                raise DataError(f"{task.path} is refused")
            case "fail":
                raise RuntimeError("a fault of the program")
            case "paddle":
                import sys

                raise DataError(f"paddle {'paddle' in sys.modules}")
            case "sockets":
                there = [path for path in Path("/proc/self/fd").iterdir() if path.is_socket()]
                raise DataError(f"{len(there)} sockets")

    def to_float(self, batch):
        return batch


def part_of(array, name="x"):
    return Part(Batch([name], [name], [], (array,), None))
