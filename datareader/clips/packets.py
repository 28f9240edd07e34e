"""Which packets of a video to decode for a few of its frames."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import av

# Where packets have been seen to tell the truth about frames: in AVI, packed B-frames have wrong times.
PLANNED_CONTAINERS = {"mp4", "matroska"}
PLANNED_CODECS = {"h264", "hevc", "vp8", "vp9", "av1"}


class PacketInfo(NamedTuple):
    """One compressed picture. pts: when it is shown, in ticks. is_shown: False for pictures never given out."""

    pts: int
    is_key: bool
    is_shown: bool


def demux(container, stream) -> Iterator:
    """Packets with something in them; an empty one would tell a decoder that the video ends."""
    return (packet for packet in container.demux(stream) if packet.size)


def list_packets(container, stream) -> list[PacketInfo] | None:
    """All packets of a video in file order, or None where frames cannot be told from them."""
    codec = stream.codec_context.codec.canonical_name
    if codec not in PLANNED_CODECS or PLANNED_CONTAINERS.isdisjoint(container.format.name.split(",")):
        return None
    packets = []
    try:
        for packet in demux(container, stream):
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
