"""Slow, obvious versions of how clips are read: what tests compare with and benchmarks divide by. Without Paddle."""

import io

import cv2
import numpy as np
from PIL import Image


def read_video_as_2019(path: str, settings) -> np.ndarray:
    """An evaluation clip as 2019 made it of a video: every frame decoded. (S, 3 * L, H, W) float32."""
    capture = cv2.VideoCapture(path)
    images = []
    while True:
        more, frame = capture.read()
        if not more:
            break
        images.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    capture.release()
    return _finish_as_2019(images, settings, len(images))


def read_jpegs_as_2019(frames: list[bytes], settings) -> np.ndarray:
    """The same of the JPEG frames of a pickle, of which only the sampled ones are decoded."""

    class Lazy:
        def __getitem__(self, i):
            return Image.open(io.BytesIO(frames[i])).convert("RGB")

    return _finish_as_2019(Lazy(), settings, len(frames))


def _finish_as_2019(images, settings, num_frames: int) -> np.ndarray:
    seg_num, seglen, size = settings.seg_num, settings.seglen, settings.target_size
    duration = num_frames // seg_num
    array = None
    mean, std = (np.float32(part).reshape(3, 1, 1) for part in (settings.image_mean, settings.image_std))
    for i in range(seg_num):
        first = (duration - seglen) // 2 + i * duration if duration >= seglen else i * max(duration, 1)
        for j in range(first, first + seglen):
            image = images[j % num_frames]
            width, height = image.size
            if min(width, height) != settings.short_size:
                long_size = int(settings.short_size * 4 / 3)
                scaled = (settings.short_size, long_size) if width < height else (long_size, settings.short_size)
                image = image.resize(scaled, Image.Resampling.BILINEAR)
            width, height = image.size
            left, top = round((width - size) / 2), round((height - size) / 2)
            image = image.crop((left, top, left + size, top + size))
            values = np.array(image).astype("float32").transpose((2, 0, 1)) / 255
            array = values if array is None else np.concatenate((array, values), axis=0)
    array = array.reshape(seg_num * seglen, 3, size, size)
    array -= mean
    array /= std
    return array.reshape(seg_num, 3 * seglen, size, size)
