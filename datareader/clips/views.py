"""What the network sees of a clip: its sampled frames, scaled and cropped."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from datareader.clips.files import Clip
from datareader.clips.settings import ClipSettings
from datareader.clips.video import FrameCountError
from datareader.sampling import sample_segment_frames
from datareader.transforms import Crop, crop_frame, draw_crop, list_crops, scale_size


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


def decode_views(out: np.ndarray, clip: Clip, settings: ClipSettings, rng: np.random.Generator | None) -> ViewInfo:
    """Decode what the network sees of a clip into ``out`` (views, S, 3 * L, H, W) uint8, and say what that is.

    rng: draws the place in each segment, one crop and one flip (training); None makes every view of the
    testing protocol, crop by crop within clip by clip. Raises DataError, and then ``out`` may hold anything.
    """
    size = settings.target_size
    source = clip.open()
    sizes = crops = None  # of the whole clip, chosen when the size of its first frame is known
    while True:
        numbers = sample_clips(source.num_frames, settings, rng)  # (num_clips, S, L)
        places = numbers.reshape(len(numbers), -1)
        views = out.reshape(len(numbers), -1, places.shape[1], 3, size, size)  # (num_clips, crops, S * L, C, H, W)
        try:
            for number, frame in source.frames(numbers):
                height, width = frame.shape[:2]
                scaled = scale_size(width, height, settings.short_size, settings.keep_aspect)
                if crops is None:
                    sizes = (width, height), scaled
                    crops = [draw_crop(*scaled, size, rng)] if rng else list_crops(settings.num_crops, *scaled)
                in_clip, at = np.nonzero(places == number)
                views[in_clip, :, at] = _crop(frame, crops, scaled, settings)
        except FrameCountError:
            continue  # a damaged file: sample again from the frames that it has
        return ViewInfo(source.num_frames, numbers, *sizes, tuple(crops))


def see_frame(frame: np.ndarray, settings: ClipSettings) -> np.ndarray:
    """The crops of a test from a frame (H, W, 3) uint8: (num_crops, 3, target_size, target_size) uint8."""
    height, width = frame.shape[:2]
    scaled = scale_size(width, height, settings.short_size, settings.keep_aspect)
    return _crop(frame, list_crops(settings.num_crops, *scaled), scaled, settings)


def join_views(seen: list[np.ndarray], settings: ClipSettings) -> np.ndarray:
    """The views of a test, (views, S, 3 * L, H, W) uint8, of what ``see_frame`` gave of each of the frames in them.

    seen: in the order of ``sample_clips``.
    """
    size = settings.target_size
    crops = np.stack(seen).reshape(settings.num_clips, -1, settings.num_crops, 3, size, size)
    return crops.swapaxes(1, 2).reshape(-1, *settings.shape)


def _crop(frame: np.ndarray, crops: list[Crop], scaled: tuple[int, int], settings: ClipSettings) -> np.ndarray:
    """(crops, 3, H, W) uint8."""
    resample = Image.Resampling.BOX if settings.fast_decode else Image.Resampling.BILINEAR
    parts = [crop_frame(frame, crop, scaled, settings.target_size, resample) for crop in crops]
    return np.stack(parts).transpose(0, 3, 1, 2)


def sample_clips(num_frames: int, settings: ClipSettings, rng: np.random.Generator | None) -> np.ndarray:
    """(num_clips, S, L) int64: the frames of each clip of a test, or of a random one."""
    num_clips = 1 if rng else settings.num_clips
    return np.stack(
        [
            sample_segment_frames(num_frames, settings.seg_num, settings.seglen, rng, clip, num_clips)
            for clip in range(num_clips)
        ]
    )
