"""Settings of a training that may not be what was meant, as lines for its log."""

from tools.config.load import Config

_MANY = 8  # cores of a machine whose processes are worth a try
_FEW = 0.03  # of an epoch's records: so many may be left out without a word


def compare_rate(config: Config) -> list[str]:
    """A line where the command line changes the batch size and leaves the learning rate as the config has it.

    The rate that it names follows the linear rule of Goyal et al., "Accurate, Large Minibatch SGD" (arXiv:1706.02677),
    section 2.1: k times the batch, k times the rate.
    """
    train, former = config.TRAIN, config.replaced.get(("TRAIN", "batch_size"))
    if not isinstance(former, int) or former < 1 or former == train.batch_size:
        return []
    if ("TRAIN", "learning_rate") in config.replaced:
        return []
    scaled = train.learning_rate * train.batch_size / former
    return [
        f"{config.where('TRAIN')}: learning_rate = {train.learning_rate:g} stands beside batch_size = {former}; for "
        f"batches of {train.batch_size} the linear rule (arXiv:1706.02677, section 2.1) gives {scaled:.3g}, which "
        "--learning-rate would set"
    ]


def count_left_out(num_records: int, batch_size: int, parts: int) -> list[str]:
    """A line where a good part of the records does not fill a batch and is not read in an epoch.

    parts: a batch size has to be a multiple of this. One much smaller than what was asked for is not recommended.
    """
    left_out = num_records % batch_size
    if left_out <= _FEW * num_records:
        return []
    sizes = range(batch_size, batch_size // 2, -parts)
    better = next((size for size in sizes if num_records % size <= _FEW * num_records), None)
    share = f"{100 * left_out / num_records:.0f} %"
    advice = f"; --batch-size {better} would leave out {num_records % better}" if better else ""
    return [
        f"[TRAIN] {left_out} of {num_records} records ({share}), others in each epoch, are "
        f"not read: they do not fill a batch of {batch_size}{advice}"
    ]


def compare_unfreezing(config: Config, unfreeze_at: int | None) -> list[str]:
    """A line where --unfreeze-at names an epoch that does not come."""
    epochs = config.TRAIN.epoch
    if unfreeze_at is None or unfreeze_at < epochs:
        return []
    return [
        f"--unfreeze-at {unfreeze_at} does not come: the last of {epochs} epochs is {epochs - 1}, and the backbone "
        "stays frozen to the end"
    ]


def compare_balancing(config: Config) -> list[str]:
    """A line where rare classes are made up for twice, in the loss and in what is drawn."""
    train = config.TRAIN
    if train.class_weights != "balanced" or train.sampling != "balanced":
        return []
    return [
        f'{config.where("TRAIN")}: class_weights = "balanced" stands beside sampling = "balanced", which makes up for '
        "rare classes already; one of them is usual"
    ]


def suggest_processes(name: str, num_cores: int, conv_engine: str) -> list[str]:
    """A line where one process of a network of clips has many cores, which several processes use better.

    Two processes of one thread took 0.89 of the time of two threads for TSN, and 1.16 for AttentionCluster, which
    exchanges 231 MB of gradients a step (AMD EPYC with AVX2, Paddle 3.3.1): what models on features have is not worth
    a word.
    """
    if num_cores < _MANY or conv_engine != "paddle":
        return []
    return [
        f"one process has {num_cores} cores; --nproc 2, or more, may train {name} faster on them (two processes of "
        "TSN took 0.89 of the time of one on two cores), and normalises each process's share of a batch by itself"
    ]
