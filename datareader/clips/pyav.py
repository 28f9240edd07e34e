"""Videos with PyAV: planned from the packets or, where that cannot be, decoded from the start."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import islice

import av
import cv2
import numpy as np
from av.stream import Disposition

from datareader.clips.packets import Packets, demux, list_packets, plan_runs
from datareader.clips.pictures import MOST_PIXELS
from datareader.clips.times import NO_TIME, FrameTimes, find_times
from datareader.clips.video import (
    FrameCountError,
    RestartError,
    VideoFacts,
    check_file,
    check_frame_size,
    describe_colours,
    describe_stranger,
    no_film,
    no_frames,
    not_a_video,
    note_colours,
    plausible,
    rising_numbers,
)
from tools.errors import DataError, DataIssue

# Decoders that may be told to pass over frames nothing refers to; AV1's then loses wanted frames too.
SKIPPING_CODECS = {"h264", "hevc"}
_SKEW = 0.0087  # the tangent of half a degree: what is less is a rounded right angle, as for OpenCV
# FFmpeg's readers of videos, and of sound, so that an error can say what is in there. Its others play text, subtitles
# and pictures, and follow playlists, for ever where one has no end. PyAV 19 is the first with webp_anim.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h263,h264,hevc,vvc,vc1,av1,obu,ivf,flv,asf,rm,ogg,gif,apng,webp_anim,"
    "yuv4mpegpipe,mxf,dv,nut,swf,wtv,mp3,aac,flac,wav"
)

_BOUNDED = {"max_pixels": str(MOST_PIXELS)}  # of frames: what decoders refuse, whatever a container says of their size


class DamageError(Exception):
    """A picture on the way to a wanted frame is damaged or missing, so that packets do not tell frames."""


class Video:
    """The frames of a video: planned from the packets until damage is seen, from the start ever after."""

    def __init__(self, path: str):
        self.path = path
        self._way = plan_video(path) or SequentialVideo(path)

    @property
    def num_frames(self) -> int:
        return self._way.num_frames

    @property
    def times(self) -> FrameTimes:
        return self._way.times

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        planned_frames = self.num_frames
        try:
            yield from self.frames_once(numbers)
            return
        except RestartError:
            if self.num_frames != planned_frames:
                raise FrameCountError from None
        yield from self.frames_once(numbers)

    def frames_once(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """As ``VideoSource`` says; damage is seen at most once."""
        try:
            yield from self._way.frames(numbers)
        except DamageError:
            self._way = SequentialVideo(self.path)
            raise RestartError from None


# Planned from the packets


def plan_video(path: str) -> "PlannedVideo | None":
    """A video to decode in part, or None where its packets do not say in which. Raises DataError."""
    with open_container(path) as (container, stream):
        packets = list_packets(container, stream)
        return None if packets is None else PlannedVideo(path, packets, stream.time_base)


class PlannedVideo:
    """The frames of a video, decoding only the groups of pictures that hold wanted ones.

    Damage in groups that are not decoded goes unseen: their frames count.
    """

    def __init__(self, path: str, packets: Packets, tick_sec: Fraction):
        self.path = path
        self._packets, self._tick_sec = packets, tick_sec
        self._shown = np.sort(packets.pts[packets.is_shown])

    @property
    def num_frames(self) -> int:
        return len(self._shown)

    @property
    def times(self) -> FrameTimes:
        return find_times(self.path, self._shown, self._tick_sec, lambda: read_facts(self.path).pace)

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """As of every source. Raises DamageError for a picture that is damaged or missing."""
        numbers = rising_numbers(numbers, self.num_frames)
        with open_container(self.path) as (container, stream):  # the packets come once more, so that none need be kept
            try:
                for place, image in _decode_runs(container, stream, self._packets, self._shown[numbers]):
                    yield int(numbers[place]), image
            except av.error.FFmpegError:
                raise DamageError from None


def _decode_runs(container, stream, packets: Packets, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(place in ``wanted``, (H, W, 3) uint8 RGB) of the frames shown at ``wanted``, rising. Raises DamageError."""
    found = np.zeros(len(wanted), bool)
    reformatter = av.video.reformatter.VideoReformatter()
    demuxed, position = demux(container, stream), 0
    for run in plan_runs(packets, wanted):
        stretch = islice(demuxed, run.start - position, run.stop - position)
        position = run.stop
        for frame in _decode_run(stream.codec_context, stretch, wanted):
            if frame.pts is None or (frame.is_corrupt and frame.pts >= packets.pts[run.start]):
                raise DamageError  # what is shown before the first key picture is corrupt by nature, and not wanted
            if (place := _find(wanted, frame.pts)) is not None:
                yield place, _to_rgb(frame, reformatter)
                found[place] = True
    if not found.all():
        raise DamageError


