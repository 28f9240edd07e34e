"""What tools.doctor found, as text for people. All of it is in the dict that --json writes."""

from collections.abc import Iterable

from tools.runtime.tables import Table, format_columns, join_lines
from tools.runtime.text import format_bytes

NAMED = 3  # findings of a kind that the text names; the JSON has all


def format_report(report: dict) -> Table:
    blocks = [_format_sections(report["sections"]), *_format_findings(report["findings"])]
    blocks += [_format_checks(report["checks"]), _format_verdict(report)]
    return Table("\n\n".join(block for block in blocks if block))


def _format_sections(sections: dict[str, dict]) -> str:
    """A column a section; rows in which nothing stands anywhere are left out, but for the first."""
    if not sections:
        return ""
    lines = [f"[{name}] {section['list']}" for name, section in sections.items()]
    cells = {name: _cells(section) for name, section in sections.items()}
    names = list(dict.fromkeys(name for column in cells.values() for name in column))
    names.sort(key=lambda name: _ROWS.index(name) if name in _ROWS else _ROWS.index("faults"))
    rows = [["", *sections]]
    rows += [[name, *(column.get(name, "-") for column in cells.values())] for name in names]
    return join_lines([*lines, format_columns(rows, align="<>")])


_ROWS = [
    "entries",
    "records",
    "usable",
    "missing",
    "empty",
    "unreadable",
    "faults",
    "same file",
    "same video id",
    "same content",
    "classes that occur",
    "videos a class (least / median / most)",
    "unknown class (-1)",
    "frames (least / median / most)",
    "seconds (least / median / most)",
    "frames known of",
    "seconds known of",
    "disk",
    "batches an epoch",
    "reading an epoch",
]


def _cells(section: dict) -> dict[str, str]:
    """Row -> text of one section's column."""
    cells = {name: f"{section[name]:,}" for name in ("entries", "records", "usable")}
    cells |= {kind: f"{count:,}" for kind, count in {**section["faults"], **section["twins"]}.items()}
    if classes := section["classes"]:
        cells["classes that occur"] = f"{classes['present']:,} of {classes['num_classes']:,}"
        if classes["present"]:
            cells["videos a class (least / median / most)"] = _spread(classes["min"], classes["median"], classes["max"])
        if classes["unknown"]:
            cells["unknown class (-1)"] = f"{classes['unknown']:,}"
    for name in ("frames", "seconds"):
        if spread := section[name]:
            cells[f"{name} (least / median / most)"] = _spread(spread["min"], spread["median"], spread["max"])
            if spread["known"] < section["usable"]:
                cells[f"{name} known of"] = f"{spread['known']:,}"
    cells["disk"] = format_bytes(section["bytes"])
    cells["batches an epoch"] = f"{section['batches']:,}"
    if section["reading"]:
        cells["reading an epoch"] = f"about {_duration(section['reading']['epoch_sec'])}"
    return cells


def _spread(low: float, middle: float, high: float) -> str:
    """The least, the median and the most."""
    return " / ".join(f"{value:.4g}" if value < 1000 else f"{value:,.0f}" for value in (low, middle, high))


def _duration(seconds: float) -> str:
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s" if seconds >= 0.1 else "0.1 s"


def _format_findings(findings: list[dict]) -> Iterable[str]:
    """A block a kind, the first of each named; what several sections find in one list is told once."""
    sections = {}
    for finding in findings:
        sections.setdefault((finding["kind"], finding["text"]), []).append(finding["section"])
    groups = {}
    for (kind, text), names in sections.items():
        groups.setdefault((", ".join(dict.fromkeys(names)), kind), []).append(text)
    for (names, kind), texts in groups.items():
        lines = [f"[{names}] {kind}: {len(texts):,}", *(f"  {text}" for text in texts[:NAMED])]
        if len(texts) > NAMED:
            lines.append(f"  and {len(texts) - NAMED:,} more (--json has all)")
        yield join_lines(lines)


def _format_checks(checks: list[dict]) -> str:
    return format_columns([f"{check['status']:<5}", check["name"], check["text"]] for check in checks)


def _format_verdict(report: dict) -> str:
    what, reasons = report["verdict"]["what"], report["verdict"]["reasons"]
    if not reasons:
        lines = [f"{what} would {'start' if what == 'training' else 'work'}"]
    elif len(reasons) == 1:
        lines = [f"{what} would fail: {reasons[0]}"]
    else:
        lines = [f"{what} would fail, for {len(reasons)} reasons:", *(f"  {reason}" for reason in reasons)]
    return join_lines(lines)
