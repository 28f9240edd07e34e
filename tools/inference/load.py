"""The network of a test or an inference, with its weights, in the engine that runs it."""

import logging
from typing import Any

from tools.config.flags import EngineOptions
from tools.config.load import Config
from tools.errors import ConfigError
from tools.runtime.cpu import WITHOUT_AVX2, describe_bf16, find_onednn, has_amx, name_vectors
from tools.weights.files import WeightFile
from tools.weights.loading import Match, load_into_network

# Where there is no oneDNN: the predictor takes 2 s of CPU time to begin, and as much again to export the network the
# first time; it is a third faster from then on: for TSN and STNET that pays from about 20 videos on (one core, AVX2).
LEAST_PIXELS = 60 * 224 * 224  # of all frames that it sees, TSN's 3 of a video

log = logging.getLogger(__name__)


def load_network(
    name: str,
    spec,
    config: Config,
    section: str,
    weights: WeightFile,
    device: str,
    options: EngineOptions,
    num_records: int | None,
) -> tuple[Any, Match]:
    """The network of a section's settings, or an engine's stand-in for it; and how the weights fit.

    name: of the model. device: "gpu" or "cpu". num_records: how many it will see, in all processes; None for many.
    Raises ConfigError for an engine that does not go with the model or the device, and CheckpointError for weights that
    do not fit; PackageError for an engine that is not installed.
    """
    engine = choose_engine(name, spec, config, section, device, options, num_records)
    import paddle

    with paddle.LazyGuard():  # without random values, which the weights would overwrite
        network = spec.build_network(config)
    match = load_into_network(network, weights)
    for line in match.lines():
        log.info(f"{weights.path}: {line}")
    if options.precision == "bf16":
        log.info(f"--precision bf16: {describe_bf16()}")
    return run_by(engine, network, spec.input_shape(config, section), options.precision), match


def run_by(engine: str, network, shape: tuple[int, ...] | None, precision: str):
    """The network, which an engine runs from now on, or what takes its place. engine: as ``choose_engine`` gives it.

    shape: of one record's input. precision: "fp32" or "bf16".
    """
    if engine == "onednn":
        network.infer_by_onednn({"fp32": "float32", "bf16": "bfloat16"}[precision])
    elif engine == "onnxruntime":
        from tools.inference.onnx_engine import OnnxPredictor  # imports Paddle

        network = OnnxPredictor(network, shape)
    elif engine == "predictor":
        from tools.inference.predictor import Predictor  # imports Paddle

        network = Predictor(network, shape, precision)
    return network


def fastest_engine(spec, precision: str) -> str:
    """Of those that need nothing besides Paddle, for many clips on the CPU."""
    is_fast = has_amx() if precision == "bf16" else name_vectors() != WITHOUT_AVX2
    is_able = spec.infers_by_onednn and find_onednn() and is_fast
    return "onednn" if is_able else "predictor"


def choose_engine(
    name: str, spec, config: Config, section: str, device: str, options: EngineOptions, num_records: int | None
) -> str:
    """Onednn, predictor, onnxruntime or dygraph, as --engine says or by what takes less time. See ``load_network``."""
    shape, engine = spec.input_shape(config, section), options.engine
    if engine == "auto":
        is_many = num_records is None or num_records * spec.num_views(config, section) * _pixels(shape) >= LEAST_PIXELS
        engine = fastest_engine(spec, options.precision) if shape and device == "cpu" else "dygraph"
        if engine == "predictor" and not is_many and options.precision == "fp32":
            engine = "dygraph"
    if engine == "onednn" and not spec.infers_by_onednn:
        raise ConfigError(f"--engine onednn: {name} has no ResNet that oneDNN computes; leave the flag out")
    if engine != "dygraph" and not shape:
        raise ConfigError(f"--engine {engine}: {name} is not exported; leave the flag out or say dygraph")
    if engine != "dygraph" and device != "cpu":
        raise ConfigError(f"--engine {engine} computes on the CPU; add --use-gpu false, or say dygraph")
    if options.precision != "fp32" and engine not in ("predictor", "onednn"):
        raise ConfigError(
            f"--precision {options.precision} needs --engine predictor or onednn; here the engine is {engine}"
        )
    if options.precision != "fp32" and engine == "onednn" and not has_amx():
        raise ConfigError(
            f"--precision {options.precision} with --engine onednn needs a processor with amx_bf16; say predictor"
        )
    return engine


def _pixels(shape: tuple[int, ...] | None) -> int:
    """Of the frames of a clip (S, channels, H, W), or 0."""
    return shape[0] * shape[2] * shape[3] if shape else 0
