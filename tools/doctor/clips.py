"""Files of clips under inspection: what their beginnings say or, ``deep``, what all their frames do.

Without ``deep`` a file is opened as training opens it only where its beginning or end looks odd, so that a
hundred thousand files take seconds: nothing is declared broken here, the reader decides.
"""

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from datareader.clips.decoding import read_frame_rate
from datareader.clips.files import (
    PICKLE_STARTS,
    Clip,
    check_label,
    check_line,
    open_clip,
    read_pickle_head,
)
from datareader.clips.settings import ClipSettings, build_clip_settings
from datareader.clips.views import decode_views
from tools.doctor.inspection import INSPECTORS, QUICK, FileReport, hash_key, in_parallel
from tools.errors import DataError
from tools.files.pickles import DAMAGED
from tools.runtime.text import decode_text

_HEAD = 1024  # bytes; a clip's id and label stand in the first hundred
_CHUNK = 1 << 20
_STOP = b"."  # how every pickle ends
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"}  # that a file may begin with


@dataclass(frozen=True)
class ClipInspector:
    """Completes reports on the clips of a list."""

    settings: ClipSettings
    labelled = True
    one_record_a_file = True

    @property
    def labels_needed(self) -> bool:
        return self.settings.labels_needed

    def inspect(self, list_path: str, reports: list[FileReport], deep: bool) -> list[str]:
        """Complete the reports of files that are there; lines worth printing."""
        check, at_once = (self._read_wholly, 1) if deep else (self._look, QUICK)
        for _ in in_parallel(lambda report: self._complete(report, check), reports, f"reading {list_path}", at_once):
            pass
        return []

    def read(self, report: FileReport) -> int:
        """Read a clip as training does, and note its length; returns 1."""
        self._decode_views(report, open_clip(report.entry, self.settings), np.random.default_rng(0))
        return 1

    def _complete(self, report: FileReport, check) -> None:
        report.num_records = 1
        try:
            check_line(report.entry, self.settings)
        except DataError as error:
            report.add_issue(error.issue, error.text, skippable=False)
            return
        try:
            check(report)
        except DataError as error:
            report.add_issue(error.issue, error.text)
            return
        report.num_usable = 1

    def _look(self, report: FileReport) -> None:
        """Go by the beginning and the end of a file where they are as they should be. Raises DataError."""
        try:
            with open(report.path, "rb") as file:
                head = file.read(_HEAD)
                if report.size <= _HEAD:  # too small for a clip
                    known = False
                elif head[:1] in PICKLE_STARTS:
                    known = self._look_at_pickle(report, file, head)
                else:
                    is_labelled = report.entry.label is not None or not self.settings.labels_needed
                    known = is_labelled and _is_whole_video(file, head, report.size)
        except OSError:
            known = False
        if not known:
            self._read_wholly(report)
        elif head[:1] not in PICKLE_STARTS:
            self._note_label(report, check_label(report.entry.label, self.settings, report.entry.path))

    def _look_at_pickle(self, report: FileReport, file: BinaryIO, head: bytes) -> bool:
        try:
            start = read_pickle_head(io.BytesIO(head))
        except DAMAGED:
            return False
        file.seek(-1, os.SEEK_END)
        if start is None or start[1] is None or file.read(1) != _STOP:
            return False
        video_id, label = start
        label = label if report.entry.label is None else report.entry.label
        self._note_label(report, check_label(label, self.settings, report.entry.path))
        self._note_id(report, decode_text(video_id))
        return True

    def _read_wholly(self, report: FileReport) -> None:
        """Decode what the network sees of a clip, and all frames of a pickle. Raises DataError."""
        clip = open_clip(report.entry, self.settings)
        self._decode_views(report, clip, None)
        if clip.jpegs is None:
            report.content_keys = np.array([hash_key(*_read_chunks(report.path))], np.uint64)
        else:
            for _ in clip.jpegs.frames(np.arange(clip.jpegs.num_frames)):
                pass
            report.content_keys = np.array([hash_key(*clip.jpegs.data)], np.uint64)
            self._note_id(report, clip.video_id)
        self._note_label(report, clip.label)

    def _decode_views(self, report: FileReport, clip: Clip, rng: np.random.Generator | None) -> None:
        """Decode what the network sees of a clip, keeping only how many frames it has. Raises DataError."""
        settings = self.settings
        views = 1 if rng else settings.num_clips * settings.num_crops
        shape = (views, settings.seg_num, 3 * settings.seglen, settings.target_size, settings.target_size)
        num_frames = decode_views(np.empty(shape, np.uint8), clip, settings, rng).num_frames
        report.num_frames = np.array([num_frames])
        report.seconds = _find_seconds(report.path, num_frames) if clip.jpegs is None else None

    @staticmethod
    def _note_id(report: FileReport, video_id: str) -> None:
        """A pickle's id names its video; a video's file may be called as another in another folder."""
        report.video_keys = np.array([hash_key(video_id.encode(errors="surrogatepass"))], np.uint64)

    @staticmethod
    def _note_label(report: FileReport, label: int | None) -> None:
        if label is not None:
            report.class_counts = {label: 1}


def _is_whole_video(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a file looks as whole mp4, mov, mkv, webm and avi files do, whose decoders then say the rest."""
    if head[4:8] in _MP4_BOXES:
        return _has_whole_boxes(file, size)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return int.from_bytes(head[4:8], "little") + 8 <= size
    return head.startswith(_MATROSKA)


def _has_whole_boxes(file: BinaryIO, size: int) -> bool:
    """Whether an mp4's boxes end with the file and one of them is the table of its frames."""
    at, has_table = 0, False
    while at < size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        elif length == 0:
            length = size - at  # up to the end
        if length < 8 or at + length > size:
            return False
        has_table |= header[4:8] == b"moov"
        at += length
    return has_table


def _find_seconds(path: str, num_frames: int) -> np.ndarray | None:
    try:
        return np.array([num_frames / read_frame_rate(path)])
    except DataError:
        return None  # not every container says, and nothing depends on it


def _read_chunks(path: str):
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


@INSPECTORS.register("clips")
def build_clip_inspector(config, section: str) -> ClipInspector:
    return ClipInspector(build_clip_settings(config, section))
