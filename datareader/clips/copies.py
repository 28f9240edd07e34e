"""A copy of a video with something drawn into every frame: pictures encoded anew, times and sound kept. With PyAV.

The copy is an mp4 with H.264 that browsers play while they load it. It is upright, has 8 bits, and its colours are as
they are stored, with the tags that say how to show them. Subtitles, data and covers are left out.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import numpy as np

from datareader.clips import marks
from datareader.clips.files import PICKLE_STARTS, read_head
from datareader.clips.pyav import decode_all, decode_packet, frame_rate, open_container, stamp_of, turn_upright
from datareader.clips.sound import add_sound
from datareader.clips.times import MENDED, Clock, note_made_up, usual_gap, usual_rate
from datareader.clips.video import no_frames
from tools.drawing.video_captions import Planes
from tools.errors import DataError, DataIssue

_ENCODERS = (  # the first that is there; no B-frames, with which an mp4 does not tell uneven times to the end
    ("libx264", {"crf": "18", "preset": "veryfast", "bf": "0", "flags": "+frame_duration"}),
    ("mpeg4", {"flags": "+qscale+frame_duration", "global_quality": str(3 * 118)}),  # a scale of 3, in FFmpeg's units
)
_MOST_TICKS = 65535  # a second, that MPEG-4 Part 2 can say
_LIMITED, _FULL = 1, 2  # FFmpeg's numbers for luma of 16 to 235, and of 0 to 255
_BT709 = 1  # ITU-T H.273's number for that matrix
_WHITE = {16: 143, 18: 180}  # luma of white paper in PQ and in HLG: ITU-R BT.2408, 58 and 75 %
_LACKING_SEC = 1.0  # what may be missing at the end without a word


def is_video(path: str) -> bool:
    """Whether a clip may be a video, and is no pickle or folder of frames, which have neither times nor sound."""
    try:
        head = read_head(path)
    except DataError:
        return False
    return head is not None and not head.startswith(PICKLE_STARTS)


def copy_video(
    path: str, target: str, draw: Callable[[Planes, float], None], on_time: Callable[[float], None], threads: int
) -> list[str]:
    """Write a copy of a video to a file, and return what there is to say of it.

    draw: is given each frame to draw into, and its time in seconds from the first. on_time: hears how many seconds are
    done. threads: for decoding, and for encoding. Memory does not grow with the video.
    Raises DataError for a video of which nothing can be decoded or encoded, and OSError for a target that cannot be
    written.
    """
    with _explaining(path):
        return _copy(path, target, draw, on_time, threads)


def _copy(path: str, target: str, draw: Callable, on_time: Callable, threads: int) -> list[str]:
    first = _read_first_frame(path)
    with open_container(path) as (container, stream), _open_output(target) as output:
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        heard = [each for each in container.streams.audio if each.codec_context and each.codec_context.sample_rate]
        starts = [each.start_time * each.time_base for each in heard if each.start_time is not None]
        origin_sec = min([*starts, *([] if first.pts is None else [first.pts * stream.time_base])], default=Fraction(0))
        pictures = _Pictures(path, output, stream, first, origin_sec, draw, threads)
        sounds = {each.index: add_sound(output, each, origin_sec) for each in heard}
        read_sec = Fraction(0)  # the end of what could be read
        for packet in _read_packets(container, [stream, *heard]):
            if packet.pts is not None:
                read_sec = max(read_sec, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream.index in sounds:
                _write(output, sounds[packet.stream.index].take(packet), target)
                continue
            for frame in decode_packet(stream.codec_context, packet):
                _write(output, pictures.take(frame), target)
                on_time(pictures.end_sec)
        for frame in [*decode_packet(stream.codec_context, None), None]:
            _write(output, pictures.take(frame), target)
            on_time(pictures.end_sec)
        for part in (pictures, *sounds.values()):
            _write(output, part.finish(), target)
        said_sec = Fraction(container.duration or 0, av.time_base)  # some count from 0, some from the first frame
    notes = [*pictures.notes, *(sound.note for sound in sounds.values() if sound.note)]
    if said_sec - read_sec > _LACKING_SEC:
        notes.append(f"the file ends at {float(read_sec):.1f} of the {float(said_sec):.1f} s that it says")
    return notes


def _read_first_frame(path: str):
    with open_container(path) as (container, stream):
        frame = next(decode_all(container, stream), None)
        if frame is None:
            raise no_frames(path, f"its {stream.codec_context.name} video stream")
        return frame


def _read_packets(container, streams: list) -> Iterator:
    """Packets with something in them, in the order of the file; one that is damaged ends at the damage."""
    with suppress(av.error.FFmpegError):
        yield from (packet for packet in container.demux(streams) if packet.size)


@contextmanager
def _open_output(target: str) -> Iterator:
    """An mp4 to write, closed in any case; its index is moved to its front at the end."""
    with _telling(target):
        output = av.open(f"file:{target}", "w", format="mp4", options={"movflags": "+faststart"})
    output.metadata["comment"] = marks.COMMENT
    try:
        yield output
    except BaseException:
        with suppress(av.error.FFmpegError):
            output.close()
        raise
    with _telling(target):
        output.close()
    marks.seal(target)


def _write(output, packets: list, target: str) -> None:
    with _telling(target):
        output.mux(packets)


@contextmanager
def _telling(target: str) -> Iterator[None]:
    """Make an OSError of what the system says about a file; FFmpeg has errors of its own too."""
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno in errno.errorcode and error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, target) from None
        raise


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        raise DataError(f"{path} cannot be copied to an mp4 ({error.strerror}); convert it to h264 in mp4") from None


class _Pictures:
    """The pictures of a copy: each frame upright, drawn into, and encoded for the time that it had.

    end_sec: the time of the latest frame that has one and, once all is written, of the end.
    notes: what there is to say.
    """

    def __init__(self, path: str, output, stream, first, origin_sec: Fraction, draw: Callable, threads: int):
        self._path, self._origin_sec, self._draw = path, origin_sec, draw
        self._stored, self._matrix = (first.width, first.height), _matrix_of(first)
        self._reformatter = av.video.reformatter.VideoReformatter()
        lies = turn_upright(np.empty((1, 2), bool), self._matrix).shape == (2, 1)  # whether width becomes height
        self._size = tuple(side + side % 2 for side in (self._stored[::-1] if lies else self._stored))
        name, options = next(item for item in _ENCODERS if item[0] in av.codecs_available)
        self._tick_sec, rate = stream.time_base, frame_rate(stream)
        self._usual_ticks = usual_gap(rate, self._tick_sec)
        self._clock = Clock(self._tick_sec, self._usual_ticks, round(origin_sec / self._tick_sec))
        fits = name == "libx264" or self._tick_sec.denominator <= _MOST_TICKS
        self._out_tick_sec = self._tick_sec if fits else Fraction(1, _MOST_TICKS)
        self.track = output.add_stream(name, rate=usual_rate(rate), options=options, time_base=self._out_tick_sec)
        self.track.width, self.track.height, self.track.pix_fmt = *self._size, "yuv420p"
        self._tag(stream, first, lies)
        self.track.codec_context.thread_count = threads
        self.notes = [] if name == "libx264" else [f"encoded by {name}, as this PyAV has no libx264"]
        self._coming = None  # the latest frame, which has no time before the next one tells its own
        self._held = None  # the frame before it, not yet encoded
        self._first = self._last = None  # ticks of the first frame and of that which is held
        self._shown_ticks = self._usual_ticks  # how long the latter is shown, as its container says
        self._stream_end = None if stream.duration is None else (stream.start_time or 0) + stream.duration
        self.end_sec = 0.0

    def _tag(self, stream, first, lies: bool) -> None:
        """Say how to show the pictures: as those of the input. lies: whether these have width and height exchanged."""
        context, is_rgb = self.track.codec_context, _is_rgb(first)
        aspect = stream.sample_aspect_ratio
        if aspect:
            context.sample_aspect_ratio = 1 / aspect if lies else aspect
        context.color_range = _LIMITED if _is_full(first) else first.color_range
        context.colorspace = _BT709 if is_rgb else first.colorspace
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        self._white = _WHITE.get(first.color_trc, 235)

    def take(self, frame) -> list:
        """What to write once a frame of the input has come, or None behind the last."""
        coming, self._coming = self._coming, frame
        if coming is None:
            return []
        return self._take_at(coming, self._clock.place(stamp_of(coming), None if frame is None else stamp_of(frame)))

    def _take_at(self, frame, ticks: int) -> list:
        self._first = ticks if self._first is None else self._first
        picture = self._upright(frame)
        luma, blue, red = map(_array, picture.planes)
        time_sec = float((ticks - self._first) * self._tick_sec)
        self._draw(Planes(luma, blue, red, self._white), time_sec)
        picture.time_base = self._out_tick_sec
        picture.pts = self._out_ticks(ticks)
        packets = self._encode_held(ticks)
        self._held, self._shown_ticks = picture, frame.duration or self._usual_ticks
        self._last, self.end_sec = ticks, time_sec
        return packets

    def finish(self) -> list:
        """What remains to be written at the end."""
        if self._held is None:
            return []
        if self._clock.num_made_up:
            note_made_up(self._path, MENDED)
        # Where frames are decoded in another order than shown, mp4 says of the last one how long another is shown.
        left = 0 if self._stream_end is None else self._stream_end - self._last
        end = self._last + min(self._shown_ticks, left if left > 0 else self._usual_ticks)
        self.end_sec = float((end - self._first) * self._tick_sec)
        return self._encode_held(end) + self._encode(None)

    def _encode_held(self, until: int) -> list:
        """Encode the latest frame, now that it is known until when it is shown."""
        if self._held is None:
            return []
        self._held.duration = max(1, self._out_ticks(until) - self._held.pts)
        return self._encode(self._held)

    def _out_ticks(self, ticks: int) -> int:
        return round((ticks * self._tick_sec - self._origin_sec) / self._out_tick_sec)

    def _encode(self, picture) -> list:
        try:
            return self.track.encode(picture)
        except av.error.FFmpegError as error:
            size = "{} x {}".format(*self._size)
            raise DataError(f"{self._path}: pictures of {size} cannot be encoded ({error.strerror})") from None

    def _upright(self, frame):
        """A new frame for a frame of the input, of the size and turn of the first; an odd side has its edge twice."""
        try:
            stored = self._reformatter.reformat(
                frame,
                *self._stored,
                format="yuv420p",
                dst_colorspace="ITU709" if _is_rgb(frame) else None,
                src_color_range="JPEG" if _is_full(frame) else None,
                dst_color_range="MPEG" if _is_full(frame) else None,
                interpolation="BICUBIC",
                threads=1,
            )
        except av.error.FFmpegError as error:
            raise DataError(f"{self._path}: a frame cannot be converted ({error.strerror})", DataIssue.FRAME) from None
        picture = av.VideoFrame(*self._size, "yuv420p")
        for source, plane in zip(stored.planes, picture.planes, strict=True):
            values, place = turn_upright(_array(source), self._matrix), _array(plane)
            height, width = values.shape
            place[:height, :width] = values
            place[height:, :width] = values[-1:]
            place[:, width:] = place[:, width - 1 : width]
        return picture


def _array(plane) -> np.ndarray:
    """(H, W) uint8, the values of a plane themselves."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _matrix_of(frame) -> bytes | None:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else bytes(matrix)


def _is_rgb(frame) -> bool:
    return frame.format.is_rgb or frame.format.name == "pal8"


def _is_full(frame) -> bool:
    return _is_rgb(frame) or frame.color_range == _FULL or frame.format.name.startswith("yuvj")
