"""The network of a test or an inference, with its weights, in the engine that runs it."""

import logging

from tools.config.flags import EngineOptions
from tools.config.load import Config
from tools.errors import ConfigError
from tools.runtime.cpu import describe_bf16
from tools.weights.files import WeightFile
from tools.weights.loading import load_into_network

log = logging.getLogger(__name__)


def load_network(
    name: str, spec, config: Config, section: str, weights: WeightFile, device: str, options: EngineOptions
):
    """The network of a section's settings, or a Predictor that stands in for it.

    name: of the model. device: "gpu" or "cpu". Raises ConfigError for an engine that does not go with the model or
    the device, and CheckpointError for weights that do not fit.
    """
    shape = spec.input_shape(config, section)
    engine = options.engine
    if engine == "auto":
        engine = "predictor" if shape and device == "cpu" else "dygraph"
    if engine == "predictor" and not shape:
        raise ConfigError(f"--engine predictor: {name} is not exported; leave the flag out or say dygraph")
    if engine == "predictor" and device != "cpu":
        raise ConfigError("--engine predictor computes on the CPU; add --use-gpu false, or say dygraph")
    if options.precision != "fp32" and engine != "predictor":
        raise ConfigError(f"--precision {options.precision} needs --engine predictor; here the engine is {engine}")
    network = spec.build_network(config)
    for line in load_into_network(network, weights).lines():
        log.info(f"{weights.path}: {line}")
    if engine == "dygraph":
        return network
    from tools.inference.predictor import Predictor  # imports Paddle

    if options.precision == "bf16":
        log.info(f"--precision bf16: {describe_bf16()}")
    return Predictor(network, shape, options.precision)
