"""What the three scripts do between reading the command line and their loops."""

from collections.abc import Callable

from tools.checkpoint import fill_network
from tools.config import Config
from tools.cpu import load_paddle, tune_cpu
from tools.errors import ConfigError
from tools.registry import READERS


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


def load_network(args, recipe, config: Config, section: str, weights: dict, device: str, log: Callable):
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
    log(f"--weights {args.weights}: {fill_network(network, weights, args.weights)}")
    if engine == "dygraph":
        return network
    from tools.predictor import Predictor  # imports Paddle

    if args.precision == "bf16":
        log("--precision bf16: probabilities differ from those of fp32, and some best classes may")
    return Predictor(network, shape, args.precision, log)
