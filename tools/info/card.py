"""A model's card as a dict, the object that --json prints of each model.

================ =======================================================================================================
name             as --model-name takes it
title, sentence  the name as the paper spells it, and what the model does; null where nobody has written a card
data, page       "clips" or "features"; the model's page in the project, null where there is none
papers           authors, title, venue, year, arxiv, doi, address; what: what of the model they describe, "" for all
config           path, and settings: section, key, meaning, expected (what it may be), required, default, value (in
                 force), published (in the model's own config); null where there is none
inputs           name, shape (of one video), dtype, values
multiply_adds    per_video: per_view times views; video: what a view is; section: whose sizes it has; frames: of a video
                 that is taken whole, else null; not_counted: why the numbers are null, else null
parameters       trained; statistics: running means and variances
layers           name ("" is the network itself), kind, parameters and statistics (name -> shape), inputs and output
                 (shapes for one view; null where the layer is not called), num_parameters, num_statistics,
                 multiply_adds (of one view)
parts            the same by part: name, num_parameters, num_statistics, multiply_adds, output
memory           bytes, about: weights; checkpoint; training_per_video; training_batch, in videos; training, all of a
                 step of one process; inference_per_video, which is null, as nobody has measured it
released         null, or data, num_classes, values_bytes, licence, here (a path), and files: address, and bytes and
                 sha256 of what is here; null where nothing is, and licence where none was published
scores           values (metric -> fraction, as printed), data, protocol, year, measured_here
speeds           what, ms (a video), processor
weights          null, or path, kind, arrays, bytes, num_classes, class_names, matched, notes, and of a checkpoint
                 epochs, steps, score (a metric), best_score, best_epoch, versions; null where it does not say
================ =======================================================================================================
"""

from dataclasses import asdict
from typing import Any

from models.feature_spec import LONGEST_VIDEO
from models.spec import LENGTHS
from tools.config.flags import PROJECT, ConfigSource, read_config
from tools.config.load import Config
from tools.config.schema import REQUIRED
from tools.errors import CheckpointError
from tools.info.subject import Subject
from tools.registry import METRICS
from tools.weights.networks import build_network
from tools.weights.released import FOLDER_VARIABLE, RELEASED, CacheEntry
from tools.weights.released_names import NUM_CLASSES

BYTES = 4  # of a float32
SECTIONS = ("TEST", "INFER", "VALID", "TRAIN")  # whose sizes a video has, the first that a config holds


def build_card(subject: Subject) -> dict[str, Any]:
    """Imports Paddle. Raises ConfigError for settings that do not fit, CheckpointError for weights that do not."""
    spec, config, known = subject.spec, subject.config, subject.spec.card
    network = subject.build()
    match = subject.match(network)
    graph = describe_graph(subject, network)
    sizes = graph["parameters"]
    page = f"{type(spec).__module__.rpartition('.')[0].replace('.', '/')}/README.md"
    return {
        "name": subject.name,
        "title": known.title if known else None,
        "sentence": known.sentence if known else None,
        "data": spec.data,
        "page": page if (PROJECT / page).is_file() else None,
        "papers": [asdict(paper) | {"address": paper.address} for paper in known.papers] if known else [],
        "config": {"path": config.path, "settings": list_keys(subject)},
        **graph,
        "memory": describe_memory(subject, **sizes),
        "released": describe_released(subject.name),
        "scores": [asdict(scores) for scores in known.scores] if known else [],
        "speeds": [asdict(speed) for speed in known.speeds] if known else [],
        "weights": describe_weights(subject, match) if match else None,
    }


def list_keys(subject: Subject) -> list[dict[str, Any]]:
    """Every key of every section, whether or not the config has it."""
    spec, config = subject.spec, subject.config
    published = read_config(ConfigSource(None), spec, subject.name, ["MODEL"], check=False)
    found = []
    for section in spec.schema.sections:
        for name, key in spec.schema.keys(section).items():
            required = key.default is REQUIRED
            found.append(
                {
                    "section": section,
                    "key": name,
                    "meaning": key.meaning,
                    "expected": f"{key.expected}{' or None' * (key.problem(None) is None)}",
                    "required": required,
                    "default": None if required else key.default,
                    "value": _value(config, section, name),
                    "published": _value(published, section, name),
                }
            )
    return found


def _value(config: Config, section: str, name: str) -> Any:
    return asdict(config[section])[name] if section in config else None


