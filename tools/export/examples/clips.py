"""The classes of a video, by the exported model beside this file: python example.py clip.mp4"""

import json
import sys
from pathlib import Path

import av
import numpy as np
from paddle import inference

FOLDER = Path(__file__).resolve().parent
CARD = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
READ = CARD["preprocessing"]


def decode(path):
    with av.open(path) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="bgr24", interpolation="BICUBIC")[..., ::-1]
            yield np.rot90(image, frame.rotation // 90)  # upright, (height, width, 3) RGB


def resample(pixels, begin, end, size):
    """(size, pixels): how much of each pixel is in each of so many between two places; a triangle, or a box."""
    step = (end - begin) / size
    far = (np.arange(pixels) + 0.5 - begin - (np.arange(size)[:, None] + 0.5) * step) / max(step, 1)
    parts = np.maximum(1 - abs(far), 0) if READ["resampling"] == "bilinear" else (far > -0.5) & (far <= 0.5)
    return parts / parts.sum(1, keepdims=True)


def crop(image, x, y, flip):
    (height, width), short, size = image.shape[:2], READ["short_size"], READ["crop_size"]
    low, high = min(width, height), max(width, height)
    other = high if low == short else int(high * short / low if READ["keep_aspect"] else short * 4 / 3)
    scaled = (short, other) if width < height else (other, short)
    left, top = round(x * (scaled[0] - size)), round(y * (scaled[1] - size))
    across, down = width / scaled[0], height / scaled[1]
    image = np.einsum("sw,hwc->hsc", resample(width, left * across, (left + size) * across, size), image)
    image = np.einsum("sh,hwc->swc", resample(height, top * down, (top + size) * down, size), np.rint(image))
    return np.rint(image)[:, ::-1] if flip else np.rint(image)


segments, length, clips, size = (READ[key] for key in ("segments", "frames_of_a_segment", "clips", "crop_size"))
count, part = sum(1 for _ in decode(sys.argv[1])), np.arange(segments)
room = count // segments - length  # of a segment, for other places of its frames
first = [part * max(room + length, 1) + max(room, 0) * (clip + 1) // (clips + 1) for clip in range(clips)]
numbers = (np.stack(first)[..., None] + np.arange(length)) % count  # (clips, segments, frames of a segment)
frames = {number: image for number, image in enumerate(decode(sys.argv[1])) if number in numbers}
turned = len(READ["crops"]) == 3 and np.argmax(frames[numbers.flat[0]].shape) == 0  # crops along the height
crops = [[y, x, flip] if turned else [x, y, flip] for x, y, flip in READ["crops"]]
views = [[crop(frames[n], *place).transpose(2, 0, 1) for n in clip.flat] for clip in numbers for place in crops]
pixels = np.array(views).reshape(-1, 3, size, size) / 255
pixels = (pixels - np.reshape(READ["mean"], (3, 1, 1))) / np.reshape(READ["std"], (3, 1, 1))
predictor = inference.create_predictor(inference.Config(*(str(FOLDER / CARD[name]) for name in ("program", "weights"))))
predictor.get_input_handle("clips").copy_from_cpu(pixels.astype("f").reshape(len(views), segments, -1, size, size))
predictor.run()
probs = predictor.get_output_handle(CARD["outputs"][0]["name"]).copy_to_cpu().mean(axis=0)
for class_id in np.argsort(-probs, kind="stable")[:5]:
    print(f"{probs[class_id]:.6f} {class_id} {CARD['class_names'][class_id] if CARD['class_names'] else ''}")
