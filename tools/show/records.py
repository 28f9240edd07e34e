"""What is shown of a record of features: its fields, whether the reader takes it, and a plot over time."""

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from datareader.features.inputs import as_float
from datareader.features.records import RECORD_KEYS, Expected, expect_records, load_file, parse_record
from datareader.sampling import sample_span_frames
from datareader.transforms import dequantize
from tools.config.load import Config
from tools.drawing.feature_plot import draw_features
from tools.errors import ConfigError, DataError
from tools.runtime.text import printable, shorten
from tools.show.options import ShowOptions
from tools.show.output import choose_output, count, describe_class, print_fields, write_image

SHOWN_IDS = 3  # at each end of a file with many records


def show_record(options: ShowOptions, name: str, config: Config, names: list[str] | None) -> None:
    """Print what a record holds and which of its frames the model called ``name`` takes, and draw them.

    names: of classes, by id. Raises DataError for what holds no features, ConfigError for a record that is not there
    and for a picture in the way.
    """
    raws, damaged = load_file(options.path)
    if not raws:
        raise DataError(damaged[0] if damaged else f"{options.path} holds no records")
    number = choose_record(options, raws)
    raw, where = raws[number], f"{options.path} record {number}"
    output = choose_output(options, f"{Path(options.path).stem}_{make_file_name(list_ids(raws)[number])}"[:100])
    print_fields(options.path, {**describe_file(raws), **{f"damaged {i}": text for i, text in enumerate(damaged, 1)}})
    print_fields(f"Record {number}", describe_record(raw, names))
    expected = expect_records(config, options.section)
    video_id, streams = parse_streams(raw, expected, where)
    num_frames = len(next(iter(streams.values())))
    taken, taken_text = count_taken(num_frames, name, config, options.build_generator(number))
    settings = f"{name} [{options.section}] of {config.path}"
    accepted = describe_verdict(raw, expected, where)
    print_fields("What the network sees", {"settings": settings, "accepted": accepted, "frames": taken_text})
    if output:
        widths = " and ".join(f"{stream.shape[1]} {key}" for key, stream in streams.items())
        lines = [
            f"record {number}, video {printable(video_id)}, labels {describe_labels(raw.get('label'), names)}",
            f"{count(num_frames, 'frame')} of {widths} values; {taken_text if taken is None else settings}",
        ]
        values = {key: as_float(stream) for key, stream in streams.items()}
        write_image(output, draw_features(options.path, lines, values, taken, taken_text), [options.path, *lines])


def describe_verdict(raw: dict, expected: Expected, where: str) -> str:
    """Whether the config's reader takes a record, and why not."""
    try:
        parse_record(raw, expected, where)
    except DataError as error:
        return f"no: {error}"
    return "yes"


def make_file_name(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in text)


def choose_record(options: ShowOptions, raws: list[dict]) -> int:
    """The number of the record that --record or --id names, or else 0. Raises ConfigError with what would work."""
    if options.video_id is None:
        number = options.record or 0
        if number >= len(raws):
            held = count(len(raws), "record")
            raise ConfigError(f"--record {number}: {options.path} holds {held}; the last is number {len(raws) - 1}")
        return number
    ids = list_ids(raws)
    if options.video_id in ids:
        return ids.index(options.video_id)
    near = get_close_matches(options.video_id, ids, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"they are {shorten_ids(ids)}"
    raise ConfigError(f"--id {options.video_id}: {options.path} has no such record among {len(raws)}; {hint}")


def list_ids(raws: list[dict]) -> list[str]:
    return [printable(raw.get("video", "(none)")) for raw in raws]


def shorten_ids(ids: list[str]) -> str:
    if len(ids) <= 2 * SHOWN_IDS:
        return ", ".join(ids)
    return f"{', '.join(ids[:SHOWN_IDS])} ... {', '.join(ids[-SHOWN_IDS:])}"


def describe_file(raws: list[dict]) -> dict[str, str]:
    return {"kind": "YouTube-8M features", "records": str(len(raws)), "videos": shorten_ids(list_ids(raws))}


def describe_record(raw: dict, names: list[str] | None) -> dict[str, str]:
    """Every field of a record, whether or not a reader would take it."""
    fields = {}
    for key, value in raw.items():
        is_stream = isinstance(value, np.ndarray) and value.ndim == 2 and value.size
        if is_stream and value.dtype == np.float16:
            low, high = float(value.min()), float(value.max())
            text = f"{count(len(value), 'frame')} of {value.shape[1]} numbers, {low:.2f} to {high:.2f}"
        elif is_stream and value.dtype == np.uint8 and f"{key}_range" in raw:
            stands_for = shorten(printable(raw[f"{key}_range"]), 80)
            text = f"{count(len(value), 'frame')} of {value.shape[1]} bytes, which stand for {stands_for}"
        elif is_stream and value.dtype == np.uint8:
            low, high = dequantize(np.array([value.min(), value.max()]))
            clipped = np.isin(value, (0, 255)).mean()
            text = f"{count(len(value), 'frame')} of {value.shape[1]} bytes, {value.min()} to {value.max()}"
            text += f", for {low:.2f} to {high:.2f}; {100 * clipped:.1f} % are 0 or 255"
        elif key == "label":
            text = describe_labels(value, names)
        elif isinstance(value, np.ndarray):
            text = f"a {value.shape} {value.dtype} array"
        else:
            text = shorten(printable(value), 200)
        fields[printable(key)] = text
    return fields


def describe_labels(value, names: list[str] | None) -> str:
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, list | tuple):
        return "not known" if value is None else shorten(printable(value), 80)
    return ", ".join(describe_class(item, names) for item in items) or "none"


def parse_streams(raw: dict, expected: Expected, where: str) -> tuple[str, dict[str, np.ndarray]]:
    """A record's name, and those of its features that it has, of any width, by their names in configs."""
    found = {name: raw[key] for name, key in RECORD_KEYS.items() if key in raw}
    if not found:
        keys = f"its keys are {', '.join(map(printable, raw))}" if raw else "it is empty"
        raise DataError(f"{where} has neither {' nor '.join(RECORD_KEYS.values())}; {keys}")
    usual = dict(zip(expected.feature_names, expected.feature_dims, strict=True))
    widths = [
        value.shape[1] if isinstance(value, np.ndarray) and value.ndim == 2 else usual.get(name, 0)
        for name, value in found.items()
    ]
    loose = replace(expected, feature_names=tuple(found), feature_dims=tuple(widths), labels_needed=False)
    record = parse_record(raw, loose, where)
    return record.video_id, dict(zip(found, record.streams, strict=True))


def count_taken(
    num_frames: int, name: str, config: Config, rng: np.random.Generator | None
) -> tuple[np.ndarray | None, str]:
    """How often the network takes each frame, (T,) int, or None where it takes them all; and the same in words."""
    seg_num = config.MODEL.seg_num
    if seg_num is None:
        return None, f"{name} takes every frame"
    frames = sample_span_frames(num_frames, seg_num, rng)
    return np.bincount(frames, minlength=num_frames), f"{name} takes {seg_num} frames, one from each equal span"
