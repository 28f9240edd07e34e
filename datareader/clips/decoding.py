"""A few frames out of a video, by number, without decoding more of the file than they need.

With PyAV installed (``pip install av``) ``read_frames`` looks over the packets first and decodes only the
groups of pictures that hold wanted frames. Files that cannot be planned so, and installations without PyAV,
are decoded from the start. The frames are the same in every case: number i is the i-th frame that decoding
the whole file gives, upright where the file says how it was held.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from tools.errors import DataError, DataIssue

try:
    import av
except ImportError:  # without it OpenCV decodes
    av = None

# Where packets have been seen to tell the truth about frames: in AVI, packed B-frames have wrong times.
PLANNED_CONTAINERS = {"mp4", "matroska"}
PLANNED_CODECS = {"h264", "hevc", "vp8", "vp9", "av1"}
# Decoders that may be told to pass over frames nothing refers to; AV1's then loses wanted frames too.
SKIPPING_CODECS = {"h264", "hevc"}

Select = Callable[[int], np.ndarray]
Finish = Callable[[np.ndarray], np.ndarray]
Frames = tuple[list[np.ndarray], int]


class PacketInfo(NamedTuple):
    """One compressed picture. pts: when it is shown, in ticks. is_shown: False for pictures never given out."""

    pts: int
    is_key: bool
    is_shown: bool


def keep_whole(frame: np.ndarray) -> np.ndarray:
    """What ``read_frames`` does with a frame unless it is told otherwise."""
    return frame


def read_frames(path: str, select: Select, finish: Finish = keep_whole) -> Frames:
    """The chosen frames of a video, and how many frames it has.

    select: is given the number of frames, 1 or more, and returns an int array of any shape of frame numbers
        from 0 to one less; repeats are allowed. It is asked once, and again only if a damaged file turns out
        to have fewer frames.
    finish: is given each wanted frame, (H, W, 3) uint8 RGB, and returns what to keep of it, so that the frames of
        a large video need not be in memory together.
    Returns (frames, num_frames): what was kept for each number, in the order of ``ravel()``; a repeated number may
    give the same array.

    Raises DataError naming the file where it cannot be read, is not a video or gives no frame. Of a file that
    is cut short, the frames that can be decoded count.
    """
    select = cache(select)  # a second way that counts the same frames takes the same choice
    if av is None:
        return read_with_opencv(path, select, finish)
    return read_planned(path, select, finish) or read_sequential(path, select, finish)


def read_frame_rate(path: str) -> float:
    """Frames a second of a video, on average. Raises DataError naming the file, also where it does not say."""
    if av is None:
        with _open_capture(path) as capture:
            rate = capture.get(cv2.CAP_PROP_FPS)
    else:
        with _open_video(path) as (_, stream):
            rate = float(stream.average_rate or stream.guessed_rate or 0)
    if not 0 < rate < 1e6:
        raise DataError(f"{path} does not say how many frames a second it has", DataIssue.FORMAT)
    return rate


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself, which may be wrong. "" and None where it does not say.

    size: width and height in pixels, before the file's rotation.
    """

    container: str
    codec: str
    size: tuple[int, int]
    frames_per_sec: float | None
    duration_sec: float | None


def read_facts(path: str) -> VideoFacts:
    """What a video says of itself, without decoding a frame. Raises DataError naming the file."""
    if av is None:
        with _open_capture(path) as capture:
            code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip("\0 ")
            size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
            rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return VideoFacts("", code, size, _plausible(rate), _plausible(count / rate if rate else 0))
    with _open_video(path) as (container, stream):
        codec = stream.codec_context
        ticks = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / av.time_base
        return VideoFacts(
            container=container.format.long_name,
            codec=f"{codec.name}, {codec.pix_fmt}" if codec.pix_fmt else codec.name,
            size=(codec.width, codec.height),
            frames_per_sec=_plausible(float(stream.average_rate or stream.guessed_rate or 0)),
            duration_sec=_plausible(float(ticks)),
        )


def _plausible(number: float) -> float | None:
    return number if 0 < number < 1e6 else None


# Planned from the packets


def read_planned(path: str, select: Select, finish: Finish = keep_whole) -> Frames | None:
    """``read_frames`` by decoding only the groups of pictures that hold wanted frames.

    None where the packets do not say which those are, or where damage is seen on the way. Damage in groups that
    are not decoded goes unseen: their frames count.
    """
    with _open_video(path) as (container, stream):
        packets = _list_packets(container, stream)
    if packets is None:
        return None
    shown = sorted(packet.pts for packet in packets if packet.is_shown)
    indices = _checked(select(len(shown)), len(shown))
    wanted = {shown[i] for i in indices}
    with _open_video(path) as (container, stream):  # the packets come once more, so that none need be kept
        frames = _decode_runs(container, stream, packets, plan_runs(packets, wanted), wanted, finish)
    return None if frames is None else ([frames[shown[i]] for i in indices], len(shown))


