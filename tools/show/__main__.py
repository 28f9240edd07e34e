"""One clip or one record for human eyes: what the file holds, and a picture of what the network would see.

python -m tools.show dataset/kinetics/demo/val/rising_00.mp4 --config configs/demo/tsn.txt
python -m tools.show dataset/youtube8m/demo/val00.pkl --config configs/demo/attention_cluster.txt --record 3

PATH is a video, a pickle of JPEG frames, or YouTube-8M features as a pickle or a TFRecord shard; its content
says which. Of a clip the picture is a contact sheet of the frames that the config's section chooses, scaled
and cropped by the reader itself; of features, a plot over time.
"""

import argparse
import io
import pickletools
from collections import Counter
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from PIL import Image

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.clips.dataset import (
    Clip,
    ClipSettings,
    ViewInfo,
    build_clip_settings,
    decode_views,
    is_pickle,
    open_clip,
)
from datareader.clips.decoding import VideoFacts, read_facts
from datareader.features.records import RECORD_KEYS, Expected, expect_records, load_file, parse_record
from datareader.features.tfrecord import HEADER, is_tfrecord
from datareader.lists import ListEntry
from datareader.sampling import sample_span_frames
from datareader.transforms import Crop, dequantize
from tools.config.flags import parse_count, parse_text, read_config, run
from tools.config.load import Config, read_model_name
from tools.drawing.contact_sheet import CAPTION_PX, Block, Tile, draw_sheet
from tools.drawing.feature_plot import draw_features
from tools.drawing.fonts import load_font, make_drawable
from tools.errors import ConfigError, DataError
from tools.files.atomic import atomic_write, require_writable
from tools.files.pickles import DAMAGED, load_pickle
from tools.inference.predictions import load_class_names
from tools.registry import MODELS

KINDS = "a video, a pickle of JPEG frames, a pickle of YouTube-8M records, or a .tfrecord shard"
DEFAULT_MODELS = {"clips": "TSN", "features": "AttentionCluster"}
SECTIONS = ("TRAIN", "VALID", "TEST", "INFER")
SHOWN_IDS = 3  # at each end of a file with many records


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.show",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("path", type=parse_text, metavar="PATH", help=KINDS)
    add("--model-name", type=parse_text, metavar="NAME", help=f"{', '.join(MODELS.names())}; default: what the config "
        "says, or TSN for clips and AttentionCluster for features")  # fmt: skip
    add("--config", type=parse_text, metavar="FILE", help="default: the model's own in configs/")
    add("--section", type=str.upper, choices=SECTIONS, default="TEST", help="whose settings hold; TEST unless given. "
        "TRAIN shows a random view, as training does")  # fmt: skip
    add("--seed", type=parse_count, metavar="N", help="draws the view of --section TRAIN; 0 unless given")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--record", type=parse_count, metavar="N", help="which record of a file of features, from 0")
    which.add_argument("--id", type=parse_text, metavar="VIDEO", help="the same, by the video's name")
    add("--class-names", type=parse_text, metavar="FILE", help="names by class id; default: the config's")
    add("--output", type=parse_text, metavar="FILE.png", help="the picture; default: the file's name in this folder")
    add("--force", action="store_true", help="replace a picture that is there")
    add("--no-image", action="store_true", help="print the text alone")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any key of the config, as in "
        "--set TEST.num_crops=10")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.seed is not None and args.section != "TRAIN":
        raise ConfigError("--seed draws a view as in training; add --section TRAIN")
    kind = recognise(args.path)
    name, config = load_settings(args, kind)
    names = load_names(args, config)
    if kind == "clips":
        if args.record is not None or args.id is not None:
            raise ConfigError(f"{args.path} holds one clip; --record and --id choose among records of features")
        show_clip(args, name, config, names)
    else:
        show_record(args, name, config, names)


# What it is, and what the config says of it


def recognise(path: str) -> str:
    """ "clips" or "features", by the content of a file. Raises DataError for what is neither."""
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; name one file: {KINDS}")
    try:
        with open(path, "rb") as file:
            head = file.read(HEADER)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; expected {KINDS}") from None
    except ValueError as error:  # a name that no file can have
        raise DataError(f"{path!r} cannot be read: {error}") from None
    if not head:
        raise DataError(f"{path} is empty; fetch or copy it again")
    if is_tfrecord(head):
        return "features"
    if is_pickle(ListEntry(path)):
        return "features" if holds_records(path) else "clips"
    try:
        read_facts(path)
    except DataError as error:
        raise DataError(f"{error}; nor does it begin as a pickle or a TFRecord shard") from None
    return "clips"


_OPENINGS = {"PROTO", "FRAME", "MARK", "EMPTY_LIST", "LIST", "EMPTY_TUPLE", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}


