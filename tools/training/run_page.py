"""The page of a training run, from what it has recorded. Imports what makes pages, so it is imported only for that."""

import shlex
import time

import numpy as np

from tools.inference.evaluation_blocks import list_class_blocks, list_mistake_blocks, show, show_texts
from tools.inference.run_blocks import list_setting_blocks
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
    Section,
    Table,
)
from tools.pages.scales import format_number, format_time
from tools.training.checkpoint import rank_validation
from tools.training.curves import list_epoch_charts, list_step_charts
from tools.training.history import History
from tools.training.run_files import RecordedRun
from tools.training.validation_file import Validation


def build_run_page(run: RecordedRun) -> Page:
    """What there is to say of a run; sections without anything to say are left out."""
    sections = [
        Section("epochs", "Curves by epoch", _list_epoch_blocks(run)),
        Section("steps", "Curves by step", _list_step_blocks(run)),
        Section("scores", "Scores epoch by epoch", list_score_blocks(run)),
        Section("classes", "Classes", _list_class_blocks(run)),
        Section("mistakes", "Worst mistakes", _list_mistake_blocks(run)),
        Section("warnings", "Warnings and skipped files", _list_warning_blocks(run)),
        Section("settings", "Settings", _list_setting_blocks(run)),
        Section("environment", "Environment", _list_environment_blocks(run.history)),
    ]
    return Page(
        f"{run.files.model_name}: training in {run.files.folder}",
        [section for section in sections if section.blocks],
        head=[Figures(_list_figures(run))],
    )


def find_best(run: RecordedRun) -> dict | None:
    """The validation that chose the best epoch, by the rule of the trainer: averaged weights where there are some."""
    if run.metric is None:
        return None
    choosing = {one["epoch"]: one for one in run.history.validations if one["epoch"] >= 0}  # the last of each epoch
    scored = [one for one in choosing.values() if run.metric.score in one]
    return max(scored, key=lambda one: rank_validation(one[run.metric.score], one.get("loss")), default=None)


def describe_validation(run: RecordedRun, one: dict) -> tuple[str, str, str]:
    """The score that chooses the best epoch, of a validation: its name, its value, its epoch and interval."""
    score = run.metric.score
    ((name, text),) = show_texts(run.metric, {score: one.get(score, np.nan)}).items()
    interval = run.metric.interval(one)
    note = [_name_epoch(one["epoch"]), *["averaged weights"] * one["averaged"]]
    note += [f"95 %: {interval[0]:.1f} to {interval[1]:.1f}"] if interval else []
    return name, text, ", ".join(note)


def describe_state(history: History) -> str:
    end = history.end
    if end is None:
        return "running when this page was written, or killed since"
    return str(end.get("reason", "ended"))


def _name_epoch(epoch: int) -> str:
    return "before training" if epoch < 0 else f"epoch {epoch}"


def _list_figures(run: RecordedRun) -> list[Figure]:
    history, start = run.history, run.history.starts[-1] if run.history.starts else {}
    figures = []
    if (best := find_best(run)) is not None:
        for kind, one in (("best", best), ("last", history.validations[-1])):
            name, text, note = describe_validation(run, one)
            figures.append(Figure(f"{kind} {name}", text, note))
    if history.epochs:
        of_all = f" of {start['epochs']}" if isinstance(start.get("epochs"), int) else ""
        figures.append(Figure("epochs done", f"{history.epochs[-1]['epoch'] + 1}{of_all}", describe_state(history)))
        if speed := history.epochs[-1].get("videos_per_sec"):
            figures.append(Figure("videos a second", format_number(speed, 3), "training, last epoch"))
    else:
        figures.append(Figure("state", describe_state(history)))
    records = start.get("records")
    for section, count in records.items() if isinstance(records, dict) else ():
        figures.append(Figure(f"videos in {section}", f"{count:,}" if isinstance(count, int) else "-"))
    if history.busy_sec:
        note = "" if history.end else f"until {format_time(time.time())}"
        figures.append(Figure("time taken", format_duration(history.busy_sec), note))
    return figures


def _list_epoch_blocks(run: RecordedRun) -> list:
    charts = list_epoch_charts([("", run.history, run.metric)])
    return [Paragraph(_COUNTING), Charts(charts)] if charts else []


_COUNTING = "Epochs count from 0, as in the names of checkpoints; -1 is before training."


def _list_step_blocks(run: RecordedRun) -> list:
    charts = list_step_charts([("", run.history, run.metric)])
    if not charts:
        return []
    _, is_known = run.history.steps.taken()
    note = "" if is_known else " Their places are estimated: the run did not record them."
    text = f"{len(run.history.steps):,} steps were logged, as --log-interval says.{note}"
    return [Paragraph(text), Charts(charts)]


