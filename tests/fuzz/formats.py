"""The formats that the project reads: seeds, readers and, where something tells right content, oracles."""

import io
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from datareader.caches import load_cache
from datareader.class_names import load_class_names
from datareader.clips.files import decode_image, open_clip
from datareader.clips.settings import ClipSettings
from datareader.clips.views import decode_views
from datareader.features.tfrecord import Problem, read_tfrecord
from datareader.lists import ListEntry, read_lines
from dataset.kinetics.annotations import load_annotations
from models.tsn import spec as _tsn  # noqa: F401  (registers the model)
from tests.conftest import PROJECT
from tests.datareader.clips.synthetic import TINY, encode_jpeg, make_frames, write_video
from tests.datareader.features.small_records import small_records
from tests.fuzz.slow_pickles import as_plain, load_slowly
from tests.fuzz.slow_torch import as_shown, load_safetensors_slowly, load_stream_slowly
from tests.sequence_examples import write_shard
from tests.tools.files.small_archives import SAMPLE, content_of
from tests.tools.files.tensorflow.goldens import CONSTANTS, FIRST, GRAPH, SECOND, SHAPES, shapes_of
from tests.tools.files.tensorflow.reference_graph import read_slowly
from tests.torch_files import safetensors_content, stream_content, tensors, zip_content
from tools.config.load import load_config
from tools.files.archives import extract
from tools.files.arrays import NoArrayError, load_npy, load_npz
from tools.files.kept_arrays import ArrayStore, Named
from tools.files.pickles import load_data_pickle
from tools.files.tensorflow.checkpoints import load_variables
from tools.files.tensorflow.graph_def import load_constants
from tools.registry import MODELS
from tools.runtime.text import decode_text
from tools.training.history import History
from tools.weights.checkpoint_files import load_dict
from tools.weights.fluid_files import read_file
from tools.weights.safetensors_files import load_safetensors
from tools.weights.torch_files import load_torch

SETTINGS = ClipSettings(**TINY)
RECORDS = small_records(3)


@dataclass(frozen=True)
class Format:
    """seeds: contents of files. read: of a path. is_right: of what was read, and the content it was read from.

    refusals: errors other than ZooError that callers make one of.
    """

    suffix: str
    seeds: list[bytes]
    read: Callable[[Path], object]
    is_right: Callable[[object, bytes], bool] = lambda value, content: True
    refusals: tuple[type[Exception], ...] = ()


