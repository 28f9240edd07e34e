"""What a page shows of one video of an inference: its classes, its frames, its timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tools.errors import DataError
from tools.inference.predictions import MergedSpans, VideoClasses, format_seconds, merge_spans
from tools.inference.run_blocks import EvaluatedRun
from tools.pages.blocks import Card, Cell, Column, Facts, Paragraph, Picture, Ranking, Table
from tools.pages.pictures import MOST_BYTES, encode_picture
from tools.pages.texts import address_of, linked
from tools.pages.timeline import Stretch, Timeline
from tools.runtime.text import format_clock

_FRAME_BYTES = 3_000_000  # of all frames on a page together
_MOST_CLASSES, _FEW = 20, 5  # of a video; the latter where there are many
_MANY = 100  # videos


@dataclass(frozen=True)
class Budget:
    """How much of each video a page of so many has room for."""

    num_videos: int
    in_spans: bool

    def _share(self, of_all: int, least: int, most: int) -> int:
        return max(least, min(most, of_all // self.num_videos))

    @property
    def frames(self) -> int:
        return self._share(300, 1, 24 if self.in_spans else 3)

    @property
    def frame_bytes(self) -> int:
        return min(MOST_BYTES, _FRAME_BYTES // (self.num_videos * self.frames))

    @property
    def stretches(self) -> int:
        """Of a timeline."""
        return self._share(20_000, 20, 400)

    @property
    def rows(self) -> int:
        """Of a table of spans."""
        return self._share(5_000, 5, 200)

    def classes(self, top_k: int) -> int:
        return min(top_k or _MOST_CLASSES, _FEW if self.num_videos > _MANY else _MOST_CLASSES)


def show_video(run: EvaluatedRun, answers, parts: list[VideoClasses], budget: Budget, name: str, title: str) -> Card:
    """A whole video. answers: as of ``answer_page.py``. name: of the card. title: the video's."""
    (part,) = parts
    most = budget.classes(answers.top_k)
    ranking = Ranking([(run.name_class(c), p) for c, p in zip(part.class_ids[:most], part.probs[:most], strict=True)])
    entry = answers.entries.get((part.path, part.line))
    pictures, note = [], []
    if entry is not None:
        try:
            frames = answers.dataset.pictures(entry, budget.frames)
        except DataError as error:
            frames, note = {}, [_tell_unread(error)]
        for number, pixels in frames.items():
            uri = encode_picture(pixels, most_bytes=budget.frame_bytes)
            pictures.append(Picture(uri, f"frame {number} of {title}", f"frame {number}"))
    facts = [] if part.video_id in title else [Facts([("id", part.video_id)])]
    return Card(title, pictures, [*note, ranking, *facts], name)


def _tell_unread(error: DataError) -> Paragraph:
    return Paragraph(f"Its frames cannot be read any more: {error}")


def show_span_video(
    run: EvaluatedRun, answers, parts: list[VideoClasses], budget: Budget, name: str, title: str
) -> Card:
    """A video in spans, as ``show_video`` shows others."""
    merged = merge_spans(parts)
    entry = answers.entries[parts[0].path, parts[0].line]
    kept = _keep_longest(merged, budget.rows)
    shown = [merged[place] for place in kept]
    ways = [address_of(entry.path, answers.page, f"t={format_seconds(one.start_sec)}") for one in shown]
    blocks = [_tabulate(run, shown, ways)]
    if len(kept) < len(merged):
        where = next(str(file) for file in answers.files if file.name.endswith("_merged.csv"))
        blocks.append(Paragraph(f"The {len(kept):,} longest of {len(merged):,} are shown; all of them are in {where}."))
    pictures, notes = _draw_frames(run, answers.dataset, entry, parts, merged, budget)
    return Card(title, pictures, [*notes, *blocks], name, above=[_draw_timeline(run, parts, merged, budget)])


def _keep_longest(merged: Sequence[MergedSpans], most: int) -> list[int]:
    """The places of the longest, in order of time."""
    order = sorted(range(len(merged)), key=lambda place: merged[place].start_sec - merged[place].end_sec)
    return sorted(order[:most])


def _tabulate(run: EvaluatedRun, shown: Sequence[MergedSpans], ways: Sequence[str | None]) -> Table:
    """ways: the address of each in its file, for players that go by it."""
    columns = [Column("from", True), Column("to", True), Column("class"), Column("probability", True)]
    rows = []
    for one, way in zip(shown, ways, strict=True):
        start = format_clock(one.start_sec)
        rows.append(
            [
                Cell(linked(start, way) if way else start, one.start_sec),
                Cell(format_clock(one.end_sec), one.end_sec),
                run.name_class(one.class_id),
                Cell(f"{100 * one.prob:.1f} %", one.prob, one.prob),
                Cell(f"{one.num_spans:,}", one.num_spans),
            ]
        )
    text = "Neighbouring windows of the same best class as one, with the mean of its probabilities"
    return Table(text, [*columns, Column("windows", True)], rows)


def _draw_timeline(
    run: EvaluatedRun, parts: Sequence[VideoClasses], merged: Sequence[MergedSpans], budget: Budget
) -> Timeline:
    """Windows, each up to the next one; where they are too many, those that were merged, the longest of them."""
    end, note = parts[-1].end_sec, "The higher, the more probable."
    spans = [(part.start_sec, part.end_sec, part.class_ids[0], part.probs[0]) for part in parts]
    if len(spans) > budget.stretches:
        spans = [(one.start_sec, one.end_sec, one.class_id, one.prob) for one in merged]
        note = f"{len(parts):,} windows; neighbours of the same best class are one. {note}"
    ends = [min(this[1], following[0]) for this, following in pairwise(spans)] + [end]
    kept = _keep_longest(merged, budget.stretches) if len(spans) > budget.stretches else range(len(spans))
    if len(kept) < len(spans):
        note += f" The {len(kept):,} longest of {len(spans):,} are drawn."
    stretches = [
        Stretch(spans[place][0], ends[place], run.name_class(spans[place][2]), spans[place][3]) for place in kept
    ]
    return Timeline("Best class over time", stretches, end, note)


def _draw_frames(
    run: EvaluatedRun, dataset, entry, parts: Sequence[VideoClasses], merged: Sequence[MergedSpans], budget: Budget
) -> tuple[list[Picture], list[Paragraph]]:
    """A frame that the network saw from the middle of each merged span, as many as there is room for."""
    first = [0, *accumulate(one.num_spans for one in merged)]
    kept = _keep_longest(merged, budget.frames)
    wanted = {}  # number of a frame -> the merged spans that it stands for
    for place in kept:
        frames = sorted(parts[first[place] + merged[place].num_spans // 2].frames)
        wanted.setdefault(frames[len(frames) // 2], []).append(place)
    uris, notes = {}, []
    try:
        for number, pixels in dataset.pictures_at(entry, list(wanted)):
            uris[number] = encode_picture(pixels, most_bytes=budget.frame_bytes)
    except DataError as error:
        notes.append(_tell_unread(error))
    pictures = []
    for number, places in wanted.items():
        for place in places:
            one = merged[place]
            text = f"{format_clock(one.start_sec)} to {format_clock(one.end_sec)}: {run.name_class(one.class_id)}"
            if number in uris:
                pictures.append(Picture(uris[number], f"frame {number}, {text}", text))
    if len(kept) < len(merged):
        notes.append(Paragraph(f"Frames are those of the {len(kept):,} longest of {len(merged):,} stretches."))
    return pictures, notes