def list_score_blocks(run: RecordedRun) -> list:
    """A table with a row a validation."""
    validations = run.history.validations
    if not validations:
        return []
    best = find_best(run)
    names = list(dict.fromkeys(name for one in validations for name in show_texts(run.metric, _scores(one))))
    has_interval = any(run.metric and run.metric.interval(one) for one in validations)
    columns = [Column("epoch", True), *(Column(name, True) for name in names)]
    columns += [Column("95 % interval", True)] * has_interval + [Column("videos", True), Column("weights")]
    rows = []
    for one in validations:
        texts, values = show_texts(run.metric, _scores(one)), show(run.metric, _scores(one))
        orders = {name.removesuffix(", %"): value for name, value in values.items()}
        row = [Cell(str(one["epoch"]), one["epoch"])]
        row += [Cell(texts.get(name, "-"), _order(orders.get(name)), marked=one is best) for name in names]
        if has_interval:
            interval = run.metric.interval(one)
            row.append(Cell(f"{interval[0]:.1f} to {interval[1]:.1f}", interval[0]) if interval else Cell("-"))
        kind = "before training" if one["epoch"] < 0 else "averaged" if one["averaged"] else "as trained"
        row += [Cell(format_number(one.get("videos", np.nan)), one.get("videos"))]
        row.append(Cell(f"{kind}, the best" if one is best else kind, marked=one is best))
        rows.append(row)
    without = [] if has_interval else [Paragraph("No interval is computed for these scores.")]
    return [Table("Scores of the validation data", columns, rows), *without]


def _scores(one: dict) -> dict[str, float]:
    return {name: value for name, value in one.items() if name not in ("epoch", "averaged", "videos")}


def _order(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _find_last_validation(run: RecordedRun) -> Validation | None:
    """What is known of the last validation beside its scores; None where the file is of another, as after a return."""
    found, validations = run.validation, run.history.validations
    if not found or not validations:
        return None
    last = validations[-1]
    return found if (found.epoch, found.averaged) == (last["epoch"], last["averaged"]) else None


def _list_class_blocks(run: RecordedRun) -> list:
    found = _find_last_validation(run)
    if found is None or run.metric is None:
        return []
    blocks = list_class_blocks(found.num_classes, found.class_names, found.report, run.metric.shown)
    return [Paragraph(f"By the last validation, {_name_validation(found)}."), *blocks] if blocks else []


def _list_mistake_blocks(run: RecordedRun) -> list:
    found = _find_last_validation(run)
    if found is None:
        return []
    return list_mistake_blocks(found.mistakes, found.class_names, f"the last validation, {_name_validation(found)},")


def _name_validation(found: Validation) -> str:
    return f"{_name_epoch(found.epoch)}{' with averaged weights' * found.averaged}"


def _list_warning_blocks(run: RecordedRun) -> list:
    history, blocks, problems = run.history, [], run.describe_problems()
    notices = [str(text) for start in history.starts[-1:] for text in _list_of(start.get("notices"))]
    if problems + notices:
        blocks.append(Items(problems + notices))
    for section, texts in history.skipped.items():
        blocks += [Paragraph(f"Skipped in {section}: {len(texts)}"), Items(texts)] if texts else []
    return blocks or [Paragraph("None, and nothing was skipped.")]


def _list_setting_blocks(run: RecordedRun) -> list:
    return [] if run.config is None else list_setting_blocks(run.config, run.published, run.spec)


def _list_environment_blocks(history: History) -> list:
    if not history.starts:
        return []
    last = history.starts[-1]
    environment = last.get("environment")
    facts = [(str(name), str(text)) for name, text in environment.items()] if isinstance(environment, dict) else []
    if flags := history.flags():
        facts.append(
            ("flags that are not as by default", ", ".join(f"{name} {value}" for name, value in flags.items()))
        )
    return [
        Facts(facts),
        Cards([_describe_start(number, start) for number, start in enumerate(history.starts, start=1)]),
    ]


def _describe_start(number: int, start: dict) -> Card:
    command = shlex.join(map(str, _list_of(start.get("command"))))
    facts = [("from", str(start.get("resumed") or "the beginning")), ("command", command)]
    return Card(f"Start {number}, {format_time(start.get('time'))}", blocks=[Facts(facts)])


def _list_of(value) -> list:
    return value if isinstance(value, list) else []


def format_duration(sec: float) -> str:
    minutes, seconds = divmod(round(sec), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
