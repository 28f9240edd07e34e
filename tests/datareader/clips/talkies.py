"""Films with sound that flash and click at known times, and what is seen and heard of such a film."""

from fractions import Fraction

import av
import numpy as np

from tests.datareader.clips.videos import draw

RATE = 48000  # Hz
SIZE = (96, 64)  # px


def make_talkie(
    path, *, ticks=range(30), sound="aac", pictures="libx264", late_sec=(0, 0), flash_sec=0.5, sound_sec=1.0, size=SIZE
):
    """A film of 30 ticks a second and a sound that starts so late, each; picture and sound flash and click at a time.

    late_sec: of pictures and sound; below 0 is cut away by the container. flash_sec: on the clock of both. Pictures
    flash from the first frame at that time or later on.
    """
    with av.open(str(path), "w") as container:
        film = container.add_stream(pictures, rate=30)
        film.width, film.height = size
        film.pix_fmt = "yuv420p"
        film.codec_context.gop_size, film.codec_context.max_b_frames = 5, 2 if pictures == "libx264" else 0
        track = container.add_stream(sound, rate=RATE, layout="mono") if sound else None
        packets = []
        for number, tick in enumerate(ticks):
            shown = tick + round(30 * late_sec[0])
            image = np.full_like(draw(number, size), 255) if shown >= 30 * flash_sec else draw(number, size) // 2
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = shown, Fraction(1, 30)
            packets += film.encode(frame)
        packets += film.encode(None)
        packets += encode_clicks(track, late_sec[1], flash_sec, sound_sec) if sound else []
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return str(path)


def encode_clicks(track, late_sec, click_sec, length_sec):
    packets, length = [], track.codec_context.frame_size or 1024
    samples = 0.01 * np.sin(np.arange(round(length_sec * RATE)) / 10)
    click = round((click_sec - late_sec) * RATE)
    samples[max(click, 0) : click + 2400] = 0.9 * np.sin(np.arange(len(samples[max(click, 0) : click + 2400])) / 5)
    kind = track.codec_context.format
    dtype = {"f": np.float32, "s16": np.int16, "s32": np.int32}["f" if kind.name.startswith("f") else kind.name[:3]]
    values = (samples if dtype == np.float32 else samples * np.iinfo(dtype).max).astype(dtype)
    for start in range(0, len(values) - length + 1, length):
        frame = av.AudioFrame.from_ndarray(values[None, start : start + length], format=kind.name, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start + round(late_sec * RATE), Fraction(1, RATE)
        packets += track.encode(frame)
    return packets + track.encode(None)


def watch(path):
    """(times of frames, when they begin to flash) in seconds."""
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    return [time for time, _ in frames], next((time for time, light in frames if light > 200), None)


def listen(path, number=0):
    """(codec, when the sound begins, samples, when it clicks), times in seconds, of one sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        frames = [(frame.time, frame.to_ndarray().astype(np.float64).ravel()) for frame in container.decode(stream)]
        name = stream.codec_context.codec.canonical_name
    samples = np.concatenate([values for _, values in frames])
    loud = np.abs(samples) > 0.3 * np.abs(samples).max()
    return name, frames[0][0], samples, frames[0][0] + int(loud.argmax()) / RATE


def packets_of(path, number=0):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=number) if packet.size]
