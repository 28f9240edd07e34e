"""Videos with OpenCV alone.

The pixels are those of PyAV, but for interlaced videos, which OpenCV 5.0.0 garbles. OpenCV's wheels cannot decode AV1.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from datareader.clips.video import VideoFacts, check_file, distinct_numbers, no_frames, not_a_video, plausible
from tools.errors import DataError, DataIssue


class Video:
    """The frames of a video, decoded from the start: once to count them, and once more for those that are wanted.

    Only wanted frames are converted. Raises DataError, also where there is no frame.
    """

    def __init__(self, path: str):
        self.path = path
        self.num_frames = 0
        with _open_capture(path) as capture:
            while capture.grab():  # the header's count may be wrong
                self.num_frames += 1
        if not self.num_frames:
            raise no_frames(path, "its video stream")

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        wanted = set(distinct_numbers(numbers, self.num_frames))
        with _open_capture(self.path) as capture:
            for i in range(max(wanted, default=-1) + 1):
                capture.grab()
                if i in wanted:
                    found, image = capture.retrieve()
                    if not found:
                        raise no_frames(self.path, f"its video stream at {i}")
                    yield i, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_facts(path: str) -> VideoFacts:
    """What a video says of itself; not its container. Raises DataError naming the file."""
    with _open_capture(path) as capture:
        code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip("\0 ")
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return VideoFacts("", code, size, plausible(rate), plausible(count / rate if rate else 0))


@contextmanager
def _open_capture(path: str) -> Iterator[cv2.VideoCapture]:
    """The first video stream of a file, for one thread. Raises DataError."""
    check_file(path)
    try:
        path.encode()
    except UnicodeEncodeError:  # OpenCV's binding would crash the process
        raise DataError(
            f"{path!a}: OpenCV opens only names in UTF-8; rename it, or install PyAV (av)", DataIssue.UNREADABLE
        ) from None
    cv2.setNumThreads(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; our errors say what there is to say
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(f"file:{path}", cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise not_a_video(path, "OpenCV cannot open it")
        yield capture
    finally:
        capture.release()
