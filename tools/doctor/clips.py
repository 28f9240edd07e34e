"""Files of clips under inspection: what their beginnings say or, ``deep``, what all their frames do.

Without ``deep`` a file is opened as training opens it only where its beginning or end looks odd, so that a
hundred thousand files take seconds: nothing is declared broken here, the reader decides.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datareader.clips.cuts import describe_cut
from datareader.clips.decoding import read_frame_rate
from datareader.clips.files import Clip, check_label, check_line, open_clip
from datareader.clips.frame_folders import list_frames
from datareader.clips.look import look_at_ends
from datareader.clips.settings import ClipSettings, build_clip_settings
from datareader.clips.views import decode_views
from tools.doctor.inspection import INSPECTORS, FileReport, hash_key
from tools.errors import DataError
from tools.runtime.text import decode_text
from tools.runtime.workers import QUICK, map_files

_CHUNK = 1 << 20


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
        for _ in map_files(lambda report: self._complete(report, check), reports, f"reading {list_path}", at_once):
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
        if Path(report.path).is_dir():
            names = list_frames(report.path, report.entry.num_frames)
            report.size = sum(Path(report.path, name).stat().st_size for name in names)

    def _look(self, report: FileReport) -> None:
        """Go by the beginning and the end of a file where they are as they should be. Raises DataError."""
        ends = look_at_ends(report.entry, label_needed=report.entry.label is None)
        if ends is None:
            self._read_wholly(report)
            return
        label = ends.label if report.entry.label is None else report.entry.label
        self._note_label(report, check_label(label, self.settings, report.entry.path))
        if ends.video_id is not None:
            self._note_id(report, decode_text(ends.video_id))

    def _read_wholly(self, report: FileReport) -> None:
        """Decode what the network sees of a clip, and all frames of a pickle. Raises DataError."""
        clip = open_clip(report.entry, self.settings)
        self._decode_views(report, clip, None)
        if clip.jpegs is None:
            report.content_keys = np.array([hash_key(*_read_chunks(report.path))], np.uint64)
            if cut := describe_cut(report.path):
                report.add_note("cut short", f"{report.path} is cut short: it has {cut}")
        else:
            for _ in clip.jpegs.frames(np.arange(clip.jpegs.num_frames)):
                pass
            report.content_keys = np.array([hash_key(*clip.jpegs.data)], np.uint64)
            if not Path(report.path).is_dir():
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
        """A pickle's id names its video; a video's file or folder may be called as another in another folder."""
        report.video_keys = np.array([hash_key(video_id.encode(errors="surrogatepass"))], np.uint64)

    @staticmethod
    def _note_label(report: FileReport, label: int | None) -> None:
        if label is not None:
            report.class_counts = {label: 1}


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
