"""What the three scripts do between reading the command line and their loops."""

from collections.abc import Callable
from pathlib import Path

from tools.config import Config
from tools.cpu import load_paddle, tune_cpu
from tools.errors import ConfigError
from tools.filling import fill_network
from tools.registry import READERS
from tools.weight_files import WeightFile


def open_dataset(model_name: str, config: Config, section: str, *, training: bool, skip_broken: int, log: Callable):
    """The dataset of a section, with a line on its size and one on every record left out, now or later."""
    dataset = READERS.get(model_name)(config, section, training=training, skip_broken=skip_broken)
    log(f"[{section}] {len(dataset)} records in {dataset.name}")
    for notice in dataset.notices:
        log(f"[{section}] {notice}")
    for text in dataset.broken:
        log(f"[{section}] left out: {text}")
    dataset.on_broken = lambda text: log(f"[{section}] left out: {text}")
    return dataset


def start_paddle(threads: int | None, use_gpu: bool | None, gpu_wanted: bool, log: Callable) -> str:
    """Tune the CPU, import Paddle, choose the device: "gpu" or "cpu"."""
    log(tune_cpu(threads))
    load_paddle()
    from tools.device import choose_device  # imports Paddle

    return choose_device(use_gpu, gpu_wanted, log)


def choose_pretrain(given: str | None, config: Config, log: Callable) -> tuple[str, str] | None:
    """(where from, path) of the weights that a training begins with; None for random ones.

    given: --pretrain, which comes before the config's TRAIN.pretrain_base.
    """
    base = getattr(config.TRAIN, "pretrain_base", None)
    if given or not base:
        return ("--pretrain", given) if given else None
    if Path(base).exists():
        return "TRAIN.pretrain_base", base
    log(
        f"{config.where('TRAIN')}: pretrain_base = {base} does not exist, so training starts from random weights; "
        '"python -m tools.download ResNet50_pretrained" fetches those of 2019: name their folder with --pretrain'
    )
    return None


def load_network(args, recipe, config: Config, section: str, weights: WeightFile, device: str, log: Callable):
    """The network of a test with ``weights`` from --weights, in the engine that --engine and --precision ask for."""
    shape = recipe.input_shape(config, section)
    engine = args.engine
    if engine == "auto":
        engine = "predictor" if shape and device == "cpu" else "dygraph"
    if engine == "predictor" and not shape:
        raise ConfigError(f"--engine predictor: {args.model_name} is not exported; leave the flag out or say dygraph")
    if engine == "predictor" and device != "cpu":
        raise ConfigError("--engine predictor computes on the CPU; add --use-gpu false, or say dygraph")
    if args.precision != "fp32" and engine != "predictor":
        raise ConfigError(f"--precision {args.precision} needs --engine predictor; here the engine is {engine}")
    network = recipe.build_network(config)
    for line in fill_network(network, weights).lines():
        log(f"--weights {args.weights}: {line}")
    if engine == "dygraph":
        return network
    from tools.predictor import Predictor  # imports Paddle

    if args.precision == "bf16":
        log("--precision bf16: probabilities differ from those of fp32, and some best classes may")
    return Predictor(network, shape, args.precision, log)
