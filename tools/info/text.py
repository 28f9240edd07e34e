"""Cards as text for people."""

from collections.abc import Iterable
from typing import Any

from tools.runtime.tables import Table, format_columns, join_lines
from tools.runtime.text import count_of, format_bytes, short_repr

LONGEST_VALUE = 60  # characters of a setting that are shown
LONGEST_ROW = 30  # of the values of several sections in one row


def format_overview(cards: Iterable[dict[str, Any]]) -> Table:
    """A line a model."""
    rows = [["model", "reads", "parameters", "multiply-adds", "of", "reported in 2019", "paper"]]
    for card in cards:
        counted = card["multiply_adds"]
        papers = [f"{paper['venue']} {paper['year']}" for paper in card["papers"]]
        scores = [_list_scores(one) + f" ({one['protocol']})" * bool(one["protocol"]) for one in card["scores"]]
        rows.append(
            [
                card["name"],
                card["data"],
                _large(card["parameters"]["trained"]),
                _large(counted["per_video"]),
                counted["video"] or "-",
                "; ".join(scores) or "-",
                papers[0] if papers else "-",
            ]
        )
    return join_lines([format_columns(rows, align="<<>><"), "", "--model-name NAME shows all of one"])


def format_card(card: dict[str, Any]) -> Table:
    """All blocks of one, but for single layers, which --json has."""
    blocks = [
        _format_head(card),
        _format_weights(card["weights"]),
        _titled("inputs, of one video", _format_inputs(card)),
        _titled("sizes", _format_sizes(card)),
        _titled("parts (--json has every layer)", _format_parts(card["parts"])),
        _titled(f"settings of {card['config']['path']}", _format_settings(card["config"]["settings"])),
        _titled("released weights", _format_released(card["released"])),
        _titled("reported scores", _format_scores(card["scores"])),
        _titled("measured speed, ms a video", _format_speeds(card["speeds"])),
    ]
    return Table("\n\n".join(block for block in blocks if block))


def _titled(title: str, block: str) -> str:
    return join_lines([title, Table(block)]) if block else ""


def _format_head(card: dict[str, Any]) -> Table:
    title = card["title"] or card["name"]
    lines = [f"{title} (--model-name={card['name']})"]
    lines += [card["sentence"]] if card["sentence"] else []
    for paper in card["papers"]:
        what = f"{paper['what']}: " if paper["what"] else ""
        address = f", {paper['address']}" if paper["address"] else ""
        *others, last = paper["authors"]
        authors = f"{', '.join(others)} and {last}" if others else last
        lines.append(f'{what}{authors}, "{paper["title"]}", {paper["venue"]} {paper["year"]}{address}')
    return join_lines([*lines, *([f"more: {card['page']}"] if card["page"] else [])])


def _format_weights(weights: dict[str, Any] | None) -> str:
    if weights is None:
        return ""
    rows = [
        ["weights", weights["path"]],
        ["what they are", weights["kind"]],
        ["arrays", f"{weights['arrays']:,}, {format_bytes(weights['bytes'])}; {weights['matched']:,} fit the model"],
        ["classes", f"{weights['num_classes']:,}"],
        ["class names", weights["class_names"] or "not with them"],
    ]
    if weights["epochs"] is not None:
        steps = "" if weights["steps"] is None else f", {count_of(weights['steps'], 'step')} in all"
        rows.append(["trained", f"{count_of(weights['epochs'], 'epoch')}{steps}"])
    if weights["best_score"] is not None:
        rows.append(
            ["best score", f"{weights['score']} {weights['best_score']:.6g}, after epoch {weights['best_epoch']}"]
        )
    if weights["versions"]:
        rows.append(["written by", ", ".join(f"{name} {value}" for name, value in weights["versions"].items())])
    return join_lines([format_columns(rows), *weights["notes"]])


def _format_inputs(card: dict[str, Any]) -> str:
    rows = [[each["name"], each["dtype"], str(list(each["shape"])), each["values"]] for each in card["inputs"]]
    return format_columns(rows) if rows else ""


