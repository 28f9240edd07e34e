"""Several runs on one page: their scores, their curves over one another, and the settings in which they differ."""

from collections import Counter

import numpy as np

from tools.config.compare import differing, list_settings
from tools.inference.evaluation_blocks import show, show_texts
from tools.pages.blocks import Cell, Charts, Column, Items, Page, Paragraph, Section, Table
from tools.training.curves import list_epoch_charts, list_step_charts
from tools.training.run_files import RecordedRun
from tools.training.run_page import describe_state, find_best


def build_comparison(runs: list[RecordedRun]) -> Page:
    labels = label_runs(runs)
    shown = [(label, run.history, run.metric) for label, run in zip(labels, runs, strict=True)]
    problems = [problem for run in runs for problem in run.describe_problems()]
    epochs, steps = list_epoch_charts(shown), list_step_charts(shown)
    sections = [
        Section("scores", "Best scores", _list_score_blocks(labels, runs)),
        Section("epochs", "Curves by epoch", [Charts(epochs)] if epochs else []),
        Section("steps", "Curves by step", [Charts(steps)] if steps else []),
        Section("settings", "Settings that differ", _list_setting_blocks(labels, runs)),
        Section("warnings", "Warnings", [Items(problems)] if problems else []),
    ]
    names = list(dict.fromkeys(run.files.model_name for run in runs))
    return Page(
        f"{len(runs)} runs: {', '.join(names)}",
        [section for section in sections if section.blocks],
        head=[Paragraph(_introduce(runs, names))],
    )


def label_runs(runs: list[RecordedRun]) -> list[str]:
    """What each run is called: its folder, with its model where the runs are of several, or one folder holds two."""
    folders = [str(run.files.folder) for run in runs]
    models = {run.files.model_name for run in runs}
    if len(models) == 1 and max(Counter(folders).values()) == 1:
        return folders
    return [f"{folder} ({run.files.model_name})" for folder, run in zip(folders, runs, strict=True)]


def _introduce(runs: list[RecordedRun], names: list[str]) -> str:
    """What is to be known before the runs are compared."""
    text = f"They train different models: {', '.join(names)}." if len(names) > 1 else f"All of them train {names[0]}."
    metrics = {run.spec.metrics for run in runs}
    if len(metrics) > 1:
        text += " Their scores are of different kinds, so that each chart holds the runs that have the score."
    lists = {run.config.VALID.filelist for run in runs if run.config and "VALID" in run.config}
    if len(lists) > 1:
        text += " Their validation lists are not the same, so that their scores may not be of the same videos."
    return text


def _list_score_blocks(labels: list[str], runs: list[RecordedRun]) -> list:
    found = [find_best(run) for run in runs]
    names = list(dict.fromkeys(name for run, one in zip(runs, found, strict=True) for name in _scores_of(run, one)))
    has_interval = any(one and run.metric.interval(one) for run, one in zip(runs, found, strict=True))
    columns = [Column("run"), Column("best epoch", True), *(Column(name.removesuffix(", %"), True) for name in names)]
    columns += [Column("95 % interval", True)] * has_interval + [Column("epochs done", True), Column("state")]
    rows = []
    for label, run, one in zip(labels, runs, found, strict=True):
        values, done = _scores_of(run, one), run.history.epochs
        texts = show_texts(run.metric, one) if one else {}
        row = [label, Cell(str(one["epoch"]), one["epoch"]) if one else Cell("-")]
        row += [_score_cell(texts.get(name.removesuffix(", %")), values.get(name)) for name in names]
        if has_interval:
            interval = run.metric.interval(one) if one else None
            row.append(Cell(f"{interval[0]:.1f} to {interval[1]:.1f}", interval[0]) if interval else Cell("-"))
        count = done[-1]["epoch"] + 1 if done else 0
        rows.append([*row, Cell(str(count), count), describe_state(run.history)])
    return [Table("The best validation of each run", columns, rows)]


def _scores_of(run: RecordedRun, one: dict | None) -> dict[str, float]:
    return show(run.metric, one) if one else {}


def _score_cell(text: str | None, value: float | None) -> Cell:
    return Cell("-") if text is None or value is None or not np.isfinite(value) else Cell(text, value)


def _list_setting_blocks(labels: list[str], runs: list[RecordedRun]) -> list:
    known = [(label, run) for label, run in zip(labels, runs, strict=True) if run.config]
    without = [label for label, run in zip(labels, runs, strict=True) if not run.config]
    blocks = [Paragraph(f"The settings of {', '.join(without)} are not known.")] if without else []
    if len(known) < 2:
        return blocks
    settings = [
        {one.name: one.value for one in list_settings(run.config, None, run.spec.schema)} | run.history.flags()
        for _, run in known
    ]
    rows = [
        [name, *("-" if value is None else value for value in values)] for name, values in differing(settings).items()
    ]
    if not rows:
        return [*blocks, Paragraph("None: these runs have the same settings.")]
    same = set.intersection(*map(set, settings)) - {name for name, *_ in rows}
    text = f"{len(same)} settings are the same in all."
    columns = [Column("setting"), *(Column(label) for label, _ in known)]
    return [*blocks, Paragraph(text), Table("Settings, and flags of train.py", columns, rows)]
