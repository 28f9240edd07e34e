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


def resample(pixels, scaled, share):
    """(SIZE, pixels): what a crop of a scaled side takes of each pixel, a triangle or a box, times 2^22, as Pillow."""
    at, ratio = round(share * (scaled - SIZE)), pixels / scaled
    begin, end = np.float32(at * ratio), np.float32((at + SIZE) * ratio)
    step = float(end - begin) / SIZE
    far = (np.arange(pixels) + 0.5 - float(begin) - (np.arange(SIZE)[:, None] + 0.5) * step) / max(step, 1)
    parts = np.maximum(1 - abs(far), 0) if READ["resampling"] == "bilinear" else (far > -0.5) & (far <= 0.5)
    return np.rint(parts / parts.sum(1, keepdims=True) * 2**22).astype(np.int64)


def crop(image, x, y, flip):
    (height, width), short, low, high = image.shape[:2], READ["short_size"], min(image.shape[:2]), max(image.shape)
    other = high if low == short else int(high * short / low if READ["keep_aspect"] else short * 4 / 3)
    scaled = (short, other) if width < height else (other, short)
    image = np.einsum("sw,hwc->hsc", resample(width, scaled[0], x), image, dtype=np.int64) + 2**21 >> 22
    image = np.einsum("sh,hwc->swc", resample(height, scaled[1], y), image) + 2**21 >> 22
    return image[:, ::-1] if flip else image


segments, length, clips = READ["segments"], READ["frames_of_a_segment"], READ["clips"]
count, part = sum(1 for _ in decode(sys.argv[1])), np.arange(segments)
room = count // segments - length  # of a segment, for other places of its frames
first = [part * max(room + length, 1) + max(room, 0) * (clip + 1) // (clips + 1) for clip in range(clips)]
numbers = (np.stack(first)[..., None] + np.arange(length)) % count  # (clips, segments, frames of a segment)
frames = {number: image for number, image in enumerate(decode(sys.argv[1])) if number in numbers}
turned = len(READ["crops"]) == 3 and np.argmax(frames[numbers.flat[0]].shape) == 0  # crops along the height
crops = [[y, x, flip] if turned else [x, y, flip] for x, y, flip in READ["crops"]]
views = [[crop(frames[n], *place).transpose(2, 0, 1) for n in clip.flat] for clip in numbers for place in crops]
mean, std = np.reshape([READ["mean"], READ["std"]], (2, 3, 1, 1))
pixels = (np.array(views).reshape(-1, 3, SIZE, SIZE) / 255 - mean) / std
config = inference.Config(str(FOLDER / CARD["program"]), str(FOLDER / CARD["weights"]))
config.disable_glog_info()
predictor = inference.create_predictor(config)
predictor.get_input_handle("clips").copy_from_cpu(pixels.astype("f").reshape(len(views), segments, -1, SIZE, SIZE))
predictor.run()
probs = predictor.get_output_handle(CARD["outputs"][0]["name"]).copy_to_cpu().mean(axis=0)
for class_id in np.argsort(-probs, kind="stable")[:5]:
    print(f"{probs[class_id]:.6f} {class_id} {CARD['class_names'][class_id] if CARD['class_names'] else ''}")
