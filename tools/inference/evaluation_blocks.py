"""What pages say of an evaluation: every class, classes that are mistaken for others, and the worst mistakes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tools.inference.mistakes import ShownMistake
from tools.pages.blocks import Card, Cards, Cell, Charts, Column, Facts, Paragraph, Table
from tools.pages.charts import BarChart, DotChart
from tools.pages.matrix import ConfusionMatrix
from tools.pages.scales import format_number
from tools.pages.texts import enumerate_texts, foreign

_PARTS = 10  # of 0 to 100 %, in which classes are counted
_MOST_OTHERS = 3  # that a class is taken for, in its row


def show(metric, values: dict[str, Any]) -> dict[str, Any]:
    """Name for people -> values of scores; as they are where the metric, and so the units, are not known."""
    return metric.shown(values) if metric else values


def show_texts(metric, values: dict[str, float]) -> dict[str, str]:
    """Name -> text of scores, shares in percent. metric: None where units are not known."""
    texts = {}
    for name, value in show(metric, values).items():
        title, is_share = name.removesuffix(", %"), name.endswith(", %")
        texts[title] = f"{value:.2f} %" if is_share else format_number(value)
    return texts


def list_class_blocks(
    num_classes: int,
    names: Sequence[str] | None,
    report: dict[str, list[dict]],
    shown: Callable[[dict], dict[str, Any]],
    pairs: np.ndarray | None = None,
) -> list:
    """Of what ``Metric.report`` gives, and its ``shown``. names: by class id, None where they are not known.

    pairs: as of ``Metric.confusion_pairs``, for what each class is taken for; None to leave that out. [] where nothing
    is known of single classes.
    """
    per_class = report.get("per_class")
    if not per_class:
        return []
    values, title = {}, ""
    for row in per_class:
        of_class = shown({key: value for key, value in row.items() if key not in ("class_id", "videos")})
        ((name, value),) = of_class.items()
        title, values[row["class_id"]] = name.removesuffix(", %"), (row["videos"], value)
    ids = sorted(values)
    charts = [
        DotChart(
            f"{title} against the number of videos", "videos of a class", title,
            [name_class(names, class_id) for class_id in ids],
            [values[class_id][0] for class_id in ids], [values[class_id][1] for class_id in ids], " %",
            ceiling=100,
        ),
        _count_classes(title, [values[class_id][1] for class_id in ids]),
    ]  # fmt: skip
    others = None if pairs is None else _list_others(names, pairs)
    blocks = [Charts(charts), _tabulate_classes(num_classes, names, values, title, others)]
    confusions = report.get("confusions")
    if confusions:
        blocks.append(_tabulate_confusions(names, confusions))
    elif confusions is not None:
        blocks.append(Paragraph("No class was taken for another."))
    return blocks


def list_matrix_blocks(num_classes: int, names: Sequence[str] | None, pairs: np.ndarray) -> list:
    """What is taken for what. pairs: as of ``Metric.confusion_pairs``; [] where no video has a known class."""
    if not len(pairs):
        return []
    matrix = ConfusionMatrix([name_class(names, class_id) for class_id in range(num_classes)], pairs)
    if not len(matrix.mistakes):
        return [Paragraph("No class was taken for another.")]
    return [matrix]


def name_class(names: Sequence[str] | None, class_id: int) -> str:
    """The id of a class with its name, where it has one."""
    name = names[class_id] if names and 0 <= class_id < len(names) else ""
    return f"{class_id} {name}" if name else f"class {class_id}"


def list_mistake_blocks(mistakes: Sequence[ShownMistake], names: Sequence[str] | None, of_what: str) -> list:
    """A card for each of the worst mistakes of an evaluation. of_what: of it, such as "the last validation"."""
    if not mistakes:
        return [Paragraph(f"The best class of every video of {of_what} was one of its own.")]
    cards = []
    for one in mistakes:
        own = ", ".join(f"{name_class(names, class_id)} ({100 * prob:.1f} %)" for class_id, prob in one.own)
        facts = [("own class" if len(one.own) == 1 else "own classes", own), ("file", one.source)]
        facts += [("frames", one.note)] if one.note else []
        rows = [
            [Cell(name_class(names, class_id)), Cell(f"{100 * prob:.1f} %", prob, prob)] for class_id, prob in one.best
        ]
        table = Table("Its best classes", [Column("class"), Column("probability", True)], rows, sortable=False)
        cards.append(Card(one.video_id, one.pictures, [Facts(facts), table]))
    count = "1 video" if len(cards) == 1 else f"{len(cards)} videos"
    text = f"Of all mistakes of {of_what} those in which a wrong class is the farthest ahead of the right one: {count}."
    return [Paragraph(text), Cards(cards)]


def _count_classes(title: str, values: list[float]) -> BarChart:
    counts = [0] * _PARTS
    for value in values:
        counts[min(int(value * _PARTS / 100), _PARTS - 1)] += 1
    labels = [f"{100 * part // _PARTS}+" for part in range(_PARTS)]
    return BarChart(f"Classes by {title}", f"{title}, %", "classes", labels, counts)


def _list_others(names, pairs: np.ndarray) -> tuple[dict[int, Any], dict[int, Any]]:
    """Class id -> what its videos are taken for most often, and what is taken for it, with how many videos."""
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    found = {}, {}
    for label, predicted, videos in wrong[np.argsort(-wrong[:, 2], kind="stable")].tolist():
        found[0].setdefault(label, []).append((predicted, videos))
        found[1].setdefault(predicted, []).append((label, videos))
    return tuple({one: _join(names, others) for one, others in of_each.items()} for of_each in found)


def _join(names, others: list[tuple[int, int]]):
    """Up to three of them as Markup."""
    parts = [foreign(name_class(names, one)) + f" ({videos:,})" for one, videos in others[:_MOST_OTHERS]]
    parts += [f"{len(others) - _MOST_OTHERS:,} more"] if len(others) > _MOST_OTHERS else []
    return enumerate_texts(parts)


def _tabulate_classes(
    num_classes: int, names, values: dict[int, tuple[int, float]], title: str, others: tuple[dict, dict] | None
) -> Table:
    """The worst first; classes without videos come last."""
    ids = sorted(
        range(num_classes), key=lambda class_id: (values[class_id][1] if class_id in values else 101, class_id)
    )
    rows = []
    for class_id in ids:
        videos, value = values.get(class_id, (0, None))
        score = Cell("-") if value is None else Cell(f"{value:.1f} %", round(value, 4), value / 100)
        name = names[class_id] if names and class_id < len(names) else ""
        row = [Cell(str(class_id), class_id), *([name] * bool(names)), Cell(f"{videos:,}", videos), score]
        rows.append([*row, *(of_each.get(class_id, "") for of_each in others or ())])
    columns = [Column("class", True), *[Column("name")] * bool(names), Column("videos", True), Column(title, True)]
    columns += [Column("most often taken for"), Column("what is taken for it")] if others else []
    without = num_classes - len(values)
    note = f"; {without:,} of them have no video" if without else ""
    return Table(f"All {num_classes:,} classes, the worst first{note}", columns, rows)


def _tabulate_confusions(names, confusions: list[dict]) -> Table:
    columns = [Column("videos of"), Column("taken for"), Column("videos", True), Column("share of the class", True)]
    rows = [
        [
            name_class(names, row["label"]),
            name_class(names, row["predicted"]),
            Cell(f"{row['videos']:,}", row["videos"]),
            Cell(f"{row['share_percent']:.1f} %", row["share_percent"], row["share_percent"] / 100),
        ]
        for row in confusions
    ]
    return Table(f"The {len(rows)} pairs of classes that are mistaken most often", columns, rows)
