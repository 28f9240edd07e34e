"""A few frames out of a video, by number, without decoding more of the file than they need.

With PyAV installed (``pip install av``) the packets are looked over first, and only the groups of pictures that
hold wanted frames are decoded. Files that cannot be planned so, and installations without PyAV, are decoded from
the start. The frames are the same in every case: number i is the i-th frame that decoding the whole file gives,
upright where the file says how it was held, and with its colours as they are stored. OpenCV refuses videos of which it
would give others. Of a file that is cut short, the frames that can be decoded count.
"""

import cv2

from datareader.clips import opencv
from datareader.clips.video import FrameSource, VideoFacts
from tools.errors import DataError, DataIssue

try:
    import av

    from datareader.clips import pyav
except ImportError:  # without it OpenCV decodes
    av = None


def opencv_decodes() -> bool:
    """Whether PyAV is missing, so that videos are refused which it would decode."""
    return av is None


def open_video(path: str) -> FrameSource:
    """The frames of a video, counted. Raises DataError naming a file that is no video or gives no frame."""
    return _library().Video(path)


def read_facts(path: str) -> VideoFacts:
    """What a video says of itself, without decoding a frame. Raises DataError naming the file."""
    return _library().read_facts(path)


def try_first_frame(path: str) -> None:
    """Decode a video up to the first frame that it gives. Raises DataError as ``open_video``, which takes longer."""
    _library().try_first_frame(path)


def name_decoder() -> str:
    """The library that decodes, with its version: which videos can be read depends on it."""
    return f"OpenCV {cv2.__version__}" if opencv_decodes() else f"PyAV {av.__version__}"


def read_frame_rate(path: str) -> float:
    """Frames a second of a video, on average. Raises DataError naming the file, also where it does not say."""
    rate = read_facts(path).frames_per_sec
    if rate is None:
        raise DataError(f"{path} does not say how many frames a second it has", DataIssue.FORMAT)
    return rate


def _library():
    return opencv if opencv_decodes() else pyav