def describe_graph(subject: Subject, network) -> dict[str, Any]:
    """The fields inputs, multiply_adds, parameters, layers and parts."""
    from tools.inference.graph import GraphInput, UncountedError, examine, list_layers

    spec, config, frames = subject.spec, subject.config, LONGEST_VIDEO
    section = next((name for name in SECTIONS if name in config), None)
    facts, inputs, views = list_layers(network), [], 1
    video, problem = None, "the config has no section that says how large a clip is"
    if section or spec.data == "features":
        inputs = [
            each._replace(shape=tuple(frames if size is None else size for size in each.shape))
            for each in spec.inputs(config, section)
        ]
        video, views = spec.describe_video(config, section, frames), spec.num_views(config, section)
        batch = [GraphInput(each.name, (1, *each.shape), each.dtype) for each in inputs]
        try:
            facts, problem = examine(network, spec.graph(network), batch, rounds=frames), None
        except UncountedError as error:
            problem = str(error)
    counted = None if problem else sum(each.multiply_adds for each in facts)
    layers = [asdict(each) | {"num_parameters": each.num_parameters, "num_statistics": each.num_statistics}
              for each in facts]  # fmt: skip
    return {
        "inputs": [each._asdict() for each in inputs],
        "multiply_adds": {
            "per_video": None if problem else counted * views,
            "per_view": counted,
            "views": views,
            "video": video,
            "section": section,
            "frames": frames if any(each.name == LENGTHS for each in inputs) else None,
            "not_counted": problem,
        },
        "parameters": {
            "trained": sum(each.num_parameters for each in facts),
            "statistics": sum(each.num_statistics for each in facts),
        },
        "layers": layers,
        "parts": sum_parts(layers),
    }


def sum_parts(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers added up by the first two words of their names, each with a number behind it if any."""
    parts = {}
    for layer in layers:
        name = _part_of(layer["name"])
        part = parts.setdefault(
            name, {"name": name, "num_parameters": 0, "num_statistics": 0, "multiply_adds": 0, "output": None}
        )
        for number in ("num_parameters", "num_statistics", "multiply_adds"):
            part[number] += layer[number]
        if layer["name"] == name:
            part["output"] = layer["output"]
    numbers = ("num_parameters", "num_statistics", "multiply_adds")
    return [part for part in parts.values() if any(part[number] for number in numbers)]


def _part_of(name: str) -> str:
    taken, words = [], 0
    for word in name.split("."):
        words += not word.isdigit()
        if words > 2 or (word.isdigit() and taken[-1].isdigit()):
            break
        taken.append(word)
    return ".".join(taken)


def describe_memory(subject: Subject, trained: int, statistics: int) -> dict[str, int | None]:
    """Of one process. A step holds the weights, a gradient and the optimizer's numbers of each, and the videos."""
    spec, config = subject.spec, subject.config
    weights = BYTES * (trained + statistics)
    state = BYTES * spec.optimizer_states * trained
    per_video = spec.video_bytes(config) if "TRAIN" in config else None
    batch = config.TRAIN.batch_size if "TRAIN" in config else None
    return {
        "weights": weights,
        "checkpoint": weights + state,
        "training_per_video": per_video,
        "training_batch": batch,
        "training": weights + state + BYTES * trained + batch * per_video if batch else None,
        "inference_per_video": None,
    }


def describe_released(name: str) -> dict[str, Any] | None:
    """The weights of 2019 and 2020, and what of them is in the folder where they are kept. Raises CheckpointError."""
    item = next((item for item in RELEASED if item.name == name), None)
    if item is None:
        return None
    entry = CacheEntry.of(name)
    network = build_network(name, ConfigSource(None))
    files = []
    try:
        present = entry.present() if entry.cache.is_dir() else None
        for file in item.files:
            path = entry.cache / file
            size = path.stat().st_size if path.is_file() else None
            files.append({"address": entry.url(file), "bytes": size, "sha256": entry.noted_sum(file)})
    except OSError as error:
        raise CheckpointError(
            f"{entry.cache} cannot be read: {error}; {FOLDER_VARIABLE} names another folder"
        ) from None
    return {
        "data": item.data,
        "num_classes": NUM_CLASSES.get(item.data),
        "values_bytes": sum(BYTES * value.size for value in network.state_dict().values()),
        "licence": item.licence,
        "here": str(present) if present else None,
        "files": files,
    }


def describe_weights(subject: Subject, match) -> dict[str, Any]:
    """match: how they fit the network."""
    weights, state = subject.weights, subject.weights.state
    arrays, described = weights.file.arrays.values(), weights.described
    best, versions = state.get("best_score"), state.get("versions")
    scored = isinstance(best, int | float)
    return {
        "path": weights.file.path,
        "kind": weights.file.kind,
        "arrays": len(arrays),
        "bytes": sum(value.size * value.dtype.itemsize for value in arrays),
        "num_classes": subject.config.MODEL.num_classes,
        "class_names": described.class_names if described else None,
        "matched": len(match.matched),
        "epochs": _whole(state.get("epoch")),
        "steps": _whole(state.get("steps_taken")),
        "score": METRICS.get(subject.spec.metrics)(subject.config).score if scored else None,
        "best_score": best if scored else None,
        "best_epoch": _whole(state.get("best_epoch")),
        "versions": versions if isinstance(versions, dict) else None,
        "notes": [*weights.notes, *match.notes],
    }


def _whole(value) -> int | None:
    """A number of a state.json; None for what is none, as earlier versions left out some."""
    return value if isinstance(value, int) else None