def _find(rising: np.ndarray, value: int) -> int | None:
    """Where a value stands."""
    place = bisect_left(rising, value)
    return place if place < len(rising) and rising[place] == value else None


def _decode_run(decoder, packets: Iterable, wanted: np.ndarray) -> Iterator:
    """The frames of packets that begin with a key packet; some of those not shown at ``wanted`` are left out."""
    may_skip = decoder.codec.canonical_name in SKIPPING_CODECS
    for packet in packets:
        if may_skip:
            decoder.skip_frame = "NONREF" if _find(wanted, packet.pts) is None else "DEFAULT"
        yield from decoder.decode(packet)
    yield from decoder.decode(None)
    decoder.flush_buffers()


# From the start


class SequentialVideo:
    """The frames of a video, decoded from the start: once to count them, and once more up to the last wanted one.

    Raises DataError, also where there is no frame.
    """

    def __init__(self, path: str):
        self.path = path
        self._stamps = array("q")
        with open_container(path) as (container, stream):
            self._tick_sec = stream.time_base
            for frame in decode_all(container, stream):
                stamp = stamp_of(frame)
                self._stamps.append(NO_TIME if stamp is None else stamp)
            if not self.num_frames:
                raise no_frames(path, _name_stream(stream))

    @property
    def num_frames(self) -> int:
        return len(self._stamps)

    @property
    def times(self) -> FrameTimes:
        return find_times(self.path, self._stamps, self._tick_sec, lambda: read_facts(self.path).pace)

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        wanted, done = rising_numbers(numbers, self.num_frames), 0
        if not len(wanted):
            return
        with open_container(self.path) as (container, stream):
            reformatter = av.video.reformatter.VideoReformatter()
            for i, frame in enumerate(islice(decode_all(container, stream), int(wanted[-1]) + 1)):
                if i == wanted[done]:
                    try:
                        image = _to_rgb(frame, reformatter)
                    except av.error.FFmpegError as error:
                        raise _no_rgb(self.path, i, error) from None
                    yield i, image
                    done += 1
        if done < len(wanted):  # the file has changed since its frames were counted
            raise no_frames(self.path, f"its video stream at {wanted[done]}")


def decode_all(container, stream) -> Iterator:
    """All frames that can be decoded, in a decoder's order, passing over damaged packets.

    A container that is damaged ends at the damage, as it does for OpenCV.
    """
    decoder = stream.codec_context
    with suppress(av.error.FFmpegError):
        for packet in demux(container, stream):
            yield from decode_packet(decoder, packet)
    yield from decode_packet(decoder, None)


def decode_packet(decoder, packet) -> list:
    try:
        return decoder.decode(packet)
    except av.error.FFmpegError:
        return []


# Files and frames


def read_facts(path: str) -> VideoFacts:
    """What a video says of itself. Raises DataError naming the file."""
    with open_container(path) as (container, stream):
        codec, streams = stream.codec_context, container.streams.video
        ticks = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / av.time_base
        return VideoFacts(
            container=container.format.long_name,
            codec=f"{codec.name}, {codec.pix_fmt}" if codec.pix_fmt else codec.name,
            size=(codec.width, codec.height),
            frames_per_sec=frame_rate(stream),
            duration_sec=plausible(float(ticks)),
            colours=_colours_of(stream),
            stream=f"{streams.index(stream) + 1} of {len(streams)} video streams" if len(streams) > 1 else "",
        )


def try_first_frame(path: str) -> None:
    """Decode and convert the first frame that a video gives. Raises DataError."""
    with open_container(path) as (container, stream):
        frame = next(decode_all(container, stream), None)
        if frame is None:
            raise no_frames(path, _name_stream(stream))
        try:
            _to_rgb(frame, av.video.reformatter.VideoReformatter())
        except av.error.FFmpegError as error:
            raise _no_rgb(path, 0, error) from None


