"""What an inspection of one section's list adds up to: why a run would fail, and the numbers of the doctor's table."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from datareader.labels import warn_of_classes
from tools.doctor.inspection import FileReport, Finding, Inspector, count_classes, spread
from tools.runtime.cpu import usable_cores


@dataclass(frozen=True)
class ListReport:
    """A list under inspection. unreadable: why there are no reports, where there are none.

    notices: lines worth printing. reading: as ``measure_reading`` gives it.
    """

    reports: list[FileReport] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    reading: tuple[int, float] = (0, 0.0)
    unreadable: Finding | None = None


@dataclass(frozen=True)
class SectionReport:
    """A section and its list, whose content it may share with another. duplicates: findings on them."""

    name: str
    list_path: str
    batch_size: int
    threads: int
    num_classes: int
    inspector: Inspector
    content: ListReport
    duplicates: list[Finding]

    @property
    def reports(self) -> list[FileReport]:
        return self.content.reports

    def findings(self) -> list[Finding]:
        alone = [self.content.unreadable] if self.content.unreadable else []
        return [*alone, *(finding for report in self.reports for finding in report.findings), *self.duplicates]

    def dataset_size(self) -> int:
        """Records of the data set that training opens; clips are skipped only when they are read."""
        if self.inspector.one_record_a_file:
            return len(self.reports)
        return sum(report.num_usable for report in self.reports)

    def reasons_to_fail(self, skip_broken: int) -> list[str]:
        """Why a run that reads this section ends with an error, as clauses; see train.py and datareader."""
        if unreadable := self.content.unreadable:
            return [f"[{self.name}] {unreadable.text}"]
        faults = [finding for finding in self.findings() if finding.is_fault]
        fatal = [finding for finding in faults if not finding.skippable]
        broken, usable = len(faults) - len(fatal), sum(report.num_usable for report in self.reports)
        reasons = []
        if fatal:
            reasons.append(f"{len(fatal)} lines of {self.list_path} cannot be used, which --skip-broken does not cover")
        if broken > skip_broken:
            reasons.append(f"{broken} broken in {self.list_path}, and --skip-broken is {skip_broken}")
        if not usable and not fatal:
            reasons.append(f"nothing in {self.list_path} is usable")
        count = self.dataset_size()
        if self.name == "TRAIN" and 0 < count < self.batch_size:
            reasons.append(
                f"{self.list_path} has {count} records, which do not fill one training batch of {self.batch_size}; "
                f"a batch size of {count} or less works (--batch-size)"
            )
        return [f"[{self.name}] {reason}" for reason in reasons]

    def class_warnings(self) -> list[str]:
        """What training and test say of the classes of their data sets."""
        counts = count_classes(self.reports)
        if counts is None or not self.inspector.labels_needed or not any(report.num_usable for report in self.reports):
            return []
        return warn_of_classes(np.array([counts[class_id] for class_id in range(self.num_classes)]))

    def summary(self) -> dict:
        """The numbers of the table and the JSON."""
        usable, kinds = sum(report.num_usable for report in self.reports), self.findings()
        records, seconds = self.content.reading
        threads = max(1, min(self.threads, usable_cores()))
        whole, part = divmod(self.dataset_size(), self.batch_size)
        return {
            "list": self.list_path,
            "entries": len(self.reports),
            "records": sum(report.num_records for report in self.reports),
            "usable": usable,
            "bytes": sum({report.key: report.size for report in self.reports if report.entry}.values()),
            "faults": Counter(finding.kind for finding in kinds if finding.is_fault),
            "twins": Counter(finding.kind for finding in kinds if not finding.is_fault),
            "classes": summarise_classes(self.reports, self.num_classes),
            "frames": spread(self.reports, "num_frames"),
            "seconds": spread(self.reports, "seconds"),
            "batches": whole if self.name == "TRAIN" else whole + bool(part),
            "reading": {
                "sampled_records": records,
                "sampled_sec": seconds,
                "threads": threads,
                "epoch_sec": seconds / records * usable / threads,
            }
            if records
            else None,
        }


def summarise_classes(reports: list[FileReport], num_classes: int) -> dict | None:
    """How many usable records each class has; None where there are no labels."""
    counts = count_classes(reports)
    if not counts:
        return None
    unknown = counts.pop(-1, 0)
    present = sorted(counts.values())
    return {
        "num_classes": num_classes,
        "present": len(present),
        "unknown": unknown,
        "min": present[0] if present else 0,
        "median": median(present) if present else 0,
        "max": present[-1] if present else 0,
        "empty": [class_id for class_id in range(num_classes) if class_id not in counts],
        "counts": {class_id: counts[class_id] for class_id in sorted(counts)},
    }