def holds_records(path: str) -> bool:
    """Whether the first thing in a pickle is a dict, as in a list of records; in a clip's it is the video's name.

    Only the beginning is read. Nothing and what is damaged there count as records, whose reader says so.
    """
    try:
        with open(path, "rb") as file:
            for operation, _, _ in pickletools.genops(file):
                if operation.name not in _OPENINGS:
                    return operation.name in ("EMPTY_DICT", "DICT", "STOP")
    except DAMAGED:
        pass
    return True


def load_settings(args: argparse.Namespace, kind: str) -> tuple[str, Config]:
    """The model's name and its config. Raises ConfigError, also for a model that does not read such files."""
    name = MODELS.canonical_name(
        args.model_name or (args.config and read_model_name(args.config)) or DEFAULT_MODELS[kind]
    )
    if MODELS.get(name).data != kind:
        takes = [other for other in MODELS.names() if MODELS.get(other).data == kind]
        held = "a clip" if kind == "clips" else "YouTube-8M features"
        raise ConfigError(f"{args.path} holds {held}, which {name} does not read; {', '.join(takes)} do")
    return name, read_config(args, MODELS.get(name)(), name, ["MODEL", args.section])


def load_names(args: argparse.Namespace, config: Config) -> list[str] | None:
    """Class names by id, from --class-names or else the config; None where neither gives any."""
    path = args.class_names or ("INFER" in config and config.INFER.class_names)
    return load_class_names(path, config.MODEL.num_classes) if path else None


def describe_class(label, names: list[str] | None) -> str:
    """A class id with its name, where it has one."""
    if isinstance(label, int | np.integer) and names and 0 <= label < len(names) and names[label]:
        return f"{label} {names[label]}"
    return str(label)[:80]


# Clips


def show_clip(args: argparse.Namespace, name: str, config: Config, names: list[str] | None) -> None:
    output = choose_output(args, Path(args.path).stem)
    settings = replace(build_clip_settings(config, args.section), labels_needed=False)
    entry = ListEntry(args.path)
    clip = open_clip(entry, settings)
    if is_pickle(entry):
        facts, frames_per_sec = describe_jpegs(args.path, settings, names), None
    else:
        video = read_facts(args.path)
        facts, frames_per_sec = describe_video(video), video.frames_per_sec
    print_fields(args.path, facts)
    views, seen = see_clip(clip, settings, build_generator(args, 0))
    protocol = f"{name} [{args.section}] of {config.path}: "
    if args.section == "TRAIN":
        crop = describe_crop(seen.crops[0])
        protocol += f"a random view of training, seed {args.seed or 0}, crop {crop}; {settings.describe_view()}"
    else:
        protocol += settings.describe()
    print_fields("What the network sees", {"protocol": protocol, **describe_view_info(seen)})
    if output:
        shown = [f"{key} {value}" for key, value in facts.items() if key in ("class", "frame size", "frame rate")]
        lines = [", ".join([*shown, f"{seen.num_frames} frames"]), protocol]
        sheet = draw_sheet(args.path, lines, list_blocks(views, seen, frames_per_sec))
        memory = io.BytesIO()
        sheet.image.save(memory, "PNG", optimize=True)
        write_image(output, memory.getvalue(), [args.path, *lines])


def see_clip(clip: Clip, settings: ClipSettings, rng: np.random.Generator | None) -> tuple[np.ndarray, ViewInfo]:
    """What the reader makes of a clip: (views, S, L, H, W, 3) uint8 RGB, and which frames and crops that is."""
    views = settings.num_clips * settings.num_crops
    size = settings.target_size
    stacked = np.empty((views, settings.seg_num, 3 * settings.seglen, size, size), np.uint8)
    seen = decode_views(stacked, clip, settings, rng)
    frames = stacked.reshape(views, settings.seg_num, settings.seglen, 3, size, size)
    return frames.transpose(0, 1, 2, 4, 5, 3), seen


def list_blocks(views: np.ndarray, seen: ViewInfo, frames_per_sec: float | None) -> list[Block]:
    """A block of tiles a view. Segments of several frames are rows."""
    captions = caption_frames(seen, frames_per_sec)
    seg_num, seglen = views.shape[1:3]
    columns = seglen if seglen > 1 else None
    blocks = []
    for number, view in enumerate(views):
        clip_number, crop_number = divmod(number, len(seen.crops))
        heading = f"view {number + 1}: clip {clip_number + 1}, {describe_crop(seen.crops[crop_number])}"
        pictures = view.reshape(seg_num * seglen, *view.shape[2:])
        tiles = [Tile(picture, text) for picture, text in zip(pictures, captions[clip_number], strict=True)]
        blocks.append(Block(heading if len(views) > 1 else "", tiles, columns))
    return blocks


