"""What a config says for a training on own data, decided by how many videos there are and by the machine.

Each decision is a function of plain numbers that gives a value and its reason; ``decide`` makes all of them.
"""

import math
from dataclasses import dataclass

from models.spec import Choice, ModelSpec
from tools.config.load import Config
from tools.runtime.cpu import usable_cores
from tools.runtime.memory import gpu_bytes, usable_bytes
from tools.runtime.text import format_bytes

Choices = dict[tuple[str, str], Choice]  # (section, key) -> value and reason

STEPS_IN_EPOCH = 16  # or more, so that a small list is learnt in more than a few steps
# Of TSN, whose batch normalisation then sees twelve pictures; with fewer than eight its errors grow fast (Wu and He,
# "Group Normalization", arXiv:1803.08494, figure 1).
SMALLEST_BATCH = 4
MEMORY_SHARE = 0.5  # of the memory; the rest is for weights, batches read ahead, and other programs
LEAST_RATE_SHARE = 0.1  # of the published rate
STEPS_WANTED, FEWEST_EPOCHS, MOST_EPOCHS = 2000, 10, 50


@dataclass(frozen=True)
class Machine:
    """memory: bytes that one process may use, on each GPU where there are some; None where it is not known.

    gpus: how many; a batch is split over them, as each has a process.
    """

    cores: int
    memory: int | None
    gpus: int = 0


def know_machine() -> Machine:
    """The machine that this runs on, which is taken to be the one that trains."""
    gpus = gpu_bytes()
    return Machine(usable_cores(), min(gpus) or None if gpus else usable_bytes(), len(gpus))


def decide(spec: ModelSpec, published: Config, num_videos: int, machine: Machine) -> Choices:
    """What to write for all keys but those that say where the data are.

    published: the model's config in configs/, with the number of classes of these data. num_videos: in the
    training list.
    """
    train = published.TRAIN
    fits = count_fitting(spec.video_bytes(published), machine)
    batch = choose_batch(num_videos, fits, train.batch_size, machine.gpus)
    epochs = choose_epochs(num_videos, batch.value)
    chosen = {
        ("TRAIN", "batch_size"): batch,
        ("TRAIN", "learning_rate"): choose_rate(spec.rate_rule, train.learning_rate, train.batch_size, batch.value),
        ("TRAIN", "epoch"): epochs,
        **{("TRAIN", name): choice for name, choice in spec.fit_schedule(num_videos, epochs.value).items()},
    }
    for section in ("VALID", "TEST", "INFER"):
        most = published["TEST" if section == "INFER" else section].batch_size  # 2019 infers videos one by one
        chosen[section, "batch_size"] = choose_scoring_batch(fits.value, most)
    for section in ("TRAIN", "VALID", "TEST", "INFER"):
        chosen[section, "num_reader_threads"] = choose_threads(machine.cores, published[section].num_reader_threads)
    return chosen


def count_fitting(video_bytes: int, machine: Machine) -> Choice:
    """How many videos of a batch the memory holds, of all GPUs together, and in words what holds them."""
    if machine.memory is None:
        return Choice(SMALLEST_BATCH * max(machine.gpus, 1), "few, as the system does not say how much memory it has")
    each = max(int(MEMORY_SHARE * machine.memory / video_bytes), 1)
    owner = f"each of {machine.gpus} GPUs" if machine.gpus > 1 else "the GPU" if machine.gpus else "this machine"
    return Choice(
        each * max(machine.gpus, 1),
        f"half of the {format_bytes(machine.memory)} of {owner} holds {each}, at {format_bytes(video_bytes)} a video",
    )


def choose_batch(num_videos: int, fits: Choice, published: int, gpus: int) -> Choice:
    """Videos in a training batch: few enough for the list and the memory; a size that leaves few videos out."""
    for_steps = max(num_videos // STEPS_IN_EPOCH, SMALLEST_BATCH)
    most, reason = min(
        (for_steps, f"so that an epoch of {num_videos} videos has steps enough to learn by"),
        (fits.value, fits.reason),
        (published, "as published"),
    )
    most, parts = min(most, num_videos), max(gpus, 1)
    sizes = [size for size in range(most, most // 2, -1) if size % parts == 0] or [min(parts, num_videos)]
    size = min(sizes, key=lambda size: (num_videos % size, -size))
    left_out = num_videos % size
    rest = f"; {left_out} of the {num_videos}, others in each epoch, do not fill a batch" if left_out else ""
    split = f"; a multiple of {gpus} GPUs" if gpus > 1 else ""
    return Choice(size, f"{reason}{split}{rest}")


def choose_rate(rule: str, published: float, published_batch: int, batch: int) -> Choice:
    """The learning rate for a batch size, from the published rate for the published one.

    With "linear", k times the batch has k times the rate: Goyal et al., "Accurate, Large Minibatch SGD"
    (arXiv:1706.02677), section 2.1. With "square root" it has the root of k times the rate, as Malladi et al. derive
    for Adam and RMSProp (arXiv:2205.10287). Neither was made for batches of a few videos, where they would hardly
    move the weights. The least is a tenth of the published rate, which is our choice: for TSN and STNET it is 0.001, a
    common rate for fine-tuning on UCF101 (TSM's script finetune_tsm_ucf101_rgb_8f.sh has it, with batches of 64).
    """
    factor = batch / published_batch
    scaled = published * (factor if rule == "linear" else math.sqrt(factor))
    least = published * LEAST_RATE_SHARE
    sources = {"linear": "arXiv:1706.02677, section 2.1", "square root": "arXiv:2205.10287, for adaptive optimizers"}
    origin = f"{published:g} for batches of {published_batch}, as published"
    if batch == published_batch:
        return Choice(published, origin)
    text = f"{origin}; the {rule} rule ({sources[rule]}) gives {scaled:.2g} for {batch}"
    if scaled < least:
        text += ", and a tenth of the published rate is the least, as is usual for fine-tuning"
    return Choice(float(f"{max(scaled, least):.2g}"), text)


def choose_epochs(num_videos: int, batch_size: int) -> Choice:
    """As many as make STEPS_WANTED steps, between FEWEST_EPOCHS and MOST_EPOCHS."""
    steps = num_videos // batch_size
    epochs = min(max(math.ceil(STEPS_WANTED / steps), FEWEST_EPOCHS), MOST_EPOCHS)
    return Choice(
        epochs,
        f"{epochs * steps} steps, {steps} an epoch; about {STEPS_WANTED} are wanted, in {FEWEST_EPOCHS} to "
        f"{MOST_EPOCHS} epochs. The best epoch is kept, and --early-stop ends a run that no longer gets better",
    )


def choose_scoring_batch(fits: int, published: int) -> Choice:
    """Videos in a batch that is only scored: as published, where so many fit in training, which takes more memory."""
    reason = "matters for speed alone: all videos are scored, the last batch may be smaller"
    return Choice(min(fits, published), reason)


def choose_threads(cores: int, published: int) -> Choice:
    """Threads that read ahead: one a core, and no more than published, as each holds a batch."""
    threads = min(cores, published)
    return Choice(
        threads, f"one for each of {cores} cores" if threads == cores else "as published; there are more cores"
    )
