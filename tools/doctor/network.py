"""Checks of the device, the network, the weights that it would begin with, and the room for its checkpoints."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.spec import ModelSpec, Network
from tools.config.load import Config
from tools.doctor.checks import Check
from tools.doctor.machine import free_bytes
from tools.doctor.options import DoctorOptions
from tools.errors import CheckpointError, ConfigError, ZooError
from tools.runtime.device import start_paddle
from tools.runtime.log import collect_lines
from tools.runtime.text import format_bytes
from tools.weights.files import load_weights
from tools.weights.released import RESNET50, CacheEntry
from tools.weights.resolve import choose_pretrain


def check_network(options: DoctorOptions, name: str, spec: ModelSpec, config: Config) -> Iterator[Check]:
    """All of them. name: of the model, as published."""
    run, training = options.run, options.is_training
    try:
        with collect_lines() as lines:
            device = start_paddle(run.threads, run.use_gpu, config.TRAIN.use_gpu if training else True)
    except ConfigError as error:
        yield Check("device", "fails", str(error))
        return
    yield from (Check("device", "ok", line) for line in lines)
    if device == "gpu":
        yield Check("device", "ok", _describe_gpus())
    network = spec.build_network(config)
    yield from check_weights(options, name, config, network)
    if training:
        yield check_room(options.save_dir, options.keep, spec, config.TRAIN.epoch, network)


def _describe_gpus() -> str:
    import paddle

    cuda = paddle.device.cuda
    return "GPU: " + ", ".join(cuda.get_device_name(i) for i in range(cuda.device_count()))


def check_weights(options: DoctorOptions, name: str, config: Config, network: Network) -> Iterator[Check]:
    """Whether the weights that are named fit the network, by loading them into it."""
    if options.weights:
        yield _check_fit(network, name, "--weights", options.weights, fine_tune=False)
    if not options.is_training:
        return
    if note := _describe_absent_base(options, config):
        yield Check("weights", "note", note)
        return
    run = options.run
    try:
        chosen = choose_pretrain(options.pretrain, config, weights_dir=run.weights_dir, offline=run.offline)
    except ZooError as error:
        yield Check("weights", "fails", str(error))
        return
    if chosen is not None:
        yield _check_fit(network, name, *chosen, fine_tune=True)


def _check_fit(network: Network, name: str, origin: str, path: str, *, fine_tune: bool) -> Check:
    from tools.weights.loading import load_into_network

    try:
        match = load_into_network(network, load_weights(path, name), fine_tune=fine_tune)
    except CheckpointError as error:
        return Check("weights", "fails", f"{origin} {path}: {error}")
    return Check("weights", "ok", "; ".join([f"{origin} {path}", *match.lines()]))


def _describe_absent_base(options: DoctorOptions, config: Config) -> str:
    """How the first run will get its pretrain_base; "" where it has it, does not want it, or cannot get it."""
    base = config.TRAIN.pretrain_base
    if options.pretrain or not base or Path(base).exists() or Path(base).name != RESNET50:
        return ""
    if config.MODEL.num_layers != 50:  # choose_pretrain says so
        return ""
    entry = CacheEntry.of(RESNET50, options.run.weights_dir)
    if entry.present() is not None:
        return ""
    if entry.by_hand.is_file():
        return f"TRAIN.pretrain_base {base}: the first run unpacks {entry.by_hand}"
    if options.run.offline:
        return ""
    return f"TRAIN.pretrain_base {base}: the first run fetches {entry.url(entry.item.archive)} to {entry.cache}"


def check_room(save_dir: str, keep: int, spec: ModelSpec, epochs: int, network: Network) -> Check:
    """Whether the disk of --save-dir has room for the checkpoints of all epochs. keep: --keep."""
    from tools.weights.checkpoint_files import network_arrays

    weights = sum(np.asarray(value).nbytes for value in network_arrays(network).values())
    trained = sum(4 * parameter.size for parameter in network.parameters() if not parameter.stop_gradient)
    each = weights + spec.optimizer_states * trained
    count = min(keep + 2, epochs) if keep else epochs  # the best, and the one that is being written
    free = free_bytes(Path(save_dir))
    text = (
        f"{save_dir}: {format_bytes(free)} free; a checkpoint takes about {format_bytes(each)}, "
        f"{count} of {epochs} epochs {format_bytes(count * each)}"
    )
    if free < each:
        return Check("disk", "fails", text)
    if free < count * each:
        return Check("disk", "note", f"{text}; --keep N keeps the latest N and the best")
    return Check("disk", "ok", text)
