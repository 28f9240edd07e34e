"""Clips of a Kinetics-style list: pickles of JPEG frames and video files, told apart by their content.

A pickle holds ``(video_id, label, [JPEG bytes, ...])``. A video's id is its file's stem and its label
stands behind its path in the list.
"""

import io
import pickletools
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from datareader.clips.decoding import Finish, Select, read_frames
from datareader.dataset import Batch
from datareader.lists import ListEntry, load_list
from datareader.sampling import sample_segment_frames
from datareader.transforms import Crop, crop_frame, draw_crop, list_crops, normalize, scale_size
from tools.errors import DataError, DataIssue
from tools.files.pickles import load_data_pickle
from tools.registry import READERS

PICKLE_STARTS = (b"\x80", b"(", b"]")
_PICKLE_SUFFIXES = {".pkl", ".pickle"}
_NO_IMAGE = (OSError, ValueError, Image.DecompressionBombError)  # what PIL raises for bytes that it cannot read
_BOOKKEEPING = re.compile("PROTO|FRAME|MARK|MEMOIZE|.*PUT")  # a pickle's operations that put nothing on the stack


@dataclass(frozen=True)
class ClipSettings:
    """What of a clip the network sees; the names are those of the config.

    num_clips, num_crops: views of a video in a test, whose probabilities are averaged.
    labels_needed: False when inferring.
    """

    num_classes: int
    seg_num: int
    seglen: int
    short_size: int
    target_size: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    keep_aspect: bool = False
    fast_decode: bool = False
    num_clips: int = 1
    num_crops: int = 1
    labels_needed: bool = True

    def describe(self) -> str:
        """The testing protocol, for the result table."""
        clips = f"{self.num_clips} clip{'s' * (self.num_clips > 1)}"
        crops = f"{self.num_crops} crops" if self.num_crops > 1 else "the centre crop"
        return f"{clips} x {crops}, {self.describe_view()}"

    def describe_view(self) -> str:
        """What one view of a clip is, in training too."""
        frames = f"{self.seg_num} segments of {self.seglen} frame{'s' * (self.seglen > 1)}"
        scale = f"{self.target_size} px of a short side of {self.short_size} px"
        switches = [name for name in ("keep_aspect", "fast_decode") if getattr(self, name)]
        return ", ".join([frames, scale, *switches])


@dataclass(frozen=True)
class Clip:
    """One video before its frames are decoded. label: class id, -1 for none known, or None.

    read: as ``read_frames`` of a file, ``(select, finish) -> what finish makes of each chosen frame``.
    jpegs: a pickle's frames as they are stored; None for a video.
    """

    video_id: str
    label: int | None
    read: Callable[[Select, Finish], list[np.ndarray]]
    jpegs: Sequence[bytes] | None = None


@dataclass(frozen=True)
class ViewInfo:
    """What of a clip its views show.

    num_frames: how many the clip has. frames: (num_clips, S, L) int64, the numbers of those in the views.
    size, scaled: width and height in pixels of the first of them, before and after scaling.
    crops: those of every clip, in the order of the views.
    """

    num_frames: int
    frames: np.ndarray
    size: tuple[int, int]
    scaled: tuple[int, int]
    crops: tuple[Crop, ...]


def is_pickle(entry: ListEntry) -> bool:
    """Whether a file begins as a pickle does; every video container begins otherwise.

    Raises DataError, also for an empty file.
    """
    try:
        with open(entry.path, "rb") as file:
            first = file.read(1)
    except OSError as error:
        raise DataError(f"{entry.named} cannot be read: {error}", DataIssue.UNREADABLE) from None
    if not first:
        raise DataError(f"{entry.named} is empty; fetch or copy it again", DataIssue.EMPTY)
    return first in PICKLE_STARTS


def open_clip(entry: ListEntry, settings: ClipSettings) -> Clip:
    """The clip of a list entry. Raises DataError naming list, line and file."""
    if is_pickle(entry):
        return _open_pickle(entry, settings)
    if entry.label is None and settings.labels_needed:
        _no_label(entry)
    label = check_label(entry.label, settings, entry.named)
    return Clip(Path(entry.path).stem, label, lambda *how: read_frames(entry.path, *how)[0])


