"""What is shown of a clip: what its file says, what the reader takes of it, and a contact sheet of that."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from datareader.clips.cuts import describe_cut
from datareader.clips.decoding import read_facts
from datareader.clips.files import Clip, JpegFrames, check_label, open_clip
from datareader.clips.frame_folders import list_folder, shorten_names
from datareader.clips.pictures import read_size
from datareader.clips.settings import ClipSettings, build_clip_settings
from datareader.clips.video import VideoFacts
from datareader.clips.views import ViewInfo, decode_views
from datareader.lists import ListEntry
from datareader.transforms import Crop
from tools.config.load import Config
from tools.drawing.contact_sheet import Block, Tile, draw_sheet
from tools.errors import ConfigError
from tools.files.pickles import load_pickle
from tools.runtime.text import printable
from tools.show.options import ShowOptions
from tools.show.output import choose_output, describe_class, print_fields, write_image


def show_clip(options: ShowOptions, name: str, config: Config, names: list[str] | None) -> None:
    """Print what a file holds and what the model called ``name`` sees of it, and draw that.

    names: of classes, by id. Raises DataError for a clip that cannot be read, ConfigError for a picture in the way
    and for flags that choose a record.
    """
    if options.record is not None or options.video_id is not None:
        raise ConfigError(f"{options.path} holds one clip; --record and --id choose among records of features")
    path = Path(options.path)
    output = choose_output(options, path.absolute().name if path.is_dir() else path.stem)
    settings = replace(build_clip_settings(config, options.section), labels_needed=False)
    clip = open_clip(ListEntry(options.path), settings)
    if path.is_dir():
        facts, frames_per_sec = describe_folder(options.path, clip.jpegs), None
    elif clip.jpegs is None:
        video = read_facts(options.path)
        facts, frames_per_sec = describe_video(video, describe_cut(options.path)), video.frames_per_sec
    else:
        facts, frames_per_sec = describe_jpegs(options.path, settings, names), None
    print_fields(options.path, facts)
    views, seen = see_clip(clip, settings, options.build_generator(0))
    protocol = f"{name} [{options.section}] of {config.path}: {describe_protocol(options, settings, seen)}"
    print_fields("What the network sees", {"protocol": protocol, **describe_view_info(seen)})
    if output:
        shown = [f"{key} {value}" for key, value in facts.items() if key in ("class", "frame size", "frame rate")]
        lines = [", ".join([*shown, f"{seen.num_frames} frames"]), protocol]
        sheet = draw_sheet(options.path, lines, list_blocks(views, seen, frames_per_sec))
        memory = io.BytesIO()
        sheet.image.save(memory, "PNG", optimize=True)
        write_image(output, memory.getvalue(), [options.path, *lines])


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


def describe_video(video: VideoFacts, cut: str) -> dict[str, str]:
    """cut: as ``describe_cut`` has it."""
    fields = {"kind": "video", "container": video.container, "codec": video.codec}
    fields["stream"] = video.stream
    fields["colours"] = video.colours and f"{video.colours}, taken as they are stored, not tone-mapped"
    fields["frame size"] = f"{video.size[0]} x {video.size[1]} px"
    if video.frames_per_sec:
        fields["frame rate"] = f"{video.frames_per_sec:.4g} a second"
    if video.duration_sec:
        fields["duration"] = f"{video.duration_sec:.2f} s"
    fields["cut short"] = cut
    return {key: value for key, value in fields.items() if value}


def describe_jpegs(path: str, settings: ClipSettings, names: list[str] | None) -> dict[str, str]:
    """Of a pickle that ``open_clip`` has accepted, without need of a label."""
    with open(path, "rb") as file:
        video_id, label, jpegs = load_pickle(file)
    fields = {"kind": "pickle of JPEG frames", "video": printable(video_id), "class": describe_class(label, names)}
    if check_label(label, settings, path) is None:
        fields["class"] += f" (not in 0 to {settings.num_classes - 1}, num_classes; refused but for infer.py)"
    return {**fields, **describe_images(jpegs)}


def describe_folder(path: str, jpegs: JpegFrames) -> dict[str, str]:
    """Of a folder of frames that ``open_clip`` has accepted."""
    content = list_folder(path)
    ends = content.frames[0] if len(content.frames) == 1 else f"{content.frames[0]} to {content.frames[-1]}"
    fields = {"kind": "folder of frames", "video": printable(Path(path).absolute().name), "names": printable(ends)}
    if content.flow:
        fields["ignored flow"] = printable(f"{len(content.flow)}: {shorten_names(content.flow)}")
    if content.others:
        fields["ignored"] = printable(f"{len(content.others)}: {shorten_names(content.others)}")
    return {**fields, **describe_images(jpegs.data)}


def describe_images(images: Sequence[bytes]) -> dict[str, str]:
    """How many there are, and how large."""
    found = [(read_size(data), len(data)) for data in images]
    sizes = Counter(size for size, _ in found)
    broken = sizes.pop(None, 0)
    total = sum(num_bytes for _, num_bytes in found)
    fields = {"frames": str(len(images))}
    shown = [f"{width} x {height} px" for (width, height), _ in sizes.most_common(3)]
    fields["frame size"] = " and ".join(shown) + f" and {len(sizes) - 3} more" * (len(sizes) > 3)
    if broken:
        fields["broken"] = f"{broken} frames do not begin as an image"
    fields["bytes"] = f"{total:,}, {total / len(images):,.0f} a frame"
    return fields


def describe_protocol(options: ShowOptions, settings: ClipSettings, seen: ViewInfo) -> str:
    """How the views were chosen: by the testing protocol, or at random."""
    if options.section != "TRAIN":
        return settings.describe()
    crop = describe_crop(seen.crops[0])
    return f"a random view of training, seed {options.seed}, crop {crop}; {settings.describe_view()}"


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
