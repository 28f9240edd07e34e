"""Videos with OpenCV alone: the pixels are those of PyAV, or the video is refused.

OpenCV (4.13 to 5.0 were looked at) takes the first of several video streams, be it a cover; it undoes turns but not
mirroring, nor what the stream itself says of either; it maps HDR and wide gamuts to other colours; and for interlaced
pictures it gives what is in memory. It tells of none of that. Its wheels cannot decode AV1.
"""

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import cv2
import numpy as np

from datareader.clips.bitstreams import CODECS, UnknownError, read_stream
from datareader.clips.headers import READABLE, Header, read_header
from datareader.clips.times import FrameTimes, find_times
from datareader.clips.video import (
    VideoFacts,
    check_file,
    check_frame_size,
    describe_colours,
    describe_stranger,
    no_film,
    no_frames,
    not_a_video,
    plausible,
    rising_numbers,
)
from tools.errors import DataError, DataIssue
from tools.files.recognise import SOUNDS, recognise_file

# Of FFmpeg, in OpenCV's way to write them: the containers of READABLE, from a file. Without them a playlist, or a video
# that is called frame%03d.png, shows other files.
_OPTIONS = "protocol_whitelist;file|format_whitelist;mov,matroska,avi,gif,yuv4mpegpipe,h264,hevc"
_TICK_SEC = Fraction(1, 10**9)  # of times: more exact than any file's, so that rounding gives those of the file


class Video:
    """The frames of a video, decoded from the start: once to count them, and once more for those that are wanted.

    Only wanted frames are converted. Raises DataError, also where there is no frame.
    """

    def __init__(self, path: str):
        self.path = path
        self._stamps = array("q")
        _require_likeness(path)
        with _open_capture(path) as capture:
            while capture.grab():  # the header's count may be wrong
                self._stamps.append(round(capture.get(cv2.CAP_PROP_POS_MSEC) * 10**6))
        if not self.num_frames:
            raise no_frames(path, "its video stream")

    @property
    def num_frames(self) -> int:
        return len(self._stamps)

    @property
    def times(self) -> FrameTimes:
        """As ``VideoSource`` says. Of some containers OpenCV tells the times of the first frames alone."""
        stamps, facts = np.array(self._stamps), read_facts(self.path)
        rate, rises = facts.frames_per_sec, stamps[1:] > stamps[:-1]
        if not rises.all() and rate is not None:
            gaps = np.diff(stamps[: int(rises.argmin()) + 1]) * float(_TICK_SEC) * rate  # in frames
            if (abs(gaps - 1) > 0.5).any():
                raise _refusal(self.path, "has frames at uneven times, the last of which OpenCV does not tell")
        return find_times(self.path, stamps, _TICK_SEC, lambda: facts.pace)

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        wanted, done = rising_numbers(numbers, self.num_frames), 0
        with _open_capture(self.path) as capture:
            for i in range(int(wanted[-1]) + 1 if len(wanted) else 0):
                capture.grab()
                if i == wanted[done]:
                    found, image = capture.retrieve()
                    if not found:
                        raise no_frames(self.path, f"its video stream at {i}")
                    yield i, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                    done += 1

    frames_once = frames  # which never begins again


def try_first_frame(path: str) -> None:
    """Decode the first frame of a video. Raises DataError."""
    _require_likeness(path)
    with _open_capture(path) as capture:
        if not capture.read()[0]:
            raise no_frames(path, "its video stream")


def read_facts(path: str) -> VideoFacts:
    """What a video says of itself; not its container. Raises DataError naming the file."""
    header = _require_likeness(path)
    with _open_capture(path) as capture:
        code = _read_code(capture)
        size = _read_size(capture)
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    duration_sec = plausible(count / rate if rate else 0)
    # Of H.264 in AVI OpenCV counts the fields (seen in 5.0.0).
    return VideoFacts("", code, size, plausible(min(rate, header.frames_per_sec or rate)), duration_sec)


def _require_likeness(path: str) -> Header:
    """Raise DataError for a video of which OpenCV would give other pixels than PyAV, as far as that can be known."""
    check_file(path)
    header = read_header(path)
    if header is None:
        if stranger := describe_stranger(path):
            raise no_film(path, stranger) if recognise_file(path) in SOUNDS else not_a_video(path, stranger)
        raise _refusal(path, f"is not a video that OpenCV reads: {READABLE}", DataIssue.NOT_A_VIDEO)
    with _open_capture(path) as capture:
        if not header.num_videos:
            raise no_film(path)  # but a cover, which OpenCV shows
        code = _read_code(capture)
        if code.lower() not in CODECS:
            raise _refusal(path, f"is of a codec, {code}, that OpenCV is not trusted with")
        capture.set(cv2.CAP_PROP_FORMAT, -1)  # packets instead of frames
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # which turns packets too
        capture.grab()
        _, packet = capture.retrieve()
        _, extradata = capture.retrieve(flag=int(capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX)))
    parts = (b"" if part is None else part.tobytes() for part in (extradata, packet))
    try:
        read_stream(header, CODECS[code.lower()], *parts)
    except UnknownError:
        raise _refusal(path, "is of a kind that OpenCV is not trusted with") from None
    colours = [describe_colours(*pair) for pair in header.colours]
    for is_so, text in (
        (header.num_videos > 1, f"has {header.num_videos} video streams, of which OpenCV takes the first"),
        (header.is_mirrored, "is mirrored, which OpenCV does not undo"),
        (header.has_orientation, "says in its stream how it was held, which OpenCV does not look at"),
        (any(colours), f"is {max(colours, default='')}, which OpenCV makes other colours of"),
        (header.is_interlaced, "may be interlaced, which OpenCV garbles"),
    ):
        if is_so:
            raise _refusal(path, text)
    return header


def _refusal(path: str, why: str, issue: DataIssue = DataIssue.FORMAT) -> DataError:
    return DataError(f"{path} {why}; install PyAV (python -m pip install av)", issue)


def _read_size(capture: cv2.VideoCapture) -> tuple[int, int]:
    """Width and height in pixels."""
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def _read_code(capture: cv2.VideoCapture) -> str:
    """The codec's name in a container; "" where it has none."""
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip("\0 ")


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
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _OPTIONS
    capture = cv2.VideoCapture(f"file:{path}", cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise not_a_video(path, "OpenCV cannot open it")
        check_frame_size(path, *_read_size(capture))
        yield capture
    finally:
        capture.release()
