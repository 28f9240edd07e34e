"""Turn the videos of a Kinetics CSV into pickles of JPEG frames, which train.py reads faster than videos.

python dataset/kinetics/video2pkl.py kinetics-400_train.csv SOURCE TARGET [WORKERS]

SOURCE holds the videos, at any depth: <class>/<youtube_id>_<start>_<end>.mp4 as the official downloader names them,
<class>/<youtube_id>.mp4, or either without the class; any container will do. TARGET gets one
<youtube_id>_<start>_<end>.pkl a video, (video_id, class id, [JPEG bytes, ...]). All frames are kept at their size
unless --fps or --short-size says otherwise. Run again after an interruption, and the same files come out.

Videos that are not there and videos that cannot be decoded are counted, and listed in TARGET/missing.txt and
TARGET/broken.txt with the reason.
"""

import argparse
import fcntl
import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the project, when run as a script

from datareader.decoding import read_frame_rate, read_frames
from datareader.transforms import scale_size
from dataset.kinetics.annotations import (
    VIDEO_SUFFIXES,
    Annotation,
    VideoFolder,
    load_annotations,
    load_class_list,
    sort_classes,
)
from tools.command_line import parse_text, parse_threads, run
from tools.errors import DataError
from tools.run_log import progress_bar
from tools.safe_files import replacing, require_place

SETTINGS = "video2pkl.json"  # in TARGET: what its pickles were made with


class Encoding(NamedTuple):
    """How frames are kept. fps: at most so many a second, or None for all. short_size: pixels, None for as they are.

    quality: of the JPEGs, 1 to 100.
    """

    fps: float | None = None
    short_size: int | None = None
    quality: int = 95


class Job(NamedTuple):
    """One video to convert. label: class id, -1 for none known."""

    name: str
    label: int
    source: str
    target: Path


def convert(job: Job, encoding: Encoding) -> str | None:
    """Write a video's pickle; return what is wrong with the video if it cannot be decoded.

    Raises OSError where the pickle cannot be written.
    """
    try:
        frames = encode_video(job.source, encoding)
    except DataError as error:
        return str(error)
    with replacing(job.target) as file:
        pickle.dump((job.name, job.label, frames), file, protocol=4)  # with 2 bytes load about 40 times slower
    return None


def encode_video(path: str, encoding: Encoding) -> list[bytes]:
    """The frames of a video as JPEGs, upright; only these are in memory together. Raises DataError."""
    rate = read_frame_rate(path) if encoding.fps else None

    def choose(num_frames: int) -> np.ndarray:
        return thin_frames(num_frames, rate, encoding.fps) if rate else np.arange(num_frames)

    def finish(frame: np.ndarray) -> np.ndarray:
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
        return jpeg

    return [jpeg.tobytes() for jpeg in read_frames(path, choose, finish)[0]]


def thin_frames(num_frames: int, rate: float, fps: float) -> np.ndarray:
    """Numbers of the frames to keep of a video of ``rate`` frames a second so that about ``fps`` are left.

    They lie in the middle of equal spans; a slower video is kept whole.
    """
    count = min(max(round(num_frames * fps / rate), 1), num_frames)
    return ((np.arange(count) + 0.5) * num_frames / count).astype(int)


# Processes


def convert_all(jobs: list[Job], encoding: Encoding, num_workers: int) -> Iterator[tuple[Job, str | None]]:
    """Convert in any order; give each job with what is wrong with its video, or None.

    A video that makes its process crash is found out by converting those that were under way one at a time.
    """
    waiting = deque(jobs)
    while waiting:
        suspects = []
        with _open_pool(min(num_workers, len(waiting))) as pool:
            yield from _convert_with(pool, waiting, encoding, 2 * num_workers, suspects)
        for job in suspects:
            with _open_pool(1) as pool:
                try:
                    yield job, pool.submit(convert, job, encoding).result()
                except BrokenProcessPool:
                    yield job, f"{job.source}: its decoder crashed"


def _convert_with(pool, waiting: deque[Job], encoding, window: int, suspects: list[Job]) -> Iterator:
    """Take jobs until none is left, or a process has crashed and those under way are suspects."""
    running: dict[Future, Job] = {}
    while (waiting and not suspects) or running:
        while waiting and not suspects and len(running) < window:
            try:
                running[pool.submit(convert, waiting[0], encoding)] = waiting[0]
            except BrokenProcessPool:
                break  # those that run will say so
            waiting.popleft()
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(job)
            else:
                yield job, future.result()


@contextmanager
def _open_pool(num_workers: int) -> Iterator[ProcessPoolExecutor]:
    # Not forked: threads of the progress bar may hold locks at that moment.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    wait_for_any([multiprocessing.parent_process().sentinel])
    os._exit(1)


# The target folder


