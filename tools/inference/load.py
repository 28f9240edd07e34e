"""The network of a test or an inference, with its weights, in the engine that runs it."""

import logging
from typing import Any

from tools.config.flags import EngineOptions
from tools.config.load import Config
from tools.errors import ConfigError
from tools.runtime.cpu import describe_bf16
from tools.weights.files import WeightFile
from tools.weights.loading import Match, load_into_network

# The predictor takes 2 s of CPU time to begin, and as much again to export the network the first time; it is a third
# faster from then on: for TSN and STNET that pays from about 20 videos on (one core with AVX2).
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
    if engine == "dygraph":
        return network, match
    shape = spec.input_shape(config, section)
    if engine == "onnxruntime":
        from tools.inference.onnx_engine import OnnxPredictor  # imports Paddle

        return OnnxPredictor(network, shape), match
    from tools.inference.predictor import Predictor  # imports Paddle

    if options.precision == "bf16":
        log.info(f"--precision bf16: {describe_bf16()}")
    return Predictor(network, shape, options.precision), match


def choose_engine(
    name: str, spec, config: Config, section: str, device: str, options: EngineOptions, num_records: int | None
) -> str:
    """Dygraph, predictor or onnxruntime, as --engine says or by what takes less time. See ``load_network``."""
    shape, engine = spec.input_shape(config, section), options.engine
    if engine == "auto":
        is_many = num_records is None or num_records * spec.num_views(config, section) * _pixels(shape) >= LEAST_PIXELS
        engine = "predictor" if shape and device == "cpu" and (is_many or options.precision != "fp32") else "dygraph"
    if engine != "dygraph" and not shape:
        raise ConfigError(f"--engine {engine}: {name} is not exported; leave the flag out or say dygraph")
    if engine != "dygraph" and device != "cpu":
        raise ConfigError(f"--engine {engine} computes on the CPU; add --use-gpu false, or say dygraph")
    if options.precision != "fp32" and engine != "predictor":
        raise ConfigError(f"--precision {options.precision} needs --engine predictor; here the engine is {engine}")
    return engine


def _pixels(shape: tuple[int, ...] | None) -> int:
    """Of the frames of a clip (S, channels, H, W), or 0."""
    return shape[0] * shape[2] * shape[3] if shape else 0
