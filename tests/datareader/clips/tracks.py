"""Files with several tracks: sound with cover pictures, and films beside stills."""

import av
import numpy as np
from av.stream import Disposition

from tests.datareader.clips.videos import draw

STILL, FILM = (32, 32), (64, 48)  # px
COVERED = {"song.mp3": "libmp3lame", "song.m4a": "aac", "song.mp4": "aac", "song.flac": "flac"}


def add_pictures(container, codec, size, disposition):
    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height = size
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24" if codec == "png" else "yuv420p"
    stream.disposition = disposition.value
    return stream


def encode_pictures(container, stream, numbers):
    for i, number in enumerate(numbers):
        frame = av.VideoFrame.from_ndarray(draw(number, (stream.width, stream.height)))
        frame.pts = i
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def encode_silence(container, stream):
    length = stream.codec_context.frame_size or 1152
    for i in range(5):
        samples = np.zeros((1, length), np.int16 if stream.codec_context.name == "flac" else np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="s16" if samples.itemsize == 2 else "fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, i * length
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_song(folder, name, *, cover):
    """Silence, with a cover picture or without."""
    path = folder / (f"covered-{name}" if cover else name)
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as container:
        sound = container.add_stream(COVERED[name], rate=48000, layout="mono")
        if cover:
            encode_pictures(container, add_pictures(container, "mjpeg", STILL, Disposition.attached_pic), [0])
        encode_silence(container, sound)
    return path


def make_films(path, *tracks):
    """Tracks of pictures, each (codec, size, how many, disposition)."""
    with av.open(str(path), "w") as container:
        streams = [add_pictures(container, codec, size, disposition) for codec, size, _, disposition in tracks]
        for stream, (_, _, count, _) in zip(streams, tracks, strict=True):
            encode_pictures(container, stream, range(count))
    return path
