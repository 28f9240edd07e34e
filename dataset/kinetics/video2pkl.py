"""Convert the videos of a Kinetics CSV to pickles of JPEG frames, which train.py reads faster than videos.

python dataset/kinetics/video2pkl.py kinetics-400_train.csv SOURCE TARGET [WORKERS]

SOURCE holds the videos, at any depth: <class>/<youtube_id>_<start>_<end>.mp4 as the official downloader names them,
<class>/<youtube_id>.mp4, or either without the class; any container will do, and so does a folder of that name that
holds the frames (img_00001.jpg and the like). TARGET gets one <youtube_id>_<start>_<end>.pkl a video, (video_id, class
id, [JPEG bytes, ...]). All frames are kept at their size unless --fps or --short-size says otherwise; those of a folder
are kept as their files are. Run again after an interruption, and the same files come out; a pickle is replaced when its
class is no longer that of the CSV, or when its video is newer.

Videos that are not there and videos that cannot be decoded are counted, and listed in TARGET/missing.txt and
TARGET/broken.txt with the reason.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import pickle
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from datareader.clips.decoding import open_video, read_frame_rate
from datareader.clips.frame_folders import FrameFiles, list_frames
from datareader.clips.frame_pickles import read_file_head
from datareader.clips.pictures import decode_image
from datareader.clips.video import FrameCountError
from datareader.media import VIDEO_SUFFIXES
from datareader.transforms import scale_size
from dataset.kinetics.annotations import Annotation, VideoFolder, load_annotations, load_class_list, sort_classes
from dataset.output_folder import open_output_folder
from dataset.parts import WHOLE, Part, add_part_flags, check_part_flags, describe_end
from dataset.text_files import write_lines
from tools.config.flags import parse_text, parse_threads, real_number, whole_number
from tools.config.parser import Group, make_parser
from tools.errors import DataError
from tools.files.atomic import atomic_write
from tools.files.pickles import DAMAGED
from tools.runtime.cpu import usable_cores
from tools.runtime.entry import run_program
from tools.runtime.log import progress_bar
from tools.runtime.workers import map_in_processes


class Encoding(NamedTuple):
    """How frames are stored. fps: at most so many frames a second, None for all.

    short_size: pixels, None for the video's own. quality: of the JPEGs, 1 to 100.
    """

    fps: float | None = None
    short_size: int | None = None
    quality: int = 95


@dataclass(frozen=True)
class ConvertOptions:
    """What the flags say."""

    csv: str
    source: Path
    target: Path
    workers: int
    class_names: str | None
    encoding: Encoding
    part: Part
    merge: bool


class Job(NamedTuple):
    """One video to convert. label: class id, -1 for none known."""

    name: str
    label: int
    source: str
    target: Path
    encoding: Encoding


def convert(job: Job) -> str | None:
    """Write a video's pickle; return the error if the video cannot be decoded.

    Raises OSError where the pickle cannot be written.
    """
    encode = encode_folder if Path(job.source).is_dir() else encode_video
    try:
        frames = encode(job.source, job.encoding)
    except DataError as error:
        return str(error)
    with atomic_write(job.target, among_many=True) as file:
        pickle.dump((job.name, job.label, frames), file, protocol=4)  # with 2 bytes load about 40 times slower
    return None


def is_finished(job: Job) -> bool:
    """Whether the pickle is there, with its label, and no older than the video. Reads its first bytes."""
    try:
        is_older = job.target.stat().st_mtime_ns < Path(job.source).stat().st_mtime_ns
        return not is_older and read_file_head(job.target) == (job.name, job.label)
    except (OSError, *DAMAGED):
        return False


def encode_video(path: str, encoding: Encoding) -> list[bytes]:
    """The frames of a video as JPEGs, upright; only these are in memory together. Raises DataError."""
    rate = read_frame_rate(path) if encoding.fps else None
    video = open_video(path)
    while True:
        numbers = thin_frames(video.num_frames, rate, encoding.fps) if rate else np.arange(video.num_frames)
        jpegs = {}
        try:
            for number, frame in video.frames(numbers):
                jpegs[number] = encode_frame(frame, encoding, path)
        except FrameCountError:
            continue  # a damaged file: sample again among the frames that it has
        return [jpegs[number] for number in numbers.tolist()]


def encode_folder(path: str, encoding: Encoding) -> list[bytes]:
    """The frames of a folder as the files are, or as JPEGs where they are larger than wanted. Raises DataError."""
    if encoding.fps:
        raise DataError(f"{path}: a folder of frames does not say how many a second they are; leave out --fps")
    files = FrameFiles(path, list_frames(path, None))
    images = []
    for data, where in zip(files, files.paths, strict=True):
        frame = decode_image(data, where)  # what is broken is found here, whether or not it stays as it is
        is_large = encoding.short_size and min(frame.shape[:2]) > encoding.short_size
        images.append(encode_frame(frame, encoding, where) if is_large else data)
    return images


def encode_frame(frame: np.ndarray, encoding: Encoding, path: str) -> bytes:
    """A frame, (H, W, 3) uint8 RGB, as a JPEG of the size wanted. Raises DataError naming ``path``."""
    height, width = frame.shape[:2]
    if encoding.short_size and min(height, width) > encoding.short_size:
        size = scale_size(width, height, encoding.short_size, keep_aspect=True)
        frame = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    try:
        jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, encoding.quality]
        )[1]
    except cv2.error:
        raise DataError(f"{path}: a frame of {width} x {height} pixels cannot be a JPEG") from None
    return jpeg.tobytes()


def thin_frames(num_frames: int, rate: float, fps: float) -> np.ndarray:
    """Numbers of the frames to keep of a video of ``rate`` frames a second, so that about ``fps`` a second are left.

    They are the middles of equal spans; of a slower video all frames are kept.
    """
    count = min(max(round(num_frames * fps / rate), 1), num_frames)
    return ((np.arange(count) + 0.5) * num_frames / count).astype(int)


def write_report(path: Path, lines: list[str]) -> None:
    """Write a text file, or remove the one of an earlier run where there are no lines."""
    if lines:
        write_lines(path, lines)
    else:
        path.unlink(missing_ok=True)


def plan_jobs(
    annotations: list[Annotation], class_names: list[str], source: Path, target: Path, encoding: Encoding
) -> tuple[list[Job], list[str], int]:
    """The jobs in the order of the CSV, a line for each missing video, and how many lines repeat a video."""
    ids = {name: class_id for class_id, name in enumerate(class_names)}
    folder = VideoFolder([source], VIDEO_SUFFIXES)
    jobs, missing, seen = [], [], {}
    for item in annotations:
        if item.class_name and item.class_name not in ids:
            raise DataError(f"{item.where}: {item.class_name!r} is not among the {len(ids)} class names")
        label = ids.get(item.class_name, -1)
        if seen.setdefault(item.name, label) != label:
            raise DataError(f"{item.where}: {item.name} stands in an earlier line with another label")
        path = folder.find(item)
        if path is None:
            missing.append(f"{item.name}\t{item.class_name}")
        else:
            jobs.append(Job(item.name, label, str(path), target / f"{item.name}.pkl", encoding))
    unique = list({job.name: job for job in jobs}.values())
    missing_once = list(dict.fromkeys(missing))
    return unique, missing_once, len(annotations) - len(unique) - len(missing_once)


def parse_args() -> ConvertOptions:
    parser = make_parser(__doc__)
    add = parser.add_argument
    cores = usable_cores()
    add("csv", type=parse_text, metavar="CSV", help="columns label, youtube_id, time_start, time_end")
    add("source", type=parse_text, metavar="SOURCE", help="folder of the videos")
    add("target", type=parse_text, metavar="TARGET", help="folder of the pickles; made if needed")
    add(
        "workers",
        nargs="?",
        type=parse_threads,
        default=cores,
        metavar="WORKERS",
        help="processes; default: all available cores",
    )
    add = parser.group(Group.OUTPUT).add_argument
    add(
        "--fps",
        type=real_number(0, 1e6),
        metavar="N",
        help="keep about N frames a second; default: all frames, as in 2019",
    )
    add(
        "--short-size",
        type=whole_number(1, 65500),
        metavar="PX",
        help="scale larger frames down to this short side and keep their aspect; default: as they are",
    )
    add("--quality", type=whole_number(1, 100), default=95, metavar="1-100", help="quality of the JPEGs")
    parser.group(Group.DATA).add_argument(
        "--class-names",
        type=parse_text,
        metavar="FILE",
        help="classes by id, as generate_label.py writes them; default: those of the CSV. Give it when a CSV, such as "
        "that of validation, may lack a class",
    )
    add_part_flags(parser)
    args = parser.parse_args()
    check_part_flags(parser, args.part, args.merge)
    return ConvertOptions(
        csv=args.csv,
        source=Path(args.source),
        target=Path(args.target),
        workers=args.workers,
        class_names=args.class_names,
        encoding=Encoding(args.fps, args.short_size, args.quality),
        part=args.part,
        merge=args.merge,
    )


def main() -> None:
    options = parse_args()
    target = options.target
    annotations = load_annotations(options.csv)
    class_names = load_class_list(options.class_names) if options.class_names else sort_classes(annotations)
    jobs, missing, repeated = plan_jobs(annotations, class_names, options.source, target, options.encoding)
    if not jobs:
        raise DataError(
            f"none of the {len(missing)} videos of {options.csv} is in {options.source}; expected names such as "
            f"{annotations[0].name}.mp4"
        )
    flags = {f"--{key.replace('_', '-')}": value for key, value in options.encoding._asdict().items()}
    settings = {"program": "video2pkl.py", **flags, "--class-names": class_names}
    part = options.part
    with open_output_folder(target, settings, part):
        own = [job for place, job in enumerate(jobs) if part.holds(place)]
        there = {path.name for path in target.glob("*.pkl")}
        remaining = [job for job in own if job.target.name not in there or not is_finished(job)]
        if options.merge:
            broken = require_parts(remaining, target)
            remaining = []
        else:
            broken = convert_all(remaining, options.workers, len(own))
        if part.is_whole:
            write_report(target / "missing.txt", missing)
        write_report(broken_list(target, part), [f"{job.name}\t{broken[job]}" for job in own if job in broken])
        if part.is_whole:
            for path in lists_of_parts(target):
                path.unlink()
    print_summary(
        target,
        converted=len(remaining) - len(broken) * (not options.merge),
        skipped=len(own) - len(remaining) - len(broken) * options.merge,
        redone=sum(job.target.name in there for job in remaining if job not in broken),
        missing=len(missing),
        broken=len(broken),
        repeated=repeated,
    )
    if not part.is_whole:
        print(describe_end(part))


def broken_list(target: Path, part: Part) -> Path:
    """Where the broken videos of a part are listed."""
    return target / f"broken{part.suffix}.txt"


def lists_of_parts(target: Path) -> list[Path]:
    return sorted(target.glob("broken-*-of-*.txt"))


def require_parts(remaining: list[Job], target: Path) -> dict[Job, str]:
    """What is broken of what has no pickle, as earlier runs and parts have listed it. Raises DataError for others."""
    told = {}
    for path in filter(Path.exists, [broken_list(target, WHOLE), *lists_of_parts(target)]):
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        told.update(line.partition("\t")[::2] for line in lines)
    missing = [job for job in remaining if job.name not in told]
    if missing:
        raise DataError(
            f"{target}: {len(missing)} videos are not converted, such as {missing[0].source}; run the parts that hold "
            "them again"
        )
    return {job: told[job.name] for job in remaining}


def convert_all(jobs: list[Job], num_workers: int, total: int) -> dict[Job, str]:
    """Convert with a progress bar; return the error of each broken video."""
    broken = {}
    with (
        progress_bar(total, total - len(jobs), "converting", unit="video") as bar,
        closing(map_in_processes(convert, jobs, num_workers, explain_crash)) as converted,
    ):
        for job, why in converted:
            if why is not None:
                broken[job] = why
                job.target.unlink(missing_ok=True)  # of the video as it was before
                bar.set_postfix(broken=len(broken), refresh=False)
            bar.update()
    return broken


def explain_crash(job: Job) -> str:
    return f"{job.source}: its decoder crashed"


def print_summary(
    target: Path, *, converted: int, skipped: int, redone: int, missing: int, broken: int, repeated: int
) -> None:
    print(f"converted {converted} videos to {target}; {skipped} were there already")
    if redone:
        print(f"{redone} of the converted ones replace pickles with another label or of an older video")
    if missing:
        print(f"{missing} videos are missing, listed in {target / 'missing.txt'}")
    if broken:
        print(f"{broken} videos are broken, listed in {target / 'broken.txt'}")
    if repeated:
        print(f"{repeated} lines of the CSV repeat a video and were skipped")


if __name__ == "__main__":
    run_program(main)
