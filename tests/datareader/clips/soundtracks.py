"""Films with sound of known samples, of any rate and number of channels."""

from fractions import Fraction

import av
import numpy as np

from tests.datareader.clips.videos import draw

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def make_film(
    path, samples, rate, *, starts=(0,), ticks=range(30), frames_per_sec=30, size=(96, 64), codec="pcm_s16le"
):
    """A film with a track of (channels, n) int16 samples, in as many equal parts as there are starts, in seconds.

    samples: None for no track. ticks: when frames are shown, in frames.
    """
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=frames_per_sec)
        film.width, film.height, film.pix_fmt = *size, "yuv420p"
        track = None
        if samples is not None:
            track = container.add_stream(codec, rate=rate, layout=LAYOUTS[len(samples)])
        packets = []
        for tick in ticks:
            frame = av.VideoFrame.from_ndarray(draw(tick % 1024, size), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, frames_per_sec)
            packets += film.encode(frame)
        packets += film.encode(None)
        if track:
            for part, start in zip(np.array_split(samples, len(starts), axis=1), starts, strict=True):
                packets += encode_samples(track, part, round(start * rate))
            packets += track.encode(None)
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return str(path)


def encode_samples(track, samples, start):
    """Packets of a part of a track that begins with a sample."""
    packets, rate = [], track.codec_context.sample_rate
    for at in range(0, samples.shape[1], 4096):
        packed = np.ascontiguousarray(samples[:, at : at + 4096].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=LAYOUTS[len(samples)])
        frame.sample_rate, frame.pts, frame.time_base = rate, start + at, Fraction(1, rate)
        packets += track.encode(frame)
    return packets