def check_line(entry: ListEntry, settings: ClipSettings) -> None:
    """What can be known of a line without opening a pickle. Raises DataError, which no ``skip_broken`` covers."""
    if entry.label is not None and not -1 <= entry.label < settings.num_classes and settings.labels_needed:
        raise DataError(
            f"{entry.where}: label {entry.label} of {entry.path} is not in 0 to {settings.num_classes - 1} "
            "(num_classes)",
            DataIssue.LABEL_RANGE,
        )
    unlabelled = entry.label is None and settings.labels_needed
    if unlabelled and Path(entry.path).suffix not in _PICKLE_SUFFIXES and not is_pickle(entry):
        _no_label(entry)


def _no_label(entry: ListEntry):
    raise DataError(f"{entry.named} has no label; a video's line is its path and its class id", DataIssue.NO_LABEL)


def read_pickle_head(file: BinaryIO) -> tuple[str | bytes, int | None] | None:
    """The video id and the class id of a clip's pickle, from its first bytes; None if it begins with no id.

    The class id is None where only unpickling tells it. Raises what ``DAMAGED`` holds.
    """
    # (video_id, label, ...): what is put on the stack first, aside from framing and memory
    steps = ((code.name, value) for code, value, _ in pickletools.genops(file))
    values = (value for name, value in steps if not _BOOKKEEPING.match(name))
    video_id = next(values, None)
    if not isinstance(video_id, str | bytes):
        return None
    label = next(values, None)
    return video_id, label if isinstance(label, int) and not isinstance(label, bool) else None


def _open_pickle(entry: ListEntry, settings: ClipSettings) -> Clip:
    where = entry.named
    content = load_data_pickle(entry.path, where)
    if not isinstance(content, list | tuple) or len(content) != 3:
        raise DataError(
            f"{where} holds a {type(content).__name__}; expected (video_id, label, [JPEG bytes, ...])",
            DataIssue.STRUCTURE,
        )
    video_id, label, frames = content
    video_id = text_of_id(video_id)
    if not isinstance(frames, list | tuple) or not all(isinstance(frame, bytes) for frame in frames):
        raise DataError(f"{where}: its frames are not a list of JPEG bytes", DataIssue.DTYPE)
    if not frames:
        raise DataError(f"{where} holds no frames", DataIssue.NO_FRAMES)

    def read(select, finish) -> list[np.ndarray]:
        return [finish(_decode_image(frames[i], settings, f"{where} frame {i}")) for i in select(len(frames)).ravel()]

    label = check_label(label if entry.label is None else entry.label, settings, where)
    return Clip(video_id, label, read, frames)


def text_of_id(video_id) -> str:
    """An id as text that can be written anywhere; what is not valid UTF-8 becomes a question mark."""
    text = video_id.decode("utf-8", errors="replace") if isinstance(video_id, bytes) else str(video_id)
    return text.encode("utf-8", errors="replace").decode()


def check_label(label, settings: ClipSettings, where: str) -> int | None:
    """The label of a line or in a pickle, or None where one is neither right nor needed. Raises DataError."""
    if isinstance(label, int | np.integer) and not isinstance(label, bool) and -1 <= label < settings.num_classes:
        return int(label)
    if not settings.labels_needed:
        return None
    issue = DataIssue.LABEL_RANGE if isinstance(label, int | np.integer) else DataIssue.LABEL_TYPE
    raise DataError(f"{where}: label {str(label)[:80]} is not in 0 to {settings.num_classes - 1} (num_classes)", issue)