def in_file(write: Callable[[Path], object], suffix: str = "") -> bytes:
    """What a function writes to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        write(path)
        return path.read_bytes()


def read_clip(path: Path):
    clip = open_clip(ListEntry(str(path), label=1), SETTINGS)
    shape = (1, SETTINGS.seg_num, 3 * SETTINGS.seglen, SETTINGS.target_size, SETTINGS.target_size)
    return clip.video_id, decode_views(np.empty(shape, np.uint8), clip, SETTINGS, None).num_frames


def as_read_slowly(value, content: bytes) -> bool:
    return as_plain(value) == as_plain(load_slowly(content))


def is_a_clip_read_slowly(value, content: bytes) -> bool:
    video_id, _, frames = load_slowly(content)
    return value == (decode_text(video_id), len(frames))


def has_these_lines(value, content: bytes) -> bool:
    lines = enumerate(re.split("\r\n|\n|\r", content.decode("utf-8-sig")), start=1)
    return value == [(number, line.strip()) for number, line in lines if line.strip()[:1] not in ("", "#")]


def unpack(path: Path) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        extract(path, Path(folder) / "out", "x")
        return {each.name: each.read_bytes() for each in Path(folder).rglob("*") if each.is_file()}


def read_history(path: Path) -> int:
    history = History(path)
    history.update()
    return len(history.steps) + len(history.epochs)


def read_config(path: Path):
    spec = MODELS.get("TSN")()
    return load_config(str(path), spec.schema, ["MODEL", "TRAIN"], "TSN")


def compare_npy(value: np.ndarray, content: bytes) -> bool:
    with np.errstate(all="ignore"):
        return value.tobytes() == np.load(io.BytesIO(content), allow_pickle=False).tobytes()


def of_pytorch() -> Format:
    def is_right(value: dict, content: bytes) -> bool:
        if content.startswith(b"PK"):  # each of its files has a checksum
            return value.keys() == expected.keys() and as_shown(value) == as_shown(expected)
        return as_shown(value) == load_stream_slowly(content)

    expected = {name: np.asarray(array, "f4" if array.dtype.kind == "f" else None) for name, array in TENSORS.items()}
    wrapped = {"epoch": 3, "state_dict": tensors(TENSORS), "arch": "resnet50"}
    seeds = [zip_content(tensors(TENSORS)), stream_content(tensors(TENSORS)), zip_content(wrapped)]
    return Format(".pth", seeds, lambda path: load_torch(path)[0], is_right)


def of_safetensors() -> Format:
    return Format(
        ".safetensors", [safetensors_content(TENSORS)],
        lambda path: {name: np.asarray(value) for name, value in load_safetensors(path)[0].items()},
        lambda value, content: as_shown(value) == load_safetensors_slowly(content),
    )  # fmt: skip


TENSORS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "half": np.arange(3, dtype=np.float16),
    "bn1.num_batches_tracked": np.int64(3),
}
ARRAYS = {"numbers": np.arange(40, dtype=np.int32), "names": np.array(["a", "bc"])}
WEIGHTS = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.arange(4, dtype=np.float32)}
LIST = b"a.mp4 3\n# no\nfolder of/b c.pkl 4\r\n\n\xe6\x89\x93.mp4\t0\n"
CSV = b'Index,Name,Other\n0,Dance,x\n1,"a, b",y\n4,\xe6\x89\x93,z\n'
KINETICS = b'label,youtube_id,time_start,time_end,split\n"a, b",--x3,3,13,train\ndance,0123,1,2,val\n'
RUN_LOG = (
    b'{"event": "start", "time": 1.5, "flags": {"--lr": 0.1}}\n'
    b'{"event": "train_step", "epoch": 0, "iter": 3, "loss": 2.5, "time": 2, "steps_taken": 4}\n'
    b'{"event": "train_epoch", "epoch": 0, "loss": 2.5, "time": 3}\n'
    b'{"event": "valid_epoch", "epoch": 0, "loss": NaN, "hit1": 0.5, "time": 4}\n{"event": "end", "time": 5}\n'
)


def feature_pickles(protocols=(0, 2, 4)) -> Format:
    return Format(
        ".pkl", [pickle.dumps(RECORDS, i) for i in protocols], lambda path: load_data_pickle(str(path)), as_read_slowly
    )


def without_label(record: dict) -> dict:
    return {key: np.asarray(record[key]).tolist() for key in ("video", "feature", "audio")}


def shards() -> Format:
    def is_right(value, content: bytes) -> bool:  # a record has checksums
        records = [
            {"video": item["video"], **{key: item[key].tolist() for key in ("feature", "audio")}} for item in value
        ]
        return all(record in right for record in records)

    def read(path: Path) -> list[dict]:
        return [item for item in read_tfrecord(str(path)) if not isinstance(item, Problem)]

    right = [without_label(record) for record in RECORDS]
    return Format(".tfrecord", [in_file(lambda path: write_shard(path, RECORDS))], read, is_right)


def clip_pickles() -> Format:
    frames = [encode_jpeg(frame) for frame in make_frames(4)]
    return Format(".pkl", [pickle.dumps(("id", 3, frames), i) for i in (2, 3, 4)], read_clip, is_a_clip_read_slowly)


def videos(suffix: str) -> Format:
    return Format(suffix, [in_file(lambda path: write_video(path, make_frames(12)), suffix)], read_clip)


def pictures() -> Format:
    frame = make_frames(1)[0]
    png = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()

    def is_right(value, content: bytes) -> bool:  # a PNG has checksums, and no losses
        return content.startswith(b"\xff\xd8") or np.array_equal(value, frame)

    return Format(".jpg", [encode_jpeg(frame), png], lambda path: decode_image(path.read_bytes(), "x"), is_right)


def graphs() -> Format:
    wanted = shapes_of(CONSTANTS)

    def is_right(value, content: bytes) -> bool:  # a graph has no checksums
        return as_bytes(value) == as_bytes(read_slowly(content, wanted))

    return Format(".pb", [GRAPH.read_bytes()], lambda path: load_constants(path, wanted), is_right)


def kept_arrays() -> Format:
    names = {str(i).encode(): Named(f"clip {i}", np.full((2, 300), i, np.float32)) for i in range(6)}

    def open_set(path: Path):
        return ArrayStore(path, 10**6).open_set(b"weights", (2, 300))

    def is_right(value, content: bytes) -> bool:  # each array has a checksum
        return all((name, array.tobytes()) == (names[key][0], names[key][1].tobytes()) for key, (name, array) in value)

    seed = in_file(lambda path: open_set(path).keep(names), ".sqlite")
    return Format(".sqlite", [seed], lambda path: [*open_set(path).find(names).items()], is_right)


def as_bytes(arrays: dict[str, np.ndarray]) -> dict[str, tuple]:
    """Every bit but those of a NaN, which Python's floats make a quiet one, as in the slow reader."""
    return {name: (array.dtype.str, array.shape, quieten(array).tobytes()) for name, array in arrays.items()}


