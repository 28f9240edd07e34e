"""The sound of a video for its copy: packets as they are where an mp4 takes their codec, else encoded anew as AAC."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from math import inf

import av

from datareader.clips.pyav import decode_packet

# What players know in an mp4; FFmpeg would write PCM, Vorbis and TrueHD too, which few play from there.
COPIED_CODECS = {"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # of AAC, by the number of channels; any other becomes stereo
_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}  # Hz; any other becomes the last
_BITS_PER_SEC = 96_000  # of AAC, for each channel


def add_sound(output, stream, origin_sec: Fraction) -> "CopiedSound | EncodedSound":
    """A track of an output for a sound of an input. origin_sec: what is the copy's 0, on the input's clock."""
    name = stream.codec_context.codec.canonical_name
    sound = (CopiedSound if name in COPIED_CODECS else EncodedSound)(output, stream, origin_sec)
    if language := stream.metadata.get("language"):
        sound.track.metadata["language"] = language
    return sound


class CopiedSound:
    """Packets as they are. Their times are exact to a sample, also where the input's clock is a coarse one."""

    note = ""

    def __init__(self, output, stream, origin_sec: Fraction):
        self.track = output.add_stream_from_template(stream)
        self._origin_sec, self._rate = origin_sec, stream.codec_context.sample_rate
        self._samples = stream.codec_context.frame_size  # of a packet; 0 where it is not known
        self._last = self._next = None  # the sample that the latest packet begins with, and the one after it

    def take(self, packet) -> list:
        """What to write for a packet of the input."""
        skipped = _skipped_samples(packet)
        first = self._first_sample(packet, skipped[0])
        if first is None:
            return []
        tick = packet.time_base * self._rate  # in samples
        said = (packet.duration or 0) * tick
        length = self._samples if self._samples and not 0 < said < self._samples - tick else round(said)
        self._last, self._next = first, first + length
        packet.time_base = Fraction(1, self._rate)
        packet.pts = packet.dts = first
        packet.duration, packet.stream = max(length - skipped[1], 1), self.track
        return [packet]

    def _first_sample(self, packet, skipped: int) -> int | None:
        """The sample that a packet begins with: the next one, unless the packet's own time is clearly another.

        skipped: samples to pass over in the packet, which begin a sound before its time 0.
        """
        time = packet.dts if packet.pts is None else packet.pts
        if time is None:
            return self._next
        said = (time * packet.time_base - self._origin_sec) * self._rate
        expected = -skipped if self._next is None else self._next
        if abs(said - expected) <= packet.time_base * self._rate:
            return expected
        begins_anew = self._last is not None and said <= self._last  # as in a film that was put together
        return self._next if begins_anew else round(said)

    def finish(self) -> list:
        return []


def _skipped_samples(packet) -> tuple[int, int]:
    """How many samples at a packet's start and at its end are not to be heard, as FFmpeg notes it beside the packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    return struct.unpack("<II", bytes(packet.get_sidedata("skip_samples"))[:8])


class EncodedSound:
    """Sound decoded and encoded as AAC. Where some of it is missing there is silence, so that it stays in time."""

    def __init__(self, output, stream, origin_sec: Fraction):
        decoder = stream.codec_context
        layout = _LAYOUTS.get(decoder.channels, "stereo")
        rate = decoder.sample_rate if decoder.sample_rate in _AAC_RATES else max(_AAC_RATES)
        self.track = output.add_stream("aac", rate=rate, layout=layout)
        self.track.bit_rate = _BITS_PER_SEC * self.track.codec_context.channels
        self.note = f"its sound, {decoder.codec.canonical_name}, is encoded as AAC"
        self._decoder, self._shift = decoder, round(origin_sec / stream.time_base)
        self._latest, self._end = -inf, 0  # when the latest packet begins and ends, in ticks
        self._graph, self._shape = None, None  # what brings sound of a shape to that of the track

    def take(self, packet) -> list:
        """What to write for a packet of the input."""
        if packet.pts is not None:
            if packet.pts - self._shift < self._latest:  # a film that was put together begins anew
                self._shift = packet.pts - self._end
            packet.pts = packet.dts = self._latest = packet.pts - self._shift
            self._end = packet.pts + (packet.duration or 0)
        return self._encode(decode_packet(self._decoder, packet))

    def finish(self) -> list:
        """What remains to be written at the end."""
        packets = self._encode(decode_packet(self._decoder, None))
        packets += [each for frame in self._flush() for each in self.track.encode(frame)]
        return packets + self.track.encode(None)

    def _encode(self, frames: list) -> list:
        return [packet for frame in frames for even in self._convert(frame) for packet in self.track.encode(even)]

    def _convert(self, frame) -> Iterator:
        shape = frame.format.name, frame.layout.name, frame.sample_rate
        if shape != self._shape:
            yield from self._flush()
            self._graph, self._shape = self._make_graph(frame), shape
        self._graph.push(frame)
        yield from self._pull()

    def _make_graph(self, frame):
        context, graph = self.track.codec_context, av.filter.Graph()
        nodes = [
            graph.add(
                "abuffer",
                sample_rate=str(frame.sample_rate),
                sample_fmt=frame.format.name,
                channel_layout=frame.layout.name,
                time_base=str(frame.time_base),
            ),
            graph.add("aresample", **{"async": "1"}),  # fills gaps
            graph.add(
                "aformat",
                sample_rates=str(context.sample_rate),
                sample_fmts=context.format.name,
                channel_layouts=context.layout.name,
            ),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph

    def _flush(self) -> Iterator:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()

    def _pull(self) -> Iterator:
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                yield self._graph.pull()
