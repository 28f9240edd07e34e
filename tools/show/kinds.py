"""Which kind of data a file holds, by its content."""

from pathlib import Path

from datareader.clips.decoding import read_facts
from datareader.clips.files import PICKLE_STARTS
from datareader.clips.frame_folders import list_folder
from datareader.kinds import DataKind, explain_refused, guess_pickle_kind
from tools.errors import DataError
from tools.files.recognise import HEAD_SIZE, is_tfrecord

KINDS = "a video, a pickle of JPEG frames, a folder of frames, a pickle of YouTube-8M records, or a .tfrecord shard"


def recognise(path: str) -> DataKind:
    """The kind of data in a file, as specs call it. Raises DataError for what is neither."""
    if Path(path).is_dir():
        content = list_folder(path)
        if not content.frames and not content.flow:
            raise DataError(f"{path} is a folder; name one file: {KINDS}")
        return "clips"
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_SIZE)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; expected {KINDS}") from None
    except ValueError as error:  # a name that no file can have
        raise DataError(f"{path!r} cannot be read: {error}") from None
    if not head:
        raise DataError(f"{path} is empty; fetch or copy it again")
    if is_tfrecord(head):
        return "features"
    if head.startswith(PICKLE_STARTS):
        return guess_pickle_kind(path)
    try:
        read_facts(path)
    except DataError as error:
        raise explain_refused(path, error) from None
    return "clips"