def caption_frames(seen: ViewInfo, frames_per_sec: float | None) -> list[list[tuple[str, str]]]:
    """For each clip, the lines below each of its S * L frames: the frame's number and time, and its segment."""
    clips = []
    for frames in seen.frames:
        captions = []
        for segment, numbers in enumerate(frames.tolist(), start=1):
            for number in numbers:
                time = f", {number / frames_per_sec:.2f} s" if frames_per_sec else ""
                captions.append((f"frame {number}{time}", f"segment {segment}"))
        clips.append(captions)
    return clips


def describe_crop(crop: Crop) -> str:
    """Where a crop lies: by name where it is one of a test's, else in percent of the room there is."""
    names = {0.0: ("left", "top"), 0.5: ("", ""), 1.0: ("right", "bottom")}
    if crop.x in names and crop.y in names:
        place = f"{names[crop.y][1]} {names[crop.x][0]}".strip() or "centre"
    else:
        place = f"{100 * crop.x:.0f} % from the left, {100 * crop.y:.0f} % from the top"
    return f"{place}{', mirrored' * crop.flip}"


def describe_video(video: VideoFacts) -> dict[str, str]:
    fields = {"kind": "video", "container": video.container, "codec": video.codec}
    fields["frame size"] = f"{video.size[0]} x {video.size[1]} px"
    if video.frames_per_sec:
        fields["frame rate"] = f"{video.frames_per_sec:.4g} a second"
    if video.duration_sec:
        fields["duration"] = f"{video.duration_sec:.2f} s"
    return {key: value for key, value in fields.items() if value}


def describe_jpegs(path: str, settings: ClipSettings, names: list[str] | None) -> dict[str, str]:
    """Of a pickle that ``open_clip`` has accepted."""
    with open(path, "rb") as file:
        video_id, label, jpegs = load_pickle(file)
    sizes = Counter(read_image_size(data) for data in jpegs)
    broken = sizes.pop(None, 0)
    total = sum(map(len, jpegs))
    fields = {"kind": "pickle of JPEG frames", "video": readable(video_id), "class": describe_class(label, names)}
    if not -1 <= (label if isinstance(label, int | np.integer) else -2) < settings.num_classes:
        fields["class"] += f" (not in 0 to {settings.num_classes - 1}, num_classes; refused but for infer.py)"
    fields["frames"] = str(len(jpegs))
    shown = [f"{width} x {height} px" for (width, height), _ in sizes.most_common(3)]
    fields["frame size"] = " and ".join(shown) + f" and {len(sizes) - 3} more" * (len(sizes) > 3)
    if broken:
        fields["broken"] = f"{broken} frames do not begin as an image"
    fields["bytes"] = f"{total:,}, {total / len(jpegs):,.0f} a frame"
    return fields


def read_image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by an image's header, None where it has none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (OSError, ValueError):
        return None


def readable(value) -> str:
    """A value on one line: text of Python 2 or 3 as it is, escaped where it holds line feeds and the like."""
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
    return text if text.isprintable() else ascii(text)


def describe_view_info(seen: ViewInfo) -> dict[str, str]:
    """What the reader took of a clip."""
    fields = {"frames": f"{seen.num_frames}, numbered from 0"}
    for number, frames in enumerate(seen.frames, start=1):
        key = "taken" if len(seen.frames) == 1 else f"taken, clip {number}"
        fields[key] = ", ".join(map(shorten_run, frames.tolist()))
    sizes = (f"{width} x {height} px" for width, height in (seen.size, seen.scaled))
    fields["scaled"] = " to ".join(sizes) if seen.size != seen.scaled else f"not needed, {next(sizes)}"
    fields["crops"] = "; ".join(map(describe_crop, seen.crops))
    return fields


def shorten_run(numbers: list[int]) -> str:
    """``[4, 5, 6]`` as 4-6; a run that a short clip begins again, as all its numbers."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return " ".join(map(str, numbers))


# Features


def show_record(args: argparse.Namespace, name: str, config: Config, names: list[str] | None) -> None:
    raws, damaged = load_file(args.path)
    if not raws:
        raise DataError(damaged[0] if damaged else f"{args.path} holds no records")
    number = choose_record(args, raws)
    raw, where = raws[number], f"{args.path} record {number}"
    output = choose_output(args, f"{Path(args.path).stem}_{make_file_name(list_ids(raws)[number])}"[:100])
    print_fields(args.path, {**describe_file(raws), **{f"damaged {i}": text for i, text in enumerate(damaged, 1)}})
    print_fields(f"Record {number}", describe_record(raw, names))
    expected = expect_records(config, args.section)
    video_id, streams = parse_streams(raw, expected, where)
    num_frames = len(next(iter(streams.values())))
    taken, taken_text = count_taken(num_frames, name, config, build_generator(args, number))
    settings = f"{name} [{args.section}] of {config.path}"
    accepted = describe_verdict(raw, expected, where)
    print_fields("What the network sees", {"settings": settings, "accepted": accepted, "frames": taken_text})
    if output:
        widths = " and ".join(f"{stream.shape[1]} {key}" for key, stream in streams.items())
        lines = [
            f"record {number}, video {readable(video_id)}, labels {describe_labels(raw.get('label'), names)}",
            f"{count(num_frames, 'frame')} of {widths} values; {taken_text if taken is None else settings}",
        ]
        values = {key: dequantize(stream) for key, stream in streams.items()}
        write_image(output, draw_features(args.path, lines, values, taken, taken_text), [args.path, *lines])


def describe_verdict(raw: dict, expected: Expected, where: str) -> str:
    """Whether the config's reader takes a record, and why not."""
    try:
        parse_record(raw, expected, where)
    except DataError as error:
        return f"no: {error}"
    return "yes"


