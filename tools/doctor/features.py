"""YouTube-8M files under inspection: all records of each, as an index of training has them."""

from dataclasses import dataclass

import numpy as np

from datareader.features.index import FileIndex, build_index, cache_of, check_record, describe_segments, scan_file
from datareader.features.records import Expected, Record, expect_records, load_records
from tools.doctor.inspection import INSPECTORS, FileReport, hash_key
from tools.runtime.workers import map_files

YOUTUBE8M = {("rgb", 1024), ("audio", 128)}  # streams with a row a second; those of other makers say no rate


@dataclass(frozen=True)
class FeatureInspector:
    """Without ``deep`` by the index that training makes and keeps, made here if it is not there; else anew."""

    expected: Expected
    labelled = False
    one_record_a_file = False

    @property
    def labels_needed(self) -> bool:
        return self.expected.labels_needed

    def inspect(self, list_path: str, reports: list[FileReport], deep: bool) -> list[str]:
        """Complete the reports of files that are there; lines worth printing."""
        if deep:
            return describe_segments(sum(map_files(self._read_wholly, reports, f"reading {list_path}")))
        entries = [report.entry for report in reports]
        cache = cache_of(list_path, self.expected)
        scan = lambda path: scan_file(path, self.expected)  # noqa: E731
        index, notices = build_index(list_path, entries, repr(self.expected), scan, cache) if entries else ([], [])
        for report, file in zip(reports, index, strict=True):
            self._fill(report, file)
        return notices

    def read(self, report: FileReport) -> int:
        """Read a file as training does; how many usable records it holds. Raises DataError for the file."""
        found = [check_record(raw, self.expected, report.path, i) for i, raw in enumerate(load_records(report.path))]
        return sum(isinstance(record, Record) for record in found)

    def _read_wholly(self, report: FileReport) -> int:
        """Read all records of a file; how many of them have labels of segments."""
        videos, contents = [], []

        def note(record: Record) -> None:
            videos.append(hash_key(record.video_id.encode()))
            contents.append(hash_key(*(np.ascontiguousarray(stream).data for stream in record.streams)))

        file = scan_file(report.path, self.expected, note)
        self._fill(report, file)
        report.video_keys = np.array(videos, np.uint64)
        report.content_keys = np.array(contents, np.uint64)
        return file.num_segmented

    def _fill(self, report: FileReport, file: FileIndex) -> None:
        for problem in file.problems:
            report.add_issue(problem.issue, problem.text, problem.record if problem.record >= 0 else None)
        report.record_numbers = np.flatnonzero(file.num_frames)
        report.num_frames = file.num_frames[report.record_numbers]
        if YOUTUBE8M.issuperset(zip(self.expected.feature_names, self.expected.feature_dims, strict=True)):
            report.seconds = report.num_frames.astype(np.float64)
        report.num_records, report.num_usable = len(file.num_frames), len(report.num_frames)
        report.class_counts = {int(class_id): int(count) for class_id, count in file.class_counts}


@INSPECTORS.register("features")
def build_feature_inspector(config, section: str) -> FeatureInspector:
    return FeatureInspector(expect_records(config, section))
