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
    resample = Image.Resampling.BOX if settings.fast_decode else Image.Resampling.BILINEAR
    source = clip.open()
    sizes = crops = None  # of the whole clip, chosen when the size of its first frame is known
    while True:
        numbers = _sample_clips(source.num_frames, settings, rng)  # (num_clips, S, L)
        places = numbers.reshape(len(numbers), -1)
        views = out.reshape(len(numbers), -1, places.shape[1], 3, size, size)  # (num_clips, crops, S * L, C, H, W)
        try:
            for number, frame in source.frames(numbers):
                height, width = frame.shape[:2]
                scaled = scale_size(width, height, settings.short_size, settings.keep_aspect)
                if crops is None:
                    sizes = (width, height), scaled
                    crops = [draw_crop(*scaled, size, rng)] if rng else list_crops(settings.num_crops, *scaled)
                seen = [crop_frame(frame, crop, scaled, size, resample).transpose(2, 0, 1) for crop in crops]
                in_clip, at = np.nonzero(places == number)
                views[in_clip, :, at] = seen
        except FrameCountError:
            continue  # a damaged file: sample again from the frames that it has
        return ViewInfo(source.num_frames, numbers, *sizes, tuple(crops))


def _sample_clips(num_frames: int, settings: ClipSettings, rng: np.random.Generator | None) -> np.ndarray:
    """(num_clips, S, L) int64: the frames of each clip of a test, or of a random one."""
    num_clips = 1 if rng else settings.num_clips
    return np.stack(
        [
            sample_segment_frames(num_frames, settings.seg_num, settings.seglen, rng, clip, num_clips)
            for clip in range(num_clips)
        ]
    )