def make_file_name(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in text)


def choose_record(args: argparse.Namespace, raws: list[dict]) -> int:
    """The number of the record that --record or --id names, or else 0. Raises ConfigError with what would work."""
    if args.id is None:
        number = args.record or 0
        if number >= len(raws):
            held = count(len(raws), "record")
            raise ConfigError(f"--record {number}: {args.path} holds {held}; the last is number {len(raws) - 1}")
        return number
    ids = list_ids(raws)
    if args.id in ids:
        return ids.index(args.id)
    near = get_close_matches(args.id, ids, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"they are {shorten_ids(ids)}"
    raise ConfigError(f"--id {args.id}: {args.path} has no such record among {len(raws)}; {hint}")


def list_ids(raws: list[dict]) -> list[str]:
    return [readable(raw.get("video", "(none)")) for raw in raws]


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
        if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 2 and value.size:
            low, high = dequantize(np.array([value.min(), value.max()]))
            clipped = np.isin(value, (0, 255)).mean()
            text = f"{count(len(value), 'frame')} of {value.shape[1]} bytes, {value.min()} to {value.max()}"
            text += f", for {low:.2f} to {high:.2f}; {100 * clipped:.1f} % are 0 or 255"
        elif key == "label":
            text = describe_labels(value, names)
        elif isinstance(value, np.ndarray):
            text = f"a {value.shape} {value.dtype} array"
        else:
            text = readable(value)[:200]
        fields[readable(key)] = text
    return fields


def describe_labels(value, names: list[str] | None) -> str:
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, list | tuple):
        return "not known" if value is None else str(value)[:80]
    return ", ".join(describe_class(item, names) for item in items) or "none"


def parse_streams(raw: dict, expected: Expected, where: str) -> tuple[str, dict[str, np.ndarray]]:
    """A record's name, and those of its features that it has, (T, D) uint8 of any width, by their names in configs."""
    found = {name: raw[key] for name, key in RECORD_KEYS.items() if key in raw}
    if not found:
        raise DataError(
            f"{where} has neither {' nor '.join(RECORD_KEYS.values())}; its keys are {', '.join(map(str, raw))}"
        )
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


# Text and files


def build_generator(args: argparse.Namespace, number: int) -> np.random.Generator | None:
    """What draws a training view as epoch 0 would, were ``number`` the record's place in the list; else None."""
    return np.random.default_rng([args.seed or 0, 0, number]) if args.section == "TRAIN" else None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def print_fields(title: str, fields: dict[str, str]) -> None:
    """A title and its fields below it, names in a column."""
    width = max(map(len, fields))
    print(readable(title))
    for key, value in fields.items():
        print(f"  {key:<{width}}  {value}")


def choose_output(args: argparse.Namespace, stem: str) -> Path | None:
    """Where the picture goes, None with --no-image. Raises ConfigError for what is there already or is no PNG."""
    if args.no_image:
        return None
    path = Path(args.output or f"{stem}.png")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--output {path}: the picture is a PNG; expected a name that ends in .png")
    if path.exists() and path.samefile(args.path):
        raise ConfigError(f"{path} is the file that is shown; --output FILE.png writes another")
    if path.exists() and not path.is_dir() and not args.force:
        raise ConfigError(f"{path} is there already; --force replaces it, --output FILE.png writes another")
    try:
        require_writable(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from None
    return path


def write_image(path: Path, data: bytes, texts: list[str]) -> None:
    """Write a picture and say where it is. texts: what is written in it."""
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from None
    print(f"wrote {readable(path)}")
    if any(make_drawable(text, load_font(CAPTION_PX, text)) != text for text in texts):
        print("a ? in it stands for a character of which no font here has a picture; the names are above")


if __name__ == "__main__":
    run(main)
