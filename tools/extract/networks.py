"""The networks that describe frames and sound, with their weights."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import models  # noqa: F401  (registers the specs)
from models.extractors import build_picture_network, build_sound_network
from tools.config.load import Config
from tools.errors import ConfigError
from tools.extract.options import BackboneOptions, ExtractOptions
from tools.inference.youtube8m import Published, open_published, run_network
from tools.registry import MODELS
from tools.runtime.device import start_paddle
from tools.weights.extractors import INCEPTION, find_extractor
from tools.weights.files import load_weights
from tools.weights.fluid_names import published
from tools.weights.loading import load_into_network
from tools.weights.resolve import find_base, is_released_base
from tools.weights.self_description import choose_model, choose_settings, find_self_description

log = logging.getLogger(__name__)


def load_published(options: ExtractOptions) -> Published:
    """The networks and PCAs of YouTube-8M's features. Imports Paddle. Raises ZooError."""
    device = start_paddle(options.threads, options.use_gpu, gpu_wanted=True)
    return open_published(
        build_picture_network, build_sound_network, device, weights_dir=options.weights_dir, offline=options.offline
    )


def find_graph(options: ExtractOptions) -> Path:
    """The folder with what the archive of the picture network's graph holds. Raises ZooError."""
    return find_extractor(INCEPTION, weights_dir=options.weights_dir, offline=options.offline)


class Backbone(NamedTuple):
    """describe: segments (N, 3 * seglen, H, W) float32 normalised -> (N, 2048) float32.

    config: the settings it was trained with. digest: of its weights and of what it sees. device: "gpu" or "cpu".
    """

    describe: Callable[[np.ndarray], np.ndarray]
    config: Config
    digest: str
    device: str


def load_backbone(chosen: BackboneOptions, options: ExtractOptions) -> Backbone:
    """Imports Paddle. Raises ZooError, for a model without a backbone too."""
    described = find_self_description(chosen.weights)
    given = chosen.model_name or ("TSN" if is_released_base(chosen.weights) else None)
    name = choose_model(given, chosen.config.path, chosen.weights, described)
    spec = MODELS.get(name)()
    if spec.data != "clips":
        raise ConfigError(f"--weights {chosen.weights}: {name} takes features itself; TSN and STNET have a backbone")
    config, notices = choose_settings(chosen.config, described, spec, name, ["MODEL", "TEST"])
    for notice in notices:
        log.info(notice)
    weights = load_weights(find_base(chosen.weights, weights_dir=options.weights_dir, offline=options.offline), name)
    device = start_paddle(options.threads, options.use_gpu, gpu_wanted=True)
    network = spec.build_network(config)
    if published(network, "pretrained_part") is None:
        raise ConfigError(f"--weights {chosen.weights}: {name} has no ResNet; TSN and STNET have one")
    match = load_into_network(network, weights, fine_tune=True)
    for line in match.lines():
        log.info(f"{weights.path}: {line}")
    require_trained(match.initialised, network.backbone_parts, chosen.weights, name)
    part = network.backbone()
    model, seen = config.MODEL, config.TEST
    sizes = seen.short_size, seen.target_size, seen.keep_aspect, seen.fast_decode
    sight = name, model.seglen, model.image_mean, model.image_std, sizes
    digest = hashlib.blake2b(repr(sight).encode(), digest_size=16)
    for key, value in sorted(part.state_dict().items()):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(value.numpy()).data)
    size = config.TEST.target_size
    describe = run_network(part, (3 * config.MODEL.seglen, size, size), device)
    return Backbone(describe, config, digest.hexdigest(), device)


def require_trained(initialised: Iterable[str], parts: Sequence[str], weights: str, name: str) -> None:
    """Raise ConfigError where a part of the backbone is as it was drawn at random, in each run otherwise."""
    drawn = {own.partition(".")[0] for own in initialised}
    if untrained := ", ".join(part for part in parts if part in drawn):
        raise ConfigError(
            f"--weights {weights}: {untrained} of the backbone of {name} are not in it, as it is of a ResNet alone; "
            f"give weights of a trained {name}, or --model-name TSN, whose backbone is a ResNet"
        )