def _decode_image(data: bytes, settings: ClipSettings, where: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB. OpenCV gives the same bytes as PIL here, in about half the time."""
    if _is_cut_off(data):  # OpenCV would fill up the rest with grey
        raise DataError(f"{where} is a JPEG that was cut off", DataIssue.FRAME)
    flags = _reduction(data, settings.short_size) if settings.fast_decode else cv2.IMREAD_COLOR_RGB
    as_stored = cv2.IMREAD_IGNORE_ORIENTATION  # 2019: PIL, which does not turn a frame as its EXIF data say
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), flags | as_stored) if data else None
    except cv2.error:
        frame = None
    if frame is None:
        raise DataError(f"{where} is no image that can be decoded ({len(data)} bytes)", DataIssue.FRAME)
    return frame if flags == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG lacks its end, behind which other bytes may follow. Where it is not near the end, PIL decides."""
    end_mark = b"\xff\xd9"  # a picture's own, or that of a small one in its head
    if data[:2] != b"\xff\xd8" or end_mark in data[-64:]:
        return False
    try:
        with Image.open(io.BytesIO(data[: data.rfind(end_mark) + 2])) as image:
            image.load()
    except _NO_IMAGE:
        return True
    return False


def _reduction(data: bytes, short_size: int) -> int:
    """OpenCV's flag for the smallest JPEG scale that still is larger than short_size."""
    try:
        with Image.open(io.BytesIO(data)) as image:  # reads the header only
            short = min(image.size)
    except _NO_IMAGE:
        return cv2.IMREAD_COLOR_RGB  # its decoder says what is wrong
    flags = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    return next((flag for scale, flag in flags.items() if short // scale > short_size), cv2.IMREAD_COLOR_RGB)


class ClipDataset:
    """All clips of a list, in list order.

    Clips are opened when a batch needs them. One that cannot be read is left out of its batch and
    listed in ``broken``, up to ``skip_broken`` of them; the next raises its DataError. No other clip
    takes its place.
    """

    notices = ()

    def __init__(self, list_path: str, settings: ClipSettings, *, training: bool, skip_broken: int):
        self.name = list_path
        self.settings = settings
        self.training = training
        self.skip_broken = skip_broken
        self.entries = load_list(list_path, labelled=True)
        self.protocol = settings.describe()
        self.on_broken = lambda text: None
        self._broken: dict[int, str] = {}
        self._lock = Lock()
        for entry in self.entries:
            check_line(entry, settings)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def broken(self) -> list[str]:
        """What is wrong with each clip that was left out so far, in list order."""
        with self._lock:
            return [self._broken[number] for number in sorted(self._broken)]

    def checksum(self) -> int:
        """A number that changes when the files, their order or their labels do."""
        return zlib.crc32("\n".join(f"{entry.path} {entry.label}" for entry in self.entries).encode())

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Numbers of the clips of one epoch, shuffled in training."""
        if not self.training:
            return np.arange(len(self))
        return np.random.default_rng([seed, epoch]).permutation(len(self))

    @staticmethod
    def arrange_batches(order: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """The order that clips are read in: as it is."""
        return order

    @staticmethod
    def files_of(clips: np.ndarray) -> np.ndarray:
        """Numbers of the files that hold these clips: each has its own."""
        return clips

    @contextmanager
    def open(self, batches: list[np.ndarray], seed: int, epoch: int) -> Iterator[Callable[[int], Batch]]:
        """Give ``fetch(i) -> Batch`` for these batches of clip numbers; safe to call from threads."""
        cv2.setNumThreads(0)  # the reading threads are as many as they should be
        yield lambda i: self._make_batch(batches[i], seed, epoch)

    def to_float(self, batch: Batch) -> Batch:
        """The batch with its frames normalised, for networks on the CPU."""
        (frames,) = batch.inputs
        return replace(batch, inputs=(normalize(frames, self.settings.image_mean, self.settings.image_std),))

    def _make_batch(self, numbers: np.ndarray, seed: int, epoch: int) -> Batch:
        settings = self.settings
        views = 1 if self.training else settings.num_clips * settings.num_crops
        shape = (views, settings.seg_num, 3 * settings.seglen, settings.target_size, settings.target_size)
        frames = np.empty((len(numbers), *shape), np.uint8)
        clips, sources = [], []
        for number in numbers.tolist():
            entry = self.entries[number]
            try:
                if number in self._broken:
                    continue
                clip = open_clip(entry, settings)
                rng = np.random.default_rng([seed, epoch, number]) if self.training else None
                decode_views(frames[len(clips)], clip, settings, rng)
            except DataError as error:
                text = str(error)
                self._leave_out(number, text if text.startswith(entry.where) else f"{entry.where}: {text}")
                continue
            clips.append(clip)
            sources.append(f"{entry.path} ({entry.where})")
        labels = [clip.label for clip in clips]
        return Batch(
            ids=[clip.video_id for clip in clips],
            sources=sources,
            inputs=(frames[: len(clips)].reshape(-1, *shape[1:]),),
            labels=None if None in labels else np.array(labels, np.int64),
            views=views,
        )

    def _leave_out(self, number: int, text: str) -> None:
        with self._lock:
            if len(self._broken) >= self.skip_broken:
                more = f"; {len(self._broken)} were skipped before it" if self._broken else ""
                raise DataError(f"{text}{more}; --skip-broken N skips up to N such clips") from None
            self._broken[number] = text
        self.on_broken(text)


def decode_views(out: np.ndarray, clip: Clip, settings: ClipSettings, rng: np.random.Generator | None) -> ViewInfo:
    """Decode what the network sees of a clip into ``out`` (views, S, 3 * L, H, W) uint8, and say what that is.

    rng: draws the place in each segment, one crop and one flip (training); None makes every view of the
    testing protocol, crop by crop within clip by clip.
    """
    num_clips = 1 if rng else settings.num_clips
    seg_num, seglen, size = settings.seg_num, settings.seglen, settings.target_size
    chosen = []  # (number of frames, the frames) of each choice; a damaged file is asked for a second one

    def select(num_frames: int) -> np.ndarray:
        numbers = np.stack(
            [sample_segment_frames(num_frames, seg_num, seglen, rng, c, num_clips) for c in range(num_clips)]
        )
        chosen.append((num_frames, numbers))
        return numbers

    sizes = []  # of the first frame, before and after scaling
    crops = []  # of the whole clip, chosen when the size of its first frame is known
    resample = Image.Resampling.BOX if settings.fast_decode else Image.Resampling.BILINEAR

    def finish(frame: np.ndarray) -> np.ndarray:
        """(crops, 3, H, W) of a frame."""
        scaled = scale_size(frame.shape[1], frame.shape[0], settings.short_size, settings.keep_aspect)
        if not crops:
            sizes.extend([(frame.shape[1], frame.shape[0]), scaled])
            crops.extend([draw_crop(*scaled, size, rng)] if rng else list_crops(settings.num_crops, *scaled))
        return np.stack([crop_frame(frame, crop, scaled, size, resample).transpose(2, 0, 1) for crop in crops])

    frames = clip.read(select, finish)  # num_clips * S * L
    out = out.reshape(num_clips, -1, seg_num * seglen, 3, size, size)
    for i, views in enumerate(frames):
        clip_number, place = divmod(i, seg_num * seglen)
        out[clip_number, :, place] = views
    return ViewInfo(*chosen[-1], *sizes, tuple(crops))


def build_clip_settings(config, section: str) -> ClipSettings:
    """What a config's section says of its clips. Only INFER needs no labels."""
    model, part = config.MODEL, getattr(config, section)
    return ClipSettings(
        num_classes=model.num_classes,
        seg_num=getattr(part, "seg_num", None) or model.seg_num,
        seglen=model.seglen,
        short_size=part.short_size,
        target_size=part.target_size,
        image_mean=tuple(model.image_mean),
        image_std=tuple(model.image_std),
        keep_aspect=part.keep_aspect,
        fast_decode=part.fast_decode,
        num_clips=getattr(part, "num_clips", 1),
        num_crops=getattr(part, "num_crops", 1),
        labels_needed=section != "INFER",
    )


@READERS.register("clips")
def build_clip_reader(config, section: str, *, training: bool, skip_broken: int) -> ClipDataset:
    """The clips of ``[section] filelist``."""
    list_path = getattr(config, section).filelist
    return ClipDataset(list_path, build_clip_settings(config, section), training=training, skip_broken=skip_broken)