def plan_runs(packets: list[PacketInfo], wanted: set[int]) -> list[range]:
    """The stretches of packets, as positions in ``packets``, to decode for the frames shown at ``wanted``.

    Each begins with a key packet and ends with a wanted one; none overlap.
    """
    keys = [i for i, packet in enumerate(packets) if packet.is_key]
    runs = []
    for i, packet in enumerate(packets):
        if not packet.is_shown or packet.pts not in wanted:
            continue
        group = bisect_right(keys, i) - 1
        if group > 0 and packet.pts < packets[keys[group]].pts:
            group -= 1  # shown before its key picture, it may refer to the group before (an open GOP)
        start = keys[group]
        while runs and start < runs[-1].stop:
            start = min(start, runs.pop().start)
        runs.append(range(start, i + 1))
    return runs


def _list_packets(container, stream) -> list[PacketInfo] | None:
    """All packets of a video in file order, or None where frames cannot be told from them."""
    codec = stream.codec_context.codec.canonical_name
    if codec not in PLANNED_CODECS or PLANNED_CONTAINERS.isdisjoint(container.format.name.split(",")):
        return None
    packets = []
    try:
        for packet in _demux(container, stream):
            if packet.is_corrupt or packet.pts is None:
                return None
            packets.append(PacketInfo(packet.pts, packet.is_keyframe, _is_shown(packet, codec)))
    except av.error.FFmpegError:
        return None
    shown = [packet.pts for packet in packets if packet.is_shown]
    if not shown or len(set(shown)) < len(shown):
        return None
    # Pictures before the first key picture, in the file or on the screen, decode in part or not at all.
    return packets if packets[0].is_key and min(shown) >= packets[0].pts else None


def _is_shown(packet, codec: str) -> bool:
    if codec == "vp8":  # hidden reference pictures have packets of their own: bit 4 of the first byte is 0
        return not packet.is_discard and bool(memoryview(packet)[0] & 0x10)
    return not packet.is_discard  # what an edit list cuts away


def _decode_runs(
    container, stream, packets: list[PacketInfo], runs: list[range], wanted: set[int], finish: Finish
) -> dict[int, np.ndarray] | None:
    """The frames shown at ``wanted``, by pts; None if one is missing or a picture of a run is damaged."""
    frames = {}
    reformatter = av.video.reformatter.VideoReformatter()
    demuxed, position = _demux(container, stream), 0
    try:
        for run in runs:
            stretch = islice(demuxed, run.start - position, run.stop - position)
            position = run.stop
            for frame in _decode_run(stream.codec_context, stretch, wanted):
                if frame.pts is None or (frame.is_corrupt and frame.pts >= packets[run.start].pts):
                    return None  # what is shown before the first key picture is corrupt by nature, and not wanted
                if frame.pts in wanted:
                    frames[frame.pts] = finish(_to_rgb(frame, reformatter))
    except av.error.FFmpegError:
        return None
    return frames if len(frames) == len(wanted) else None


def _decode_run(decoder, packets: Iterable, wanted: set[int]) -> Iterator:
    """The frames of packets that begin with a key packet; some unwanted ones are left out."""
    may_skip = decoder.codec.canonical_name in SKIPPING_CODECS
    for packet in packets:
        if may_skip:
            decoder.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield from decoder.decode(packet)
    yield from decoder.decode(None)
    decoder.flush_buffers()


# From the start


def read_sequential(path: str, select: Select, finish: Finish = keep_whole) -> Frames:
    """``read_frames`` by decoding with PyAV twice: to count, keeping nothing, and up to the last wanted frame."""
    with _open_video(path) as (container, stream):
        num_frames = sum(1 for _ in _decode_all(container, stream))
        if not num_frames:
            raise DataError(_no_frames(path, f"its {stream.codec_context.name} video stream"), DataIssue.NO_FRAMES)
    indices = _checked(select(num_frames), num_frames)
    wanted, frames = set(indices), {}
    with _open_video(path) as (container, stream):
        reformatter = av.video.reformatter.VideoReformatter()
        for i, frame in enumerate(islice(_decode_all(container, stream), max(indices, default=-1) + 1)):
            if i in wanted:
                try:
                    frames[i] = finish(_to_rgb(frame, reformatter))
                except av.error.FFmpegError as error:
                    raise DataError(
                        f"{path}: frame {i} cannot be made RGB ({error.strerror})", DataIssue.FRAME
                    ) from None
    return [frames[i] for i in indices], num_frames


