"""Data sets of any size without their data: what planning an epoch costs each of many processes.

Lists, index and plans are made by the same code that trains; only the files are empty, or as good as that.
"""

import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datareader.clips.dataset import ClipDataset
from datareader.clips.settings import ClipSettings
from datareader.dataset import Dataset
from datareader.features.dataset import FeatureDataset
from datareader.features.index import FileIndex, build_index, cache_of, index_records
from datareader.features.inputs import RaggedFrames
from datareader.features.records import Expected
from datareader.lists import load_list
from datareader.loader import TrainingLoader
from datareader.sharding import Shard
from datareader.transforms import DEQUANTIZED
from tools.benchmark.timing import peak_memory_mb
from tools.runtime.workers import call_in_process

NUM_SHARDS, NUM_RECORDS = 3844, 3_900_000  # of YouTube-8M's frame features for training
NUM_CLIPS = 240_000  # of Kinetics-400 for training
_EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=3862)


def _box(name: bytes, content: bytes) -> bytes:
    """A part of an mp4: ISO 14496-12, 4.2."""
    return struct.pack(">I4s", 8 + len(content), name) + content


_HANDLER = _box(b"hdlr", bytes(8) + b"vide" + bytes(13))
# What the first look reads of a video, and frames that nothing reads.
_MP4 = (
    _box(b"ftyp", b"isom" + bytes(4))
    + _box(b"moov", _box(b"trak", _box(b"mdia", _HANDLER)))
    + _box(b"mdat", bytes(1024))
)
_CLIPS = ClipSettings(
    num_classes=400, seg_num=3, seglen=1, short_size=256, target_size=224, image_mean=(0,) * 3, image_std=(1,) * 3
)


def simulate_world(world: int, batch_size: int) -> dict[str, float]:
    """Plans of both kinds of data set at full size for so many processes. batch_size: of each process."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, path, open_dataset in (
            ("YouTube-8M", make_feature_list(Path(folder), NUM_SHARDS, NUM_RECORDS), open_features),
            ("Kinetics-400", make_clip_list(Path(folder), NUM_CLIPS), open_clips),
        ):
            found = call_in_process(measure_process, open_dataset, path, world, batch_size)
            found |= compare_processes(open_dataset(path), world, batch_size)
            figures |= {f"{title}: {name}": value for name, value in found.items()}
    return figures


def make_feature_list(folder: Path, num_files: int, num_records: int) -> str:
    """A list of empty files, and an index that says how many frames each of their records has: 120 to 300."""
    rng = np.random.default_rng(0)
    names = [f"train{number:04}.pkl" for number in range(num_files)]
    for name in names:
        (folder / name).touch()
    sizes = rng.multinomial(num_records, np.full(num_files, 1 / num_files))
    synthetic = {str(folder / name): _index_file(rng, size) for name, size in zip(names, sizes, strict=True)}
    path = folder / "features.list"
    path.write_text("\n".join(synthetic) + "\n")
    cache = cache_of(str(path), _EXPECTED)
    build_index(str(path), load_list(str(path)), repr(_EXPECTED), synthetic.__getitem__, cache)
    return str(path)


def _index_file(rng: np.random.Generator, num_records: int) -> FileIndex:
    """Of records with three labels each, as YouTube-8M's have on average."""
    groups = _EXPECTED.num_classes // 3
    ids = rng.integers(0, groups, (num_records, 3)) + groups * np.arange(3)
    return index_records(rng.integers(120, 301, num_records), ids)


def open_features(list_path: str) -> FeatureDataset:
    """The dataset of such a list, for training in batches of similar length."""
    arrange = RaggedFrames([DEQUANTIZED] * 2)
    return FeatureDataset(list_path, _EXPECTED, arrange, training=True, skip_broken=0, sort_by_length=True)


def make_clip_list(folder: Path, num_clips: int) -> str:
    """A list of so many videos of 400 classes, which were looked at before.

    Each class has one file, named as often as there are videos.
    """
    files = []
    for number in range(400):
        files.append(folder / f"class_of_videos_{number:03}" / "0347ZoDXyP0_000095_000105.mp4")
        files[-1].parent.mkdir()
        files[-1].write_bytes(_MP4)
    path = folder / "clips.list"
    path.write_text("".join(f"{files[i % 400]} {i % 400}\n" for i in range(num_clips)))
    open_clips(str(path))
    return str(path)


def open_clips(list_path: str) -> ClipDataset:
    """The dataset of such a list, for training."""
    entries = load_list(list_path, labelled=True)
    cache = f"{list_path}.looked.npz"
    return ClipDataset(entries, _CLIPS, name=list_path, training=True, skip_broken=0, cache=cache)


def plan(dataset: Dataset, shard: Shard, batch_size: int) -> list[np.ndarray]:
    """The numbers of the records in each batch of an epoch of one process. batch_size: of each process."""
    loader = TrainingLoader(dataset, batch_size * shard.world, num_workers=0, as_float=True, shard=shard)
    return loader.plan(epoch=0)


def measure_process(open_dataset: Callable, list_path: str, world: int, batch_size: int) -> dict[str, float]:
    """CPU seconds and memory in MB of one process, the last of ``world``. Call it in a process of its own."""
    before = peak_memory_mb()
    began = time.process_time()
    dataset = open_dataset(list_path)
    opened = time.process_time()
    batches = plan(dataset, Shard(world - 1, world), batch_size)
    with dataset.open(batches, 0, 0):  # looks up the files of each batch
        planned = time.process_time()
    return {
        "opening list and index, CPU s": opened - began,
        "planning an epoch, CPU s": planned - opened,
        "memory of a process, MB": peak_memory_mb() - before,
    }


def compare_processes(dataset: Dataset, world: int, batch_size: int) -> dict[str, float]:
    """The plans of all processes side by side, each worked out by itself."""
    times_read = np.zeros(len(dataset), dtype=np.int64)
    steps, records, opened, held = [], [], [], []
    for rank in range(world):
        batches = plan(dataset, Shard(rank, world), batch_size)
        steps.append(len(batches))
        mine = np.concatenate(batches)
        records.append(len(mine))
        np.add.at(times_read, mine, 1)
        files = [dataset.files_of(batch) for batch in batches]
        opened.append(len(np.unique(np.concatenate(files))))
        held.append(_most_at_once(files))
    return {
        "steps of a process, fewest": min(steps),
        "steps of a process, most": max(steps),
        "records of a process, fewest": min(records),
        "records of a process, most": max(records),
        "records read twice": int((times_read > 1).sum()),
        "records left out": int((times_read == 0).sum()),
        "files opened by a process, mean": float(np.mean(opened)),
        "files opened by a process, most": max(opened),
        "files opened in all": sum(opened),
        "files in memory at once, most": max(held),
    }


def _most_at_once(files_of: list[np.ndarray]) -> int:
    """The most files that any batch finds in memory: from a file's first batch to its last."""
    first, last = {}, {}
    for place, files in enumerate(files_of):
        for file in files.tolist():
            first.setdefault(file, place)
            last[file] = place
    change = np.zeros(len(files_of) + 1, dtype=np.int64)
    np.add.at(change, list(first.values()), 1)
    np.add.at(change, [place + 1 for place in last.values()], -1)
    return int(np.cumsum(change).max())
