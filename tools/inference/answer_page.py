"""The page of an inference. Imports what makes pages, so it is imported only for that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tools.inference.answer_cards import Budget, show_span_video, show_video
from tools.inference.predictions import VideoClasses
from tools.inference.run_blocks import (
    EvaluatedRun,
    describe_weights,
    list_environment_blocks,
    list_setting_blocks,
    list_training_difference_blocks,
    load_published,
)
from tools.pages.blocks import Cards, Cell, Column, Facts, Figure, Figures, Items, Page, Paragraph, Section, Table
from tools.pages.texts import linked
from tools.runtime.text import count_of, format_clock

MOST_LISTED = 5_000  # videos in the table at the top
MOST_SHOWN, MOST_IN_SPANS = 1_000, 400  # with classes and frames; with timelines


@dataclass(frozen=True)
class Answers:
    """What an inference has found, for its page.

    results: of whole videos, or of spans. files: where all of them are. page: where the page goes. dataset: for frames.
    entries: a result's path and line -> the entry of its list; empty for data without frames. top_k: classes of each
    video to show, 0 for all. windows: what spans are, in words. broken, notices: lines.
    """

    results: list[VideoClasses]
    files: Sequence[Path]
    page: Path
    dataset: Any
    entries: Mapping[tuple[str, int | None], Any]
    top_k: int
    windows: str
    broken: Sequence[str]
    notices: Sequence[str]

    @property
    def in_spans(self) -> bool:
        return self.results[0].start_sec is not None

    @property
    def most_shown(self) -> int:
        return MOST_IN_SPANS if self.in_spans else MOST_SHOWN

    def videos(self) -> list[list[VideoClasses]]:
        """The results of each video."""
        numbers = np.cumsum([part.begins for part in self.results]).tolist()
        pairs = zip(numbers, self.results, strict=True)
        return [[part for _, part in group] for _, group in groupby(pairs, key=lambda pair: pair[0])]


def build_answer_page(run: EvaluatedRun, answers: Answers, on_video: Callable[[], None]) -> Page:
    """The page. on_video: called when the frames of a video have been read."""
    videos = answers.videos()
    sections = [
        Section("videos", "Videos", _list_index_blocks(run, answers, videos) if len(videos) > 1 else []),
        Section("answers", "Answers", _list_answer_blocks(run, answers, videos[: answers.most_shown], on_video)),
        Section("warnings", "Warnings and skipped files", _list_warning_blocks(answers)),
        Section("origin", "Where the answers are from", _list_origin_blocks(run, answers)),
        Section("differences", "Settings beside those of the weights", list_training_difference_blocks(run)),
        Section("settings", "Settings", _list_setting_blocks(run)),
        Section("environment", "Environment", list_environment_blocks(run)),
    ]
    return Page(
        f"{run.name}: classes of {count_of(len(videos), 'video')}",
        [section for section in sections if section.blocks],
        head=[Figures(_list_figures(run, answers, videos))],
    )


def _list_figures(run: EvaluatedRun, answers: Answers, videos: list) -> list[Figure]:
    note = f"of {len(videos) + len(answers.broken):,}"
    figures = [Figure("videos", f"{len(videos):,}", note)]
    if answers.in_spans:
        figures.append(Figure("windows", f"{len(answers.results):,}", answers.windows))
    found = len({part.class_ids[0] for part in answers.results})
    figures.append(Figure("different best classes", f"{found:,}", f"of {run.config.MODEL.num_classes:,}"))
    epoch = run.name_epoch()
    return figures + ([Figure("weights", epoch, run.weights.path)] if epoch else [])


def _list_index_blocks(run: EvaluatedRun, answers: Answers, videos: list[list[VideoClasses]]) -> list:
    """All videos in a table, with links to what there is of each."""
    columns = [Column("video"), *[Column("file")] * (not answers.entries)]
    columns += [Column("line", True)] * (videos[0][0].line is not None)
    columns += [Column("length", True), Column("windows", True)] * answers.in_spans
    if answers.in_spans:
        columns += [Column("class of the longest time"), Column("its time", True), Column("classes", True)]
    else:
        columns += [Column("best class"), Column("probability", True)]
    rows = []
    for number, parts in enumerate(videos[:MOST_LISTED]):
        first, title = parts[0], name_video(answers, parts[0])
        row = [linked(title, f"#video-{number}") if number < answers.most_shown else title]
        row += [] if answers.entries else [first.path]
        row += [] if first.line is None else [Cell(f"{first.line:,}", first.line)]
        rows.append([*row, *(_describe_spans(run, parts) if answers.in_spans else _describe_best(run, first))])
    blocks = [Paragraph(text) for text in _tell_left_out(answers, len(videos))]
    return [*blocks, Table("Videos in the order of their list", columns, rows)]


def name_video(answers: Answers, part: VideoClasses) -> str:
    """What a video is called: its path, or its id where one file holds many."""
    return part.path if answers.entries else part.video_id


def _describe_best(run: EvaluatedRun, part: VideoClasses) -> list:
    return [run.name_class(part.class_ids[0]), Cell(f"{100 * part.probs[0]:.1f} %", part.probs[0], part.probs[0])]


def _describe_spans(run: EvaluatedRun, parts: list[VideoClasses]) -> list:
    end, seconds = parts[-1].end_sec, {}
    for span, following in zip(parts, [*(part.start_sec for part in parts[1:]), end], strict=True):
        length = min(span.end_sec, following) - span.start_sec
        seconds[span.class_ids[0]] = seconds.get(span.class_ids[0], 0) + length
    longest = max(seconds, key=seconds.get)
    share = seconds[longest] / end
    return [
        Cell(format_clock(end), end),
        Cell(f"{len(parts):,}", len(parts)),
        run.name_class(longest),
        Cell(f"{100 * share:.0f} %", share, share),
        Cell(f"{len(seconds):,}", len(seconds)),
    ]


def _tell_left_out(answers: Answers, num_videos: int) -> list[str]:
    """What of many videos is not on the page, and where it is."""
    if num_videos <= answers.most_shown:
        return []
    listed = f"the first {MOST_LISTED:,} are in this list, and " if num_videos > MOST_LISTED else ""
    shown, where = f"the first {answers.most_shown:,} have more below", " and ".join(map(str, answers.files))
    return [f"Of {num_videos:,} videos {listed}{shown}; all answers are in {where}."]


def _list_answer_blocks(
    run: EvaluatedRun, answers: Answers, videos: list[list[VideoClasses]], on_video: Callable[[], None]
) -> list:
    budget = Budget(len(videos), answers.in_spans)
    cards = []
    for number, parts in enumerate(videos):
        show = show_span_video if answers.in_spans else show_video
        cards.append(show(run, answers, parts, budget, f"video-{number}", name_video(answers, parts[0])))
        on_video()
    return [Cards(cards, wide=answers.in_spans)]


def _list_warning_blocks(answers: Answers) -> list:
    blocks = [Items(answers.notices)] if answers.notices else []
    if answers.broken:
        return [*blocks, Paragraph(f"Skipped: {count_of(len(answers.broken), 'record')}."), Items(answers.broken)]
    return [*blocks, Paragraph("Nothing was skipped.")]


def _list_origin_blocks(run: EvaluatedRun, answers: Answers) -> list:
    facts = [("videos from", answers.dataset.name)]
    facts += [("how a video is looked at", answers.dataset.protocol)] if answers.dataset.protocol else []
    facts += [("windows", answers.windows)] if answers.windows else []
    facts += [("all answers", str(file)) for file in answers.files]
    return [Facts([*facts, *describe_weights(run)])]


def _list_setting_blocks(run: EvaluatedRun) -> list:
    return list_setting_blocks(run.config, load_published(run.spec, run.name), run.spec, ["MODEL", run.section])