def quieten(array: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(array), array.dtype.type("nan"), array) if array.dtype.kind == "f" else array


def checkpoints(damaged: str) -> Format:
    """damaged: which of the files of version 2, or of version 1."""
    right = as_bytes(load_variables(FIRST, SHAPES))

    def read(path: Path) -> dict[str, np.ndarray]:
        if path.suffix == ".ckpt":
            return load_variables(path, SHAPES)
        prefix = path.with_name(path.name.removesuffix(damaged))
        for other in {".index", ".data-00000-of-00001"} - {damaged}:
            shutil.copyfile(f"{SECOND}{other}", f"{prefix}{other}")
        return load_variables(prefix, SHAPES)

    seed = FIRST if damaged == FIRST.suffix else Path(f"{SECOND}{damaged}")
    return Format(damaged, [seed.read_bytes()], read, lambda value, content: as_bytes(value) == right)


FORMATS: dict[str, Callable[[], Format]] = {
    "pickles of features": feature_pickles,
    "shards": shards,
    "pickles of frames": clip_pickles,
    **{f"videos in {suffix}": partial(videos, suffix) for suffix in (".mp4", ".mkv", ".avi", ".mov")},
    "pictures": pictures,
    "weights": lambda: Format(
        ".pdparams", [pickle.dumps(WEIGHTS, i) for i in (2, 4)], load_dict, as_read_slowly
    ),
    "weights of PyTorch": of_pytorch,
    "weights in safetensors": of_safetensors,
    "weights of Fluid": lambda: Format("", list(content_of(SAMPLE).values())[:6], read_file),
    "archives": lambda: Format(
        ".tar.gz", [SAMPLE], unpack, lambda value, content: value.items() <= content_of(SAMPLE).items()
    ),
    "lists": lambda: Format(".list", [LIST], lambda path: read_lines(str(path)), has_these_lines),
    "configs": lambda: Format(".txt", [(PROJECT / "configs/demo/tsn.txt").read_bytes()], read_config),
    "class names": lambda: Format(".txt", [b"a\nb\n\xe6\x89\x93\nd\ne\n"], lambda path: load_class_names(str(path), 5)),
    "class names in CSV": lambda: Format(".csv", [CSV], lambda path: load_class_names(str(path), 5)),
    "annotations": lambda: Format(".csv", [KINETICS], lambda path: load_annotations(str(path))),
    "caches": lambda: Format(
        ".npz", [in_file(lambda path: np.savez(path, **ARRAYS), ".npz")],
        lambda path: load_cache(path, lambda arrays: {name: arrays[name] for name in ARRAYS}, quiet=True),
        lambda value, content: value is None or as_plain(value) == as_plain(ARRAYS),
    ),
    "NumPy arrays": lambda: Format(
        ".npy", [in_file(lambda path: np.save(path, np.arange(12.0).reshape(3, 4)), ".npy")], load_npy, compare_npy,
        (NoArrayError,),
    ),
    "NumPy archives": lambda: Format(
        ".npz", [in_file(partial(save, **ARRAYS), ".npz") for save in (np.savez, np.savez_compressed)],
        lambda path: load_npz(path, ARRAYS, 10_000), lambda value, content: as_plain(value) == as_plain(ARRAYS),
        (NoArrayError,),
    ),
    "graphs of TensorFlow": graphs,
    "checkpoints of TensorFlow, version 1": partial(checkpoints, ".ckpt"),
    "checkpoints of TensorFlow, version 2": partial(checkpoints, ".index"),
    "data of checkpoints of TensorFlow": partial(checkpoints, ".data-00000-of-00001"),
    "kept arrays": kept_arrays,
    "logs of runs": lambda: Format(".jsonl", [RUN_LOG], read_history),
}  # fmt: skip
