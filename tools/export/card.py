"""What model.json tells of an exported model: what it takes and gives, and how videos become that."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datareader.clips.settings import build_clip_settings
from datareader.features.inputs import choose_inputs
from datareader.features.records import RECORD_KEYS
from datareader.transforms import DEQUANTIZED
from models.spec import InputArray
from tools.files.sums import sha256_of
from tools.inference.deployed import FORMAT, PROGRAM, VERSION, WEIGHTS
from tools.runtime.packages import VERSION as PROJECT_VERSION
from tools.runtime.packages import find_installed
from tools.weights.advice import WEIGHTS as OF_CHECKPOINT
from tools.weights.files import CHECKPOINT, WeightFile

OUTPUTS = ("probabilities", "logits")
SECTION = "INFER"


def describe_inputs(inputs: Sequence[InputArray]) -> list[dict[str, Any]]:
    return [
        {
            "name": part.name,
            "shape": ["videos", *("frames" if size is None else size for size in part.shape)],
            "dtype": part.dtype,
            "usual_range": [part.low, part.high],
            "values": part.values,
        }
        for part in inputs
    ]


def describe_outputs(num_classes: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """names: as the program calls them."""
    return [
        {"name": name, "holds": holds, "shape": ["videos", num_classes], "dtype": "float32"}
        for name, holds in zip(names, OUTPUTS, strict=True)
    ]


def describe_preprocessing(spec, config) -> dict[str, Any]:
    """How a video, or its features, become the program's inputs, in numbers; examples/ go by it."""
    return _describe_clips(config) if spec.data == "clips" else _describe_features(spec, config)


def _describe_clips(config) -> dict[str, Any]:
    settings = build_clip_settings(config, SECTION)
    return {
        "colours": "RGB, upright, 0 to 255",
        "segments": settings.seg_num,
        "frames_of_a_segment": settings.seglen,
        "frame_rule": "with n frames and d = n // segments, segment i begins at frame i * d + "
        "(d - frames_of_a_segment) // 2, or at i * max(d, 1) where d < frames_of_a_segment; its frames follow one "
        "another, modulo n",
        "short_size": settings.short_size,
        "keep_aspect": settings.keep_aspect,
        "size_rule": "a frame whose short side is short_size stays; else its short side becomes short_size, and its "
        "long side int(long * short_size / short), or without keep_aspect int(short_size * 4 / 3)",
        "resampling": "box" if settings.fast_decode else "bilinear",
        "resampling_rule": "as wide as a step, so that every pixel counts, across and then down, rounded to whole "
        "numbers after each, as Pillow does",
        "crop_size": settings.target_size,
        "crop_rule": "the middle, as wide as high",
        "mean": list(settings.image_mean),
        "std": list(settings.image_std),
        "value_rule": "(value / 255 - mean) / std of each colour",
        "layout": "clips: (videos, segments, frames of a segment x 3 colours, height, width)",
    }


def _describe_features(spec, config) -> dict[str, Any]:
    model, arrange = config.MODEL, choose_inputs(spec.reader, config)
    tables = arrange.tables if model.seg_num is None else [DEQUANTIZED] * len(model.feature_names)
    return {
        "streams": [
            {
                "name": name,
                "record_key": RECORD_KEYS[name],
                "width": width,
                "scale": 4 / 255,
                "offset": _offset(table),
            }
            for name, width, table in zip(model.feature_names, model.feature_dims, tables, strict=True)
        ],
        "value_rule": "a stored byte stands for byte * scale + offset, or for a number of the record's own range; "
        "float16 stands for itself. Whitening, where the network has one, is in the program",
        "frames": model.seg_num,
        "frame_rule": "all frames, in lengths how many; the rest of a row is ignored"
        if model.seg_num is None
        else "of n frames (2 * i + 1) * n // (2 * frames), i from 0",
        "layout": "(videos, frames, width) of each stream",
    }


def _offset(table: np.ndarray) -> float:
    """What a byte of 0 stands for, as the project's table rounds it to float32."""
    return 4 / 512 - 2 if table[0] == DEQUANTIZED[0] else -2.0


def describe_weights(weights: WeightFile, network) -> dict[str, Any]:
    """Where they are from, as a name alone, with the sums of files and of the values that the network has."""
    path = Path(weights.path)
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(np.ascontiguousarray(value.numpy()))
    if path.is_dir():
        names = [OF_CHECKPOINT] if weights.kind == CHECKPOINT else sorted(map(str, weights.arrays))
        files = [path / name for name in names if (path / name).is_file()]
    else:
        files = [path]
    return {
        "name": path.resolve().name,
        "kind": weights.kind,
        "sha256": {file.name: sha256_of(file) for file in files},
        "sha256_of_values": digest.hexdigest(),
    }


def describe_model(spec, config, name: str, names: list[str] | None, inputs: Sequence[InputArray]) -> dict[str, Any]:
    """What is known before the program is written."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": name,
        "num_classes": config.MODEL.num_classes,
        "class_names": names,
        "program": PROGRAM,
        "weights": WEIGHTS,
        "inputs": describe_inputs(inputs),
        "preprocessing": describe_preprocessing(spec, config),
        "made_by": {"project": PROJECT_VERSION, "paddle": find_installed("paddlepaddle")[1]},
    }
