"""Make a small data set in the pickle format of YouTube-8M, on which attention beats averaging.

python dataset/youtube8m/make_demo.py [FOLDER]

20 classes; 1,000 training and 300 validation videos of 20 to 60 frames with one to three labels each.
Every class has a direction in feature space. A label shows in three frames of its video, and those
frames carry a mark that all labels share. About a third of the other frames show classes that are
not labels, without the mark. Averaged over the video the two can hardly be told apart; a network
that learns to attend to the mark can tell them well.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import pickle

import numpy as np

from dataset.demo import fill_folder, run_maker, total_mb
from dataset.text_files import write_lines
from tools.files.atomic import atomic_write
from tools.runtime.entry import run_program

VERSION = 3  # of the numbers; another version is replaced
WIDTHS = {"feature": 1024, "audio": 128}
CLASS_NAMES = [
    "Accordion",
    "Archery",
    "Bakery",
    "Ballet",
    "Bicycle",
    "Bonfire",
    "Carnival",
    "Cello",
    "Chess",
    "Circus",
    "Climbing",
    "Diving",
    "Fencing",
    "Fishing",
    "Harvest",
    "Juggling",
    "Kayak",
    "Parade",
    "Pottery",
    "Sailing",
]
LABEL_FRAMES = 3  # frames of a video in which each of its labels shows
DECOY_SHARE = 0.35  # of the other frames
CLASS_SIZE, MARK_SIZE, NOISE = 6.0, 6.0, 0.5  # lengths of the directions; standard deviation of the rest
SPLITS = {"train": (10, 100), "val": (3, 100)}  # files and videos a file


def make_directions(seed: int = 2019) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each feature the classes' unit directions (20, D) and the mark's (D,)."""
    rng = np.random.default_rng(seed)
    directions = {}
    for key, width in WIDTHS.items():
        rows = rng.standard_normal((len(CLASS_NAMES) + 1, width))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        directions[key] = rows[:-1], rows[-1]
    return directions


def make_video(rng: np.random.Generator, video_id: str, directions: dict) -> dict:
    """One record as YouTube-8M has them."""
    num_frames = int(rng.integers(20, 61))
    labels = np.sort(rng.choice(len(CLASS_NAMES), size=rng.integers(1, 4), replace=False))
    frames = rng.permutation(num_frames)
    shown = np.full(num_frames, -1)  # the class in each frame, -1 for none
    marked = np.zeros(num_frames)
    num_shown = LABEL_FRAMES * len(labels)
    shown[frames[:num_shown]] = np.repeat(labels, LABEL_FRAMES)
    marked[frames[:num_shown]] = 1
    decoys = frames[num_shown:][: int(DECOY_SHARE * (num_frames - num_shown))]
    others = np.setdiff1d(np.arange(len(CLASS_NAMES)), labels)
    shown[decoys] = rng.choice(others, size=len(decoys))

    record = {"video": video_id, "label": labels.tolist(), "nframes": num_frames}
    for key, (classes, mark) in directions.items():
        x = NOISE * rng.standard_normal((num_frames, WIDTHS[key]))
        x += CLASS_SIZE * np.where((shown >= 0)[:, None], classes[shown], 0)
        x += MARK_SIZE * marked[:, None] * mark
        record[key] = np.clip(np.rint((x + 2) * 255 / 4), 0, 255).astype(np.uint8)
    return record


def make_demo(folder: Path) -> None:
    """Write the pickles, their lists, the class names, and eigenvalues for NeXtVLAD's whitening. Raises DataError."""
    with fill_folder(folder, VERSION):
        folder.mkdir(parents=True, exist_ok=True)
        directions = make_directions()
        for number, (split, (num_files, num_videos)) in enumerate(SPLITS.items()):
            rng = np.random.default_rng([2019, number])
            names = [f"{split}{i:02d}.pkl" for i in range(num_files)]
            for i, name in enumerate(names):
                ids = [f"{split}{i:02d}_{j:03d}" for j in range(num_videos)]
                records = [make_video(rng, video_id, directions) for video_id in ids]
                with atomic_write(folder / name) as file:
                    pickle.dump(records, file, protocol=4)  # protocol 2 loads 40 times slower
            write_lines(folder / f"{split}.list", names)
        write_lines(folder / "class_names.txt", CLASS_NAMES)
        with atomic_write(folder / "eigenvals.npy") as file:  # the shape of YouTube-8M's; falling, as eigenvalues do
            np.save(file, np.geomspace(4, 0.25, 2048, dtype=np.float32)[:, None])


def make(folder: Path) -> str:
    """Make the demo and return a summary."""
    make_demo(folder)
    return f"1,000 training and 300 validation videos, {total_mb(folder):.0f} MB"


def main() -> None:
    run_maker(__doc__, Path(__file__), VERSION, make)


if __name__ == "__main__":
    run_program(main)