def read_with_opencv(path: str, select: Select, finish: Finish = keep_whole) -> Frames:
    """``read_frames`` with OpenCV alone: twice through the file, converting only the wanted frames.

    The pixels are those of PyAV, but for interlaced videos, which OpenCV 5.0.0 garbles. OpenCV's wheels cannot
    decode AV1.
    """
    with _open_capture(path) as capture:
        num_frames = 0
        while capture.grab():  # the header's count may be wrong
            num_frames += 1
    if not num_frames:
        raise DataError(_no_frames(path, "its video stream"), DataIssue.NO_FRAMES)
    indices = _checked(select(num_frames), num_frames)
    wanted, frames = set(indices), {}
    with _open_capture(path) as capture:
        for i in range(max(indices, default=-1) + 1):
            capture.grab()
            if i in wanted:
                found, image = capture.retrieve()
                if not found:
                    raise DataError(_no_frames(path, f"its video stream at {i}"), DataIssue.NO_FRAMES)
                frames[i] = finish(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return [frames[i] for i in indices], num_frames


# Files, packets and frames


@contextmanager
def _open_video(path: str) -> Iterator[tuple]:
    """The container and the first video stream of a file, for one thread. Raises DataError."""
    _check_file(path)
    av.logging.set_level(None)
    cv2.setNumThreads(0)  # for cvtColor: the loader's workers are the threads
    try:
        # "file:" for names with a colon; the whitelist, so that a playlist cannot reach the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, **_lenient_metadata())
    except av.error.FFmpegError as error:
        raise DataError(_not_a_video(path, error.strerror), DataIssue.NOT_A_VIDEO) from None
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise DataError(
                f"{path} has no video stream ({kinds} only); expected a video such as an mp4", DataIssue.NOT_A_VIDEO
            )
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DataError(_no_frames(path, "its video stream"), DataIssue.NO_FRAMES)
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1  # AV1's decoder looks at this alone
        yield container, stream


def _lenient_metadata() -> dict[str, str]:
    """What lets titles and the like be no valid text; PyAV 19 does not take it any more."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextmanager
def _open_capture(path: str) -> Iterator[cv2.VideoCapture]:
    """The first video stream of a file in OpenCV, for one thread. Raises DataError."""
    _check_file(path)
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
            raise DataError(_not_a_video(path, "OpenCV cannot open it"), DataIssue.NOT_A_VIDEO)
        yield capture
    finally:
        capture.release()


def _check_file(path: str) -> None:
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; expected a video such as an mp4", DataIssue.UNREADABLE
        ) from None
    if empty:
        raise DataError(f"{path} is empty; fetch or copy it again", DataIssue.EMPTY)


def _not_a_video(path: str, why: str) -> str:
    return f"{path} is not a video ({why}); expected a whole file such as an mp4"


def _no_frames(path: str, what: str) -> str:
    return f"{path}: no frame of {what} can be decoded; fetch it again, or convert it to h264 in mp4"


def _demux(container, stream) -> Iterator:
    """Packets with something in them; an empty one would tell a decoder that the video ends."""
    return (packet for packet in container.demux(stream) if packet.size)


def _decode_all(container, stream) -> Iterator:
    """All frames that can be decoded, in a decoder's order, passing over damaged packets.

    A container that is damaged ends at the damage, as it does for OpenCV.
    """
    decoder = stream.codec_context
    with suppress(av.error.FFmpegError):
        for packet in _demux(container, stream):
            yield from _decode_packet(decoder, packet)
    yield from _decode_packet(decoder, None)


def _decode_packet(decoder, packet) -> list:
    try:
        return decoder.decode(packet)
    except av.error.FFmpegError:
        return []


def _to_rgb(frame, reformatter) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a decoded frame, turned upright, bit for bit as OpenCV gives it.

    Of PyAV's other choices, BILINEAR differs by up to 30 levels of 255 where a side is odd, and rgb24 by up to 5
    where the video has 10 bits.
    """
    # One thread: the default starts one for every core and frame.
    image = reformatter.reformat(frame, format="bgr24", interpolation="BICUBIC", threads=1).to_ndarray()
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if frame.rotation % 90:  # OpenCV turns by right angles alone
        return image
    return np.ascontiguousarray(np.rot90(image, frame.rotation // 90))


def _checked(chosen: np.ndarray, num_frames: int) -> list[int]:
    indices = np.asarray(chosen).ravel().tolist()
    assert all(0 <= i < num_frames for i in indices), f"frames {indices} chosen of {num_frames}"
    return indices
