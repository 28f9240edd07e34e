"""The classes of the videos of a pickle of features, by the exported model beside this file: python example.py FILE"""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
from paddle import inference

if len(sys.argv) != 2:
    sys.exit(__doc__)
FOLDER = Path(__file__).resolve().parent
CARD = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
READ = CARD["preprocessing"]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def read_stream(record, stream):
    """(frames, width) float32: stored bytes as the numbers that they stand for."""
    key = stream["record_key"]
    stored = record[key][: record.get("nframes")]
    if stored.dtype != np.uint8:
        return stored.astype(np.float32)
    scale, offset = stream["scale"], stream["offset"]
    if low_high := record.get(f"{key}_range"):
        scale, offset = (low_high[1] - low_high[0]) / 255, low_high[0]
    return (stored * scale + offset).astype(np.float32)


config = inference.Config(str(FOLDER / CARD["program"]), str(FOLDER / CARD["weights"]))
config.disable_glog_info()
predictor = inference.create_predictor(config)
try:
    with open(sys.argv[1], "rb") as file:
        records = pickle.load(file, encoding="bytes")  # which may run code: only what you trust
except (OSError, EOFError, pickle.UnpicklingError) as error:
    sys.exit(f"{sys.argv[1]} cannot be read as a pickle of records: {error}")
for record in [records] if isinstance(records, dict) else records:
    record = {text(key): value for key, value in record.items()}
    streams = [read_stream(record, stream) for stream in READ["streams"]]
    count = min(map(len, streams))
    if not count:
        sys.exit(f"{sys.argv[1]}: video {text(record['video'])} has no frames")
    frames = np.arange(count)
    if READ["frames"]:  # one from the middle of each of so many equal parts
        frames = (2 * np.arange(READ["frames"]) + 1) * count // (2 * READ["frames"])
    else:
        predictor.get_input_handle("lengths").copy_from_cpu(np.array([count]))
    for stream, values in zip(READ["streams"], streams, strict=True):
        predictor.get_input_handle(stream["name"]).copy_from_cpu(values[frames][None])
    predictor.run()
    probs = predictor.get_output_handle(CARD["outputs"][0]["name"]).copy_to_cpu()[0]
    print(text(record["video"]))
    for class_id in np.argsort(-probs, kind="stable")[:5]:
        print(f"{probs[class_id]:.6f} {class_id} {CARD['class_names'][class_id] if CARD['class_names'] else ''}")
