"""Which packets of a video to decode for a few of its frames."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

# Where packets have been seen to tell the truth about frames: in AVI, packed B-frames have wrong times.
PLANNED_CONTAINERS = {"mp4", "matroska"}
PLANNED_CODECS = {"h264", "hevc", "vp8", "vp9", "av1"}


@dataclass(frozen=True)
class Packets:
    """The N compressed pictures of a video in file order, in 10 bytes each.

    pts: (N,) int64, when each is shown, in ticks. is_key, is_shown: (N,) bool; is_shown is False for pictures never
    given out.
    """

    pts: np.ndarray
    is_key: np.ndarray
    is_shown: np.ndarray


def demux(container, stream) -> Iterator:
    """Packets with something in them; an empty one would tell a decoder that the video ends."""
    return (packet for packet in container.demux(stream) if packet.size)


def list_packets(container, stream) -> Packets | None:
    """All packets of a video, or None where frames cannot be told from them."""
    codec = stream.codec_context.codec.canonical_name
    if codec not in PLANNED_CODECS or PLANNED_CONTAINERS.isdisjoint(container.format.name.split(",")):
        return None
    pts, is_key, is_shown = array("q"), bytearray(), bytearray()
    try:
        for packet in demux(container, stream):
            if packet.is_corrupt or packet.pts is None:
                return None
            pts.append(packet.pts)
            is_key.append(packet.is_keyframe)
            is_shown.append(_is_shown(packet, codec))
    except av.error.FFmpegError:
        return None
    packets = Packets(np.array(pts), np.array(is_key, bool), np.array(is_shown, bool))
    shown = np.sort(packets.pts[packets.is_shown])
    if not len(shown) or (shown[1:] == shown[:-1]).any():
        return None
    # Pictures before the first key picture, in the file or on the screen, decode in part or not at all.
    return packets if packets.is_key[0] and shown[0] >= packets.pts[0] else None


def _is_shown(packet, codec: str) -> bool:
    if codec == "vp8":  # hidden reference pictures have packets of their own: bit 4 of the first byte is 0
        return not packet.is_discard and bool(memoryview(packet)[0] & 0x10)
    return not packet.is_discard  # what an edit list cuts away


def plan_runs(packets: Packets, wanted: np.ndarray) -> list[range]:
    """The stretches of packets, as their positions, to decode for the frames shown at ``wanted``, ticks.

    Each begins with a key packet and ends with a wanted one; none overlap.
    """
    keys = np.flatnonzero(packets.is_key)
    runs = []
    for i in np.flatnonzero(packets.is_shown & np.isin(packets.pts, wanted)).tolist():
        group = bisect_right(keys, i) - 1
        if group > 0 and packets.pts[i] < packets.pts[keys[group]]:
            group -= 1  # shown before its key picture, it may refer to the group before (an open GOP)
        start = int(keys[group])
        while runs and start < runs[-1].stop:
            start = min(start, runs.pop().start)
        runs.append(range(start, i + 1))
    return runs
