"""Whether the file of a video was cut short, as by a copy that was interrupted: some containers say where they end."""

from typing import BinaryIO

from datareader.clips.boxes import walk_boxes
from datareader.clips.headers import find_segment_end
from tools.files.recognise import HEAD_SIZE, FileKind, describe_content

MP4_FRAMES = b"mdat"


def find_said_end(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Where a file ends as its container says, in bytes; None where it does not say, or is no video.

    head: its beginning, of HEAD_SIZE bytes. Of an mp4 the boxes of frames count, as what cannot be a box may follow.
    """
    match describe_content(head):
        case FileKind.MP4:
            return max((at + length for name, at, length in walk_boxes(file, size) if name == MP4_FRAMES), default=None)
        case FileKind.AVI:
            return 8 + int.from_bytes(head[4:8], "little")
        case FileKind.MATROSKA:
            return find_segment_end(head)
    return None


def describe_cut(path: str) -> str:
    """How much of a video's file there is, "" where nothing is known to be missing. Raises OSError."""
    with open(path, "rb") as file:
        head, size = file.read(HEAD_SIZE), file.seek(0, 2)
        said = find_said_end(file, head, size)
    return f"{size:,} of the {said:,} bytes that it says" if said is not None and said > size else ""
