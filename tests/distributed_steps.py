"""Three training steps of small networks on synthetic batches, by one process or several, for tests to compare.

python -m tests.distributed_steps FOLDER PROCESSES ACCUMULATE MODEL...

FOLDER holds what ``write_eigenvalues`` makes. Leaves FOLDER/{MODEL}_{PROCESSES}x{ACCUMULATE}.npz, see ``take_steps``.
MODEL+weighted: with class weights and label smoothing, by plain descent.
"""

import sys
import zlib
from pathlib import Path

import numpy as np

import models  # noqa: F401  (registers the specs)
from datareader.dataset import Batch
from datareader.sharding import Shard
from tools.config.load import Override, load_config
from tools.distributed.launcher import follow_launcher, launch, plan_processes
from tools.registry import MODELS
from tools.runtime.entry import run_program

PROJECT = Path(__file__).resolve().parents[1]  # not from conftest.py, which loads Paddle
BATCH_SIZE = 12  # of all processes; 1, 2, 3 and 4 divide it
LEFT_OUT = ((), (1, 7), range(8))  # of each step, as broken videos are: shares of unequal size, and empty ones
WIDTHS = (24, 8)  # of the features of a frame
CHANNELS = {"TSN": 3, "STNET": 12}  # of a segment, 3 a frame
SIZES = {
    "drop_rate": 0.0,
    "feature_dims": list(WIDTHS),
    "video_feature_size": WIDTHS[0],
    "audio_feature_size": WIDTHS[1],
    "cluster_nums": [3, 2],
    "cluster_size": 4,
    "hidden_size": 16,
    "groups": 4,
    "embedding_size": 6,
    "lstm_size": 5,
    "num_classes": 7,
    "eigen_file": "eigenvals.npy",
}


def write_eigenvalues(folder: Path) -> None:
    """What a NEXTVLAD reads; made once, before several processes do."""
    np.save(folder / "eigenvals.npy", np.linspace(2, 0.1, WIDTHS[0], dtype=np.float32).reshape(-1, 1))


def read_config(name: str, folder: Path):
    """A model's demo config with small networks."""
    spec = MODELS.get(name)()
    sizes = SIZES | {"eigen_file": str(folder / "eigenvals.npy")}
    overrides = [
        Override("MODEL", key, value, "test") for key, value in sizes.items() if key in spec.schema.keys("MODEL")
    ]
    path = str(PROJECT / "configs" / "demo" / Path(spec.default_config).name)
    return spec, load_config(path, spec.schema, ["MODEL", "TRAIN"], name, overrides)


def make_video(name: str, step: int, number: int):
    """The inputs and the label of one video."""
    rng = np.random.default_rng([step, number])
    if name in CHANNELS:
        return rng.standard_normal((3, CHANNELS[name], 32, 32)), number % 7
    length = 5 if name == "AttentionCluster" else int(rng.integers(1, 7))
    label = np.zeros(7, np.float32)
    label[rng.choice(7, 2, replace=False)] = 1
    return [rng.standard_normal((length, width)) for width in WIDTHS], label


def make_batch(name: str, step: int, numbers: np.ndarray) -> Batch:
    """The videos with these numbers, without those that are left out of the step."""
    numbers = [int(number) for number in numbers if number not in LEFT_OUT[step]]
    videos = [make_video(name, step, number) for number in numbers]
    if not videos:
        return Batch([], [], [], (), None)
    contents, labels = zip(*videos, strict=True)
    if name in CHANNELS:
        inputs = (np.stack(contents),)
    elif name == "AttentionCluster":
        inputs = tuple(map(np.stack, zip(*contents, strict=True)))
    else:
        lengths = np.array([len(streams[0]) for streams in contents])
        inputs = (lengths, *map(np.concatenate, zip(*contents, strict=True)))
    names = [f"video{number}" for number in numbers]
    return Batch(names, names, [], inputs, np.stack(labels))


def split(name: str, step: int, shard: Shard, accumulate: int) -> list[Batch]:
    """A process's batches of a step."""
    numbers = shard.of_records(np.arange(BATCH_SIZE), BATCH_SIZE)
    return [make_batch(name, step, part) for part in np.split(numbers, accumulate)]


def build(name: str, folder: Path):
    """A model's network, its optimizer and its schedule.

    In float64: three steps multiply the last bit of a sum, more so where it moves a number across the kink of a ReLU,
    and Adam divides a gradient that is all rounding by its size. With float32 and other orders of sums, as other
    processors and gloo have them, weights differ by up to a tenth of what the steps change them by.
    """
    import paddle

    spec, config = read_config(name, folder)
    paddle.seed(0)
    network = spec.build_network(config)
    network.to(dtype="float64")
    if name in CHANNELS:
        calm(network)
    return network, spec.build_optimizer(config, network), spec.build_schedule(config, 10)


def calm(network) -> None:
    """Make the branches of a ResNet small beside its shortcuts.

    Fifty layers of random weights, normalised over few videos, multiply the last bit of a sum by a million in three
    steps, which then shows where the loss, in float32 always, is rounded the other way.
    """
    for name, weight in network.state_dict().items():
        if name.endswith("norm.weight"):
            weight.set_value(weight * (0.05 if "branch2c" in name else 0.5))


def take_steps(name: str, folder: Path, group, accumulate: int = 1, plain: bool = False) -> dict[str, np.ndarray]:
    """What three steps leave: "losses" (3,), "statistics0/..." after the first, and all weights by name.

    plain: change the weights by the gradients as they are, and not by the model's own rule, where they are divided by
        their size.
    """
    import paddle

    from tools.training.step import train_epoch

    name, _, weighted = name.partition("+")
    network, optimizer, schedule = build(name, folder)
    weights = paddle.to_tensor([0.5, 4.0, 1.0, 0.0, 2.0, 1.0, 3.0])
    loss_options = {"class_weights": weights, "label_smoothing": 0.1} if weighted else {}
    if plain or weighted:
        optimizer = paddle.optimizer.SGD(1.0, parameters=network.parameters())
    shard = Shard(group.rank, group.world)
    steps = [split(name, step, shard, accumulate) for step in range(len(LEFT_OUT))]
    options = {"schedule": schedule, "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0, "group": group}
    options["loss_options"] = loss_options
    found, losses = {}, []
    for step in train_epoch(network, optimizer, steps, **options):
        losses.append(step.loss)
        if step.number == 0:
            found |= {f"statistics0/{key}": value for key, value in statistics_of(network).items()}
    found |= {key: value.numpy() for key, value in network.state_dict().items()}
    return {"losses": np.array(losses), **found}


def statistics_of(network) -> dict[str, np.ndarray]:
    state = network.state_dict().items()
    return {key: value.numpy().copy() for key, value in state if key.endswith(("._mean", "._variance"))}


def main() -> int:
    folder, count, accumulate, *names = sys.argv[1:]
    processes = plan_processes(int(count), use_gpu=False)
    if processes.to_start:
        return launch(processes, Path(folder))
    follow_launcher()
    from tools.runtime.device import start_paddle

    start_paddle(1, False, False)
    from tools.distributed.group import connect

    with connect("cpu") as group:
        for name in names:
            found = take_steps(name, Path(folder), group, int(accumulate))
            group.require_same(weights={key: zlib.crc32(value.tobytes()) for key, value in found.items()})
            if group.is_first:
                np.savez(Path(folder) / f"{name}_{count}x{accumulate}.npz", **found)
    return 0


if __name__ == "__main__":
    run_program(main)
