"""The classes of a video, by the exported model beside this file: python example.py clip.mp4"""

import json
import sys
from pathlib import Path

import av
import numpy as np
from paddle import inference

FOLDER = Path(__file__).resolve().parent
CARD = json.loads((FOLDER / "model.json").read_bytes())
READ, SIZE = CARD["preprocessing"], CARD["preprocessing"]["crop_size"]


def decode(path):
    for frame in av.open(path).decode(video=0):
        image = frame.to_ndarray(format="bgr24", interpolation="BICUBIC")[..., ::-1]
        yield np.rot90(image, frame.rotation // 90)  # upright, (height, width, 3) RGB


def resample(pixels, scaled):
    """(SIZE, pixels): what the middle of a scaled side takes of each pixel, times 2^22, rounded as Pillow does."""
    at, ratio = round((scaled - SIZE) / 2), pixels / scaled
    begin, end = np.float32(at * ratio), np.float32((at + SIZE) * ratio)
    step = float(end - begin) / SIZE
    far = (np.arange(pixels) + 0.5 - float(begin) - (np.arange(SIZE)[:, None] + 0.5) * step) / max(step, 1)
    parts = np.maximum(1 - abs(far), 0) if READ["resampling"] == "bilinear" else (far > -0.5) & (far <= 0.5)
    return np.rint(parts / parts.sum(1, keepdims=True) * 2**22).astype(np.int64)


def crop(image):  # the middle of a scaled frame: (SIZE, SIZE, 3) whole numbers
    (height, width), short = image.shape[:2], READ["short_size"]
    low, high = min(height, width), max(height, width)
    other = high if low == short else int(high * short / low if READ["keep_aspect"] else short * 4 / 3)
    scaled = (short, other) if width < height else (other, short)
    image = np.einsum("sw,hwc->hsc", resample(width, scaled[0]), image, dtype=np.int64) + 2**21 >> 22
    return np.einsum("sh,hwc->swc", resample(height, scaled[1]), image) + 2**21 >> 22


segments, length = READ["segments"], READ["frames_of_a_segment"]
try:
    count = sum(1 for _ in decode(sys.argv[1]))
except (IndexError, av.FFmpegError) as error:  # the former where there is no file, or sound alone
    sys.exit(f"{' '.join(sys.argv[1:])} cannot be read as a video: {error}; python example.py clip.mp4")
room = count // segments - length  # of a segment, for other places of its frames
first = np.arange(segments) * max(room + length, 1) + max(room, 0) // 2
numbers = np.add.outer(first, np.arange(length)).ravel() % count
crops = {number: crop(image) for number, image in enumerate(decode(sys.argv[1])) if number in numbers}
pixels = np.array([crops[number] for number in numbers], np.float32) / 255 - np.float32(READ["mean"])
pixels = (pixels / np.float32(READ["std"])).transpose(0, 3, 1, 2).reshape(1, segments, 3 * length, SIZE, SIZE)
config = inference.Config(str(FOLDER / CARD["program"]), str(FOLDER / CARD["weights"]))
config.disable_glog_info()
predictor = inference.create_predictor(config)
predictor.get_input_handle("clips").copy_from_cpu(np.ascontiguousarray(pixels))
predictor.run()
probs = predictor.get_output_handle(CARD["outputs"][0]["name"]).copy_to_cpu()[0]
for class_id in np.argsort(-probs, kind="stable")[:5]:
    print(f"{probs[class_id]:.6f} {class_id} {CARD['class_names'][class_id] if CARD['class_names'] else ''}")