def _name_stream(stream) -> str:
    """What messages call it, which gives no frame."""
    codec = stream.codec_context
    bounded = "" if codec.width else f", of no size or of more than {MOST_PIXELS:,} px,"
    return f"its {codec.name} video stream{bounded}"


def stamp_of(frame) -> int | None:
    """When a frame says that it is shown, in ticks."""
    return frame.dts if frame.pts is None else frame.pts


def frame_rate(stream) -> float | None:
    """Frames a second on average.

    FFmpeg's guess has room for every time of a frame, so that an average above it is wrong: with FFmpeg 8.0 it counts
    the fields of H.264 in AVI, and is 60000 for DV.
    """
    rates = [plausible(float(rate)) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    return min(filter(None, rates), default=None)


@contextmanager
def open_container(path: str) -> Iterator[tuple]:
    """The container and the video stream of a file, for one thread. Raises DataError."""
    check_file(path)
    av.logging.set_level(None)
    cv2.setNumThreads(0)  # for cvtColor: the loader's workers are the threads
    try:
        # "file:" for names with a colon; the whitelists, so that a playlist cannot reach the network or other files.
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, **_BOUNDED}
        container = av.open(f"file:{path}", options=options, **_lenient_metadata())
    except av.error.ArgumentError:
        raise not_a_video(path, describe_stranger(path) or "it is of a format that holds none") from None
    except av.error.FFmpegError as error:
        raise not_a_video(path, describe_stranger(path) or error.strerror) from None
    with container:
        stream = _choose_stream(container, path)
        if stream.codec_context is None:
            raise no_frames(path, "its video stream")
        check_frame_size(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = dict(_BOUNDED)
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1  # AV1's decoder looks at this alone
        if colours := _colours_of(stream):
            note_colours(colours)
        yield container, stream


def _choose_stream(container, path: str):
    """The video stream that FFmpeg takes for the best, or the default; never a cover picture. Raises DataError."""
    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not films:
        others = " and ".join(sorted({stream.type for stream in container.streams if stream.type != "video"}))
        cover = f"{others} and a cover picture".removeprefix(" and ")
        held = cover if container.streams.video else f"{others} only" if others else "no streams at all"
        raise no_film(path, held)
    best = container.streams.best("video")
    return best if best in films else films[0]


def _colours_of(stream) -> str:
    codec = stream.codec_context
    return describe_colours(codec.color_primaries, codec.color_trc)


def _lenient_metadata() -> dict[str, str]:
    """What lets titles and the like be no valid text; PyAV 19 does not take it any more."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def _to_rgb(frame, reformatter) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a decoded frame, turned upright, bit for bit as OpenCV gives it.

    Of PyAV's other choices, BILINEAR differs by up to 30 levels of 255 where a side is odd, and rgb24 by up to 5
    where the video has 10 bits.
    """
    # One thread: the default starts one for every core and frame.
    image = reformatter.reformat(frame, format="bgr24", interpolation="BICUBIC", threads=1).to_ndarray()
    return turn_upright(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), frame.side_data.get("DISPLAYMATRIX"))


def _no_rgb(path: str, number: int, error: av.error.FFmpegError) -> DataError:
    return DataError(f"{path}: frame {number} cannot be made RGB ({error.strerror})", DataIssue.FRAME)


def turn_upright(image: np.ndarray, matrix: av.buffer.Buffer | None) -> np.ndarray:
    """Turn and mirror an image or one plane as FFmpeg's display matrix says; as it is where the angle is no right one.

    matrix: 3 x 3 int32, which (x, y, 1) stands before in a product. Its signs say all: wherever it moves a picture
    to, that is the frame.
    """
    if matrix is None:
        return image
    (x_by_x, y_by_x), (x_by_y, y_by_y) = np.frombuffer(matrix, np.int32).reshape(3, 3)[:2, :2].tolist()
    straight, crossed = max(abs(x_by_x), abs(y_by_y)), max(abs(x_by_y), abs(y_by_x))
    if min(straight, crossed) > _SKEW * max(straight, crossed):
        return image
    if crossed > straight:
        image, x_by_x, y_by_y = image.swapaxes(0, 1), x_by_y, y_by_x
    return np.ascontiguousarray(image[:: -1 if y_by_y < 0 else 1, :: -1 if x_by_x < 0 else 1])