def _format_sizes(card: dict[str, Any]) -> str:
    sizes, counted, memory = card["parameters"], card["multiply_adds"], card["memory"]
    rows = [["parameters", f"{sizes['trained']:,}"], ["running statistics", f"{sizes['statistics']:,}"]]
    if counted["not_counted"]:
        rows.append(["multiply-adds", f"not counted: {counted['not_counted']}"])
    else:
        of_section = f" (as in {counted['section']})" if card["data"] == "clips" else ""
        rows.append(["multiply-adds", f"{counted['per_view']:,} for {counted['video']}{of_section}"])
        if counted["views"] > 1:
            rows.append(["", f"{counted['per_video']:,} for the {counted['views']} views of a video"])
        rows.append(["", "of convolutions and matrix products alone"])
    rows += [
        ["weights", format_bytes(memory["weights"])],
        ["a checkpoint", f"about {format_bytes(memory['checkpoint'])}"],
    ]
    if memory["training"]:
        rows.append(["memory of a step", f"about {format_bytes(memory['training_per_video'])} a video, and "
                     f"{format_bytes(memory['training'])} in all for a batch of {memory['training_batch']:,} in one "
                     "process"])  # fmt: skip
    rows.append(["memory of inference", "not measured"])
    return format_columns(rows)


def _format_parts(parts: list[dict[str, Any]]) -> str:
    rows = [["part", "output", "parameters", "statistics", "multiply-adds"]]
    for part in parts:
        output = str(list(part["output"])) if part["output"] else "-"
        numbers = (part[number] for number in ("num_parameters", "num_statistics", "multiply_adds"))
        rows.append([part["name"] or "(itself)", output, *(f"{number:,}" if number else "-" for number in numbers)])
    return format_columns(rows, align="<<>")


def _format_settings(settings: list[dict[str, Any]]) -> str:
    """Keys of the same meaning in one row, with the value of each section."""
    groups = {}
    for one in settings:
        groups.setdefault((one["key"], one["meaning"]), []).append(one)
    rows = [["key", "section", "value", "default", "meaning"]]
    for (key, meaning), group in groups.items():
        default = "required" if group[0]["required"] else short_repr(group[0]["default"], LONGEST_VALUE)
        for sections, value in _join_values(group):
            rows.append([key, sections, value, default, meaning or "-"])
    return format_columns(rows)


def _join_values(group: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(sections, their values) of a key, in one row where that is short."""
    sections = [one["section"] for one in group]
    values = [short_repr(one["value"], LONGEST_VALUE) for one in group]
    joined = values[0] if len(set(values)) == 1 else " / ".join(values)
    if len(joined) <= LONGEST_ROW or joined == values[0]:
        return [(" ".join(sections), joined)]
    return list(zip(sections, values, strict=True))


def _format_released(released: dict[str, Any] | None) -> str:
    if released is None:
        return ""
    rows = [
        ["trained on", f"{released['data']}, {released['num_classes']:,} classes"],
        ["size", f"{format_bytes(released['values_bytes'])} of values; that of the files was not published"],
        ["licence", released["licence"] or "none was published with them"],
        ["here", released["here"] or "not yet; test.py and infer.py without --weights fetch them"],
    ]
    for file in released["files"]:
        rows.append(["from", file["address"]])
        came = f"; that of what came first: {file['sha256']}" if file["sha256"] else ""
        rows.append(["", f"checksum: none published{came}"])
    return format_columns(rows)


def _format_scores(scores: list[dict[str, Any]]) -> str:
    rows = []
    for one in scores:
        values = _list_scores(one)
        data = ", ".join(filter(None, [one["data"], one["protocol"]]))
        rows.append([values, data, f"reported in {one['year']}{', not measured here' * (not one['measured_here'])}"])
    return format_columns(rows) if rows else ""


def _list_scores(scores: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in scores["values"].items())


def _format_speeds(speeds: list[dict[str, Any]]) -> str:
    rows = [[one["what"], f"{one['ms']:,g}", one["processor"]] for one in speeds]
    return format_columns(rows, align="<><") if rows else ""


def _large(number: int | None) -> str:
    """In the largest unit in which it is 1 or more."""
    if number is None:
        return "-"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
