"""What the three scripts do between reading the command line and their loops."""

from collections import Counter
from collections.abc import Callable
from functools import reduce
from operator import or_
from pathlib import Path

from tools.config.load import Config
from tools.errors import CheckpointError, ConfigError, DataError, DownloadError
from tools.registry import MODELS, READERS
from tools.runtime.cpu import load_paddle, tune_cpu
from tools.training.checkpoint import AVERAGED
from tools.weights.files import WeightFile, load_weights
from tools.weights.loading import load_into_network
from tools.weights.released import RESNET50, find_released


def open_dataset(model_name: str, config: Config, section: str, *, training: bool, skip_broken: int, log: Callable):
    """The dataset of a section, with a line on its size and one on every record left out, now or later."""
    dataset = READERS.get(MODELS.get(model_name).reader)(config, section, training=training, skip_broken=skip_broken)
    log(f"[{section}] {len(dataset)} records in {dataset.name}")
    for notice in dataset.notices:
        log(f"[{section}] {notice}")
    for text in dataset.broken:
        log(f"[{section}] skipped: {text}")
    told = set(dataset.broken)

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            log(f"[{section}] skipped: {text}")

    dataset.on_broken = tell
    return dataset


def check_batch_size(batch_size: int, processes: int, accumulate: int) -> None:
    """Every process has equally many videos of a batch, in equal parts. Raises ConfigError with sizes that work."""
    parts = processes * accumulate
    if batch_size % parts:
        below = batch_size // parts * parts
        sizes = " or ".join(str(size) for size in (below, below + parts) if size)
        shares = f"{processes} processes" if processes > 1 else "1 process"
        shares += f" with --accumulate {accumulate}" * (accumulate > 1)
        raise ConfigError(f"TRAIN.batch_size = {batch_size} does not split over {shares}; --batch-size {sizes} does")


def gather_broken(group, dataset, skip_broken: int) -> list[str]:
    """What all processes of this run have left out so far; complete in the first, which tells of it.

    Raises DataError there for more than ``skip_broken``, as each process only counts its own.
    """
    gathered = group.gather(list(dataset.broken)) or [dataset.broken]
    # What several processes have left out counts once; what a list names twice counts twice.
    broken = list(reduce(or_, map(Counter, gathered)).elements())
    if group.is_first:
        for text in broken:
            dataset.on_broken(text)
    if group.is_first and len(broken) > skip_broken:
        raise DataError(
            f"{len(broken)} records of {dataset.name} are broken, in all processes together, and --skip-broken "
            f"{skip_broken} skips fewer; the last is {broken[-1]}"
        )
    return broken


def require_records(num_videos: int, dataset) -> None:
    """Raise DataError for an evaluation that nothing is left of."""
    if not num_videos:
        raise DataError(f"none of the {len(dataset)} records of {dataset.name} can be read")


def start_paddle(threads: int | None, use_gpu: bool | None, gpu_wanted: bool, log: Callable, processes: int = 1) -> str:
    """Tune the CPU, import Paddle, choose the device: "gpu" or "cpu". processes: of this run on this machine."""
    log(tune_cpu(threads, processes))
    load_paddle()
    from tools.runtime.device import choose_device  # imports Paddle

    return choose_device(use_gpu, gpu_wanted, log)


def find_weights(args, model_name: str, log: Callable) -> WeightFile:
    """What --weights names, or else the released weights of the model, fetched once."""
    if args.weights:
        if (averaged := Path(args.weights) / AVERAGED).is_file():
            log(f"{args.weights} holds averaged weights too, which --weights {averaged} takes")
        return load_weights(args.weights, model_name)
    path = find_released(model_name, weights_dir=args.weights_dir, offline=args.offline, log=log)
    log(f"released weights: {path}")
    return load_weights(str(path), model_name)


def choose_pretrain(args, config: Config, log: Callable) -> tuple[str, str] | None:
    """(where from, path) of the weights that a training begins with; None for random ones.

    --pretrain comes before the config's TRAIN.pretrain_base. A base that is called as the released ResNet-50
    is fetched where it does not exist. Raises CheckpointError for another that does not, ConfigError for one that
    the network is too deep for, and DownloadError.
    """
    if args.pretrain:
        return "--pretrain", args.pretrain
    base = config.TRAIN.pretrain_base
    if not base:
        return None
    where = f"{config.where('TRAIN')}: pretrain_base = {base}"
    if Path(base).name == RESNET50 and config.MODEL.num_layers != 50:
        raise ConfigError(
            f"{where} has 50 layers, and MODEL.num_layers is {config.MODEL.num_layers}; --pretrain takes weights of "
            "that depth, and --set TRAIN.pretrain_base=None starts from random weights"
        )
    if Path(base).exists():
        return "TRAIN.pretrain_base", base
    if Path(base).name != RESNET50:
        raise CheckpointError(f"{where} does not exist; a path to weights, {RESNET50}, or None for random weights")
    try:
        path = find_released(RESNET50, weights_dir=args.weights_dir, offline=args.offline, log=log)
    except DownloadError as error:
        raise DownloadError(f"{where}: {error}; --set TRAIN.pretrain_base=None starts from random weights") from None
    return "TRAIN.pretrain_base", str(path)


def open_inputs(args, config: Config, model_name: str, section: str, log: Callable):
    """(weights, dataset) of a test."""
    weights = find_weights(args, model_name, log)
    return weights, open_dataset(model_name, config, section, training=False, skip_broken=args.skip_broken, log=log)


def load_network(args, spec, config: Config, section: str, weights: WeightFile, device: str, log: Callable):
    """The network of a test with ``weights`` from --weights, in the engine that --engine and --precision ask for."""
    shape = spec.input_shape(config, section)
    engine = args.engine
    if engine == "auto":
        engine = "predictor" if shape and device == "cpu" else "dygraph"
    if engine == "predictor" and not shape:
        raise ConfigError(f"--engine predictor: {args.model_name} is not exported; leave the flag out or say dygraph")
    if engine == "predictor" and device != "cpu":
        raise ConfigError("--engine predictor computes on the CPU; add --use-gpu false, or say dygraph")
    if args.precision != "fp32" and engine != "predictor":
        raise ConfigError(f"--precision {args.precision} needs --engine predictor; here the engine is {engine}")
    network = spec.build_network(config)
    for line in load_into_network(network, weights).lines():
        log(f"{weights.path}: {line}")
    if engine == "dygraph":
        return network
    from tools.inference.predictor import Predictor  # imports Paddle

    if args.precision == "bf16":
        log("--precision bf16: probabilities differ from those of fp32, and some best classes may")
    return Predictor(network, shape, args.precision, log)
