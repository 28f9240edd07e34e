"""A page with a block of every kind, on names that are given."""

from pathlib import Path

import numpy as np

from tools.pages.blocks import (
    Card,
    Cards,
    Cell,
    Charts,
    Column,
    Facts,
    Figure,
    Figures,
    Items,
    Page,
    Paragraph,
    Picture,
    Ranking,
    Section,
    Table,
)
from tools.pages.charts import BarChart, DotChart, LineChart, Series
from tools.pages.matrix import ConfusionMatrix
from tools.pages.pictures import encode_picture
from tools.pages.texts import address_of, linked
from tools.pages.timeline import Stretch, Timeline


def make_sample(names: list[str], *, num_classes: int = 20, num_points: int = 30) -> Page:
    rng = np.random.default_rng(0)
    x, counts, scores = np.arange(num_points), rng.integers(1, 3000, num_classes), 100 * rng.random(num_classes)
    of_class = [names[i % len(names)] for i in range(num_classes)]
    charts = [
        LineChart(
            names[0], "epoch", [Series(name, x, rng.random(num_points)) for name in names], unit=f" {names[0]}", floor=0
        ),
        LineChart("learning rate", "step", [Series("rate", x, 10.0 ** -(1 + x // 10))], log_wanted=True),
        DotChart(names[0], "clips", names[0], of_class, counts, scores, " %"),
        BarChart(names[0], "top-1", names[0], names[:5], rng.integers(0, 9, 5)),
    ]
    rows = [
        [
            Cell(str(i), i),
            name,
            Cell(f"{counts[i]:,}", counts[i]),
            Cell(f"{scores[i]:.1f} %", scores[i], scores[i] / 100),
        ]
        for i, name in enumerate(of_class)
    ]
    columns = [Column("class", True), Column("name"), Column("clips", True), Column("top-1", True)]
    picture = Picture(encode_picture(rng.integers(0, 256, (60, 80, 3), np.uint8)), names[0], names[1])
    stretches = [Stretch(i, i + 1, name, (i + 1) / len(names)) for i, name in enumerate(names)]
    timeline = Timeline(names[0], stretches, len(names), names[1])
    ranking = Ranking([(name, 1 / (i + 1)) for i, name in enumerate(names)])
    cards = [Card(name, [picture] * 3, [Facts([("file", name)]), ranking], f"card-{i}") for i, name in enumerate(names)]
    ways = [address_of(f"films/{name}", Path("pages/page.html"), "t=1.5") or "#films" for name in names]
    links = [Paragraph(linked(name, way)) for name, way in zip(names, ways, strict=True)]
    pairs = np.array([[i, j, 1 + (i + j) % 3] for i in range(num_classes) for j in range(i, num_classes, 7)])
    matrix = ConfusionMatrix([f"{i} {name}" for i, name in enumerate(of_class)], pairs)
    return Page(
        f"TSN {names[0]}",
        [
            Section("charts", names[0], [Charts(charts)]),
            Section("classes", "Classes", [Paragraph(names[1]), Table(names[0], columns, rows)]),
            Section("confusions", "Confusions", [matrix]),
            Section("mistakes", "Mistakes", [Cards(cards)]),
            Section("films", "Films", [Cards([Card(names[0], name="film", above=[timeline])], wide=True), *links]),
            Section("warnings", "Warnings", [Items(names), Facts([(name, name) for name in names])]),
        ],
        head=[Figures([Figure("best", names[0], names[1]), Figure(names[2], names[3])])],
    )