@contextmanager
def open_target(target: Path, settings: dict) -> Iterator[None]:
    """A folder that holds pickles of these settings only, for one run at a time. Raises DataError."""
    try:
        require_place(target / SETTINGS)
        handle = os.open(target, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another run is writing to {target}; wait for it, or end it") from None
        _check_settings(target, settings)
        _remove_unfinished(target)
        yield
        _remove_unfinished(target)
    finally:
        os.close(handle)


def _check_settings(target: Path, settings: dict) -> None:
    path = target / SETTINGS
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(target.glob("*.pkl")):
            raise DataError(f"{target} holds pickles that were made otherwise; give an empty folder") from None
        write_text(path, [json.dumps(settings, ensure_ascii=False)])
        return
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); give an empty folder") from None
    for key, value in settings.items():
        there = earlier.get(key) if isinstance(earlier, dict) else None
        if there != value:
            if key == "class_names":
                raise DataError(f"{target} was made with other classes; pass its --class-names, or an empty folder")
            raise DataError(f"{target} was made with {key} {there}, not {value}; give the same, or an empty folder")


def _remove_unfinished(target: Path) -> None:
    """What a killed run was writing."""
    for path in target.glob(".*.tmp-*"):
        path.unlink(missing_ok=True)


def write_text(path: Path, lines: list[str]) -> None:
    """A text file, or none where there is nothing to say."""
    if not lines:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


# From the CSV to the end


def plan_jobs(
    annotations: list[Annotation], class_names: list[str], source: Path, target: Path
) -> tuple[list[Job], list[str], int]:
    """The jobs in the order of the CSV, a line for each video that is not in ``source``, and how many are repeated."""
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
            jobs.append(Job(item.name, label, str(path), target / f"{item.name}.pkl"))
    unique = list({job.name: job for job in jobs}.values())
    missing_once = list(dict.fromkeys(missing))
    return unique, missing_once, len(annotations) - len(unique) - len(missing_once)


def parse_rate(text: str) -> float:
    """Frames a second, above 0."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return rate


def parse_pixels(text: str) -> int:
    """A side of a frame, 1 pixel or more."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= 65500 or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 65500")
    return int(text)


def parse_quality(text: str) -> int:
    """A JPEG quality, 1 to 100."""
    if text not in map(str, range(1, 101)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    cores = len(os.sched_getaffinity(0))
    add("csv", type=parse_text, metavar="CSV", help="columns label, youtube_id, time_start, time_end")
    add("source", type=parse_text, metavar="SOURCE", help="folder of the videos")
    add("target", type=parse_text, metavar="TARGET", help="folder of the pickles; made if need be")
    add("workers", nargs="?", type=parse_threads, default=cores, metavar="WORKERS", help=f"processes; default: {cores}")
    add("--fps", type=parse_rate, metavar="N", help="keep about N frames a second; default: all frames, as in 2019")
    add(
        "--short-size",
        type=parse_pixels,
        metavar="PX",
        help="scale larger frames down to this short side and keep their aspect; default: as they are",
    )
    add("--quality", type=parse_quality, default=95, metavar="1-100", help="of the JPEGs; default: 95")
    add(
        "--class-names",
        type=parse_text,
        metavar="FILE",
        help="classes by id, as generate_label.py writes them; default: those of the CSV. Give it when a CSV, such as "
        "that of validation, may lack a class",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    encoding = Encoding(args.fps, args.short_size, args.quality)
    annotations = load_annotations(args.csv)
    class_names = load_class_list(args.class_names) if args.class_names else sort_classes(annotations)
    source, target = Path(args.source), Path(args.target)
    jobs, missing, repeated = plan_jobs(annotations, class_names, source, target)
    if not jobs:
        raise DataError(
            f"none of the {len(missing)} videos of {args.csv} is in {source}; expected names such as "
            f"{annotations[0].name}.mp4"
        )
    with open_target(target, {"class_names": class_names, **encoding._asdict()}):
        try:
            finished = {path.name for path in target.glob("*.pkl")}
            remaining = [job for job in jobs if job.target.name not in finished]
            broken = convert_with_bar(remaining, encoding, args.workers, len(jobs))
            write_text(target / "missing.txt", missing)
            write_text(target / "broken.txt", [f"{job.name}\t{broken[job]}" for job in jobs if job in broken])
        except OSError as error:
            raise DataError(f"{target} cannot be written: {error}") from None
    print_summary(target, len(remaining) - len(broken), len(jobs) - len(remaining), len(missing), len(broken), repeated)


def convert_with_bar(jobs: list[Job], encoding: Encoding, num_workers: int, total: int) -> dict[Job, str]:
    """Convert, with a bar of rate and time left; return what is wrong with each broken video."""
    broken = {}
    with progress_bar(total, total - len(jobs), "converting", unit="video") as bar:
        for job, why in convert_all(jobs, encoding, num_workers):
            if why is not None:
                broken[job] = why
                bar.set_postfix(broken=len(broken), refresh=False)
            bar.update()
    return broken


def print_summary(target: Path, converted: int, skipped: int, missing: int, broken: int, repeated: int) -> None:
    print(f"converted {converted} videos to {target}; {skipped} were there already")
    if missing:
        print(f"{missing} videos are missing, listed in {target / 'missing.txt'}")
    if broken:
        print(f"{broken} videos are broken, listed in {target / 'broken.txt'}")
    if repeated:
        print(f"{repeated} lines of the CSV repeat a video and were passed over")


if __name__ == "__main__":
    run(main)
