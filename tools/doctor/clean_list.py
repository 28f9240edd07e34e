"""Lists without the lines that an inspection found cannot be used."""

import os
from pathlib import Path

from datareader.lists import load_list, read_list_text
from tools.doctor.inspection import FileReport
from tools.doctor.section_report import SectionReport
from tools.errors import DataError
from tools.files.atomic import atomic_write, require_writable
from tools.files.texts import split_lines


def plan_clean_lists(list_paths: list[str], out: Path) -> dict[str, Path]:
    """Where the clean list of each list goes. Ask before long work.

    out: a file; a folder where there are several lists or where it is one already. Raises DataError where a list
    itself would be overwritten, or where nothing can be written.
    """
    lists = dict.fromkeys(list_paths)
    into_folder = len(lists) > 1 or out.is_dir()
    targets = {path: out / Path(path).name if into_folder else out for path in lists}
    if len(set(targets.values())) < len(targets):
        raise DataError(f"--write-clean-list {out}: two lists have the same name; use --section for one at a time")
    originals = {Path(path).resolve() for path in lists}
    for target in targets.values():
        if target.resolve() in originals:
            raise DataError(f"--write-clean-list {out}: {target} is the list itself; name another file or folder")
        try:
            require_writable(target)
        except OSError as error:
            raise DataError(f"--write-clean-list: {target} cannot be written: {error}") from None
    return targets


def write_clean_lists(sections: list[SectionReport], targets: dict[str, Path]) -> list[str]:
    """Write each list without the lines that cannot be used; lines that say so.

    targets: as planned. A list that several sections read keeps what all of them can use. Raises DataError.
    """
    lists = {}
    for section in sections:
        if section.reports:
            lists.setdefault(section.list_path, []).append(section)
    if not lists:
        raise DataError("--write-clean-list: no list could be read, so nothing was written")
    return [_write_clean_list(path, readers, targets[path]) for path, readers in lists.items()]


def _write_clean_list(list_path: str, sections: list[SectionReport], target: Path) -> str:
    everywhere = zip(*(section.reports for section in sections), strict=True)  # a line's reports together
    good = {reports[0].number: reports[0] for reports in everywhere if all(map(_can_stay, reports))}
    if not any(report.num_usable for report in good.values()):
        raise DataError(f"--write-clean-list: nothing in {list_path} is usable, so nothing was written")
    named = {report.number for report in sections[0].reports}
    kept = []
    for number, line in enumerate(split_lines(read_list_text(list_path)), start=1):
        if number in good:
            kept.append(_moved_line(good[number], list_path, target))
        elif number not in named:
            kept.append(line)
    labelled = sections[0].inspector.labelled
    try:
        with atomic_write(target) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())
            file.flush()
            written = load_list(file.name, labelled)
            for entry, report in zip(written, good.values(), strict=True):
                same = entry.label == report.entry.label and entry.num_frames == report.entry.num_frames
                if not same or not Path(entry.path).samefile(report.path):
                    raise DataError(
                        f"{target}: {report.line!r} would be read as {entry.path}; write it beside its list"
                    )
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}") from None
    text = f"{target}: {len(good)} of {len(named)} lines of {list_path}"
    if partly := sum(bool(report.findings) for report in good.values()):
        text += f"; {partly} of them name files with broken records beside usable ones, for --skip-broken to skip"
    return text


def _can_stay(report: FileReport) -> bool:
    """Whether training can use a line's file; one that holds no records does no harm."""
    return bool(report.num_usable or not report.findings)


def _moved_line(report: FileReport, list_path: str, target: Path) -> str:
    """A line as it was, unless its path counts from the list's folder and the new list is in another one."""
    folder = Path(list_path).parent
    name = report.entry.written
    beside = not Path(name).exists()  # else it counts from the working directory, or from nowhere
    if not beside or folder.resolve() == target.parent.resolve():
        return report.line
    path = os.path.relpath(folder.resolve() / name, target.parent.resolve())
    return path + report.line[len(name) :]
