"""Features of the backbone of a network on clips: what its last maps hold on average, for frames at a pace."""

from collections.abc import Callable
from enum import Enum

import numpy as np

from datareader.clips.seconds import Pace
from datareader.clips.settings import ClipSettings
from datareader.clips.views import see_frame
from datareader.extraction.extraction import Features, Sight
from datareader.extraction.youtube8m import Made
from datareader.transforms import normalize
from tools.errors import DataError

DIM = 2048
PICTURES_AT_ONCE = 16
_MOST_FLOAT16 = float(np.finfo(np.float16).max)


class Store(Enum):
    """How the numbers are stored. FLOAT16: as they are. UINT8: as bytes of a video's range, which take half as much."""

    FLOAT16 = "float16"
    UINT8 = "uint8"


def use_backbone(describe: Callable[[np.ndarray], np.ndarray], settings: ClipSettings, pace: Pace) -> Sight:
    """How these features are made by a backbone.

    describe: (N, 3 * seglen, H, W) float32 normalised -> (N, 2048) float32. settings: of frames; the centre crop is
    seen. pace: with rows of seglen frames.
    """

    def see(frames: list[np.ndarray]) -> np.ndarray:
        seen = np.concatenate([see_frame(frame, settings)[0] for frame in frames])  # (3 * L, H, W)
        return normalize(seen[None, None], settings.image_mean, settings.image_std)[0, 0]

    return Sight(pace, see, describe, PICTURES_AT_ONCE)


def make_record(features: Features, labels: tuple[int, ...] | None, store: Store) -> Made:
    """The record of a video, under the name that it was given. Raises DataError for what cannot be stored."""
    values, path = features.pictures, features.entry.path
    if not np.isfinite(values).all():
        raise DataError(f"{path}: its features came out infinite or as no numbers; weights or input are damaged")
    if store is Store.FLOAT16 and (largest := np.abs(values).max()) > _MOST_FLOAT16:
        raise DataError(f"{path}: its features reach {largest:.3g}, beyond float16; --store uint8 holds them")
    record = {"video": features.entry.written or path}
    if store is Store.FLOAT16:
        record["feature"] = values.astype(np.float16)
    else:
        low, high = float(values.min()), float(values.max())
        high = high if high > low else low + 1
        record["feature"] = np.rint((values - low) * (255 / (high - low))).astype(np.uint8)
        record["feature_range"] = (low, high)
    record["nframes"] = len(values)
    if labels is not None:
        record["label"] = sorted(labels)
    return Made(record, {}, "")
