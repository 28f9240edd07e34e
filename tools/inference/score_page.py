"""The page of a test. Imports what makes pages, so it is imported only for that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.inference.evaluation_blocks import (
    list_class_blocks,
    list_matrix_blocks,
    list_mistake_blocks,
    show,
    show_texts,
)
from tools.inference.mistakes import ShownMistake
from tools.inference.run_blocks import (
    EvaluatedRun,
    describe_weights,
    list_environment_blocks,
    list_setting_blocks,
    list_training_difference_blocks,
    load_published,
)
from tools.pages.blocks import Cell, Column, Facts, Figure, Figures, Items, Page, Paragraph, Section, Table


@dataclass(frozen=True)
class Scores:
    """What a test has found.

    metric: after all videos. values: of its ``compute``. mistakes: the worst. protocol: how videos are scored, "" where
    there is one way only. broken: what is wrong with each record that was skipped. notices: lines on list and names.
    """

    metric: Any
    values: dict[str, float]
    mistakes: Sequence[ShownMistake]
    filelist: str
    protocol: str
    broken: Sequence[str]
    notices: Sequence[str]

    @property
    def num_records(self) -> int:
        return self.metric.num_videos + len(self.broken)


def build_score_page(run: EvaluatedRun, scores: Scores) -> Page:
    num_classes, pairs = run.config.MODEL.num_classes, scores.metric.confusion_pairs()
    classes = list_class_blocks(num_classes, run.names, scores.metric.report(), scores.metric.shown, pairs)
    published = load_published(run.spec, run.name)
    sections = [
        Section("scores", "Scores", _list_score_blocks(run, scores)),
        Section("classes", "Classes", classes),
        Section("confusions", "What is taken for what", list_matrix_blocks(num_classes, run.names, pairs))
        if pairs is not None
        else None,
        Section("mistakes", "Worst mistakes", list_mistake_blocks(scores.mistakes, run.names, "this test")),
        Section("warnings", "Warnings and skipped files", _list_warning_blocks(scores)),
        Section("differences", "Settings beside those of the weights", list_training_difference_blocks(run)),
        Section("settings", "Settings", list_setting_blocks(run.config, published, run.spec, ["MODEL", run.section])),
        Section("environment", "Environment", list_environment_blocks(run)),
    ]
    return Page(
        f"{run.name}: test of {run.weights.path}",
        [section for section in sections if section and section.blocks],
        head=[Figures(_list_figures(run, scores))],
    )


def _list_figures(run: EvaluatedRun, scores: Scores) -> list[Figure]:
    metric, values = scores.metric, scores.values
    interval = metric.interval(values)
    (chosen,) = show_texts(metric, {metric.score: values[metric.score]})
    figures = [
        Figure(name, text, f"95 %: {interval[0]:.1f} to {interval[1]:.1f}" if interval and name == chosen else "")
        for name, text in show_texts(metric, values).items()
    ]
    figures.sort(key=lambda figure: figure.name != chosen)
    note = f"of {scores.num_records:,} records"
    return [*figures, Figure("videos", f"{metric.num_videos:,}", note), *_list_weight_figures(run)]


def _list_weight_figures(run: EvaluatedRun) -> list[Figure]:
    epoch = run.name_epoch()
    return [Figure("weights", epoch, run.weights.path)] if epoch else []


def _list_score_blocks(run: EvaluatedRun, scores: Scores) -> list:
    metric, values = scores.metric, scores.values
    interval = metric.interval(values)
    numbers = show(metric, values)
    (chosen,) = show_texts(metric, {metric.score: values[metric.score]})
    columns = [Column("score"), Column("value", True), *[Column("95 % interval", True)] * bool(interval)]
    rows = []
    for (name, text), value in zip(show_texts(metric, values).items(), numbers.values(), strict=True):
        row = [name, Cell(text, value)]
        if interval:
            row.append(Cell(f"{interval[0]:.1f} to {interval[1]:.1f}" if name == chosen else ""))
        rows.append(row)
    facts = [("list", scores.filelist), ("videos", f"{metric.num_videos:,} of {scores.num_records:,} records")]
    facts += [("protocol", scores.protocol)] if scores.protocol else []
    facts += describe_weights(run)
    without = [] if interval else [Paragraph("No interval is computed for these scores.")]
    return [Table("Scores of the whole list", columns, rows, sortable=False), *without, Facts(facts)]


def _list_warning_blocks(scores: Scores) -> list:
    blocks = [Items(scores.notices)] if scores.notices else []
    if scores.broken:
        return [*blocks, Paragraph(f"Skipped: {len(scores.broken):,} records."), Items(scores.broken)]
    return [*blocks, Paragraph("Nothing was skipped.")]
