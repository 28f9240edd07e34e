"""Checks of the config, of the class names that it points to, and of the machine."""

import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datareader.class_names import load_class_names
from datareader.sharding import check_batch_size
from models.spec import ModelSpec
from tools.config.flags import RunOptions, read_config
from tools.config.load import Config, read_model_name
from tools.distributed.launcher import plan_processes
from tools.doctor.machine import refuses_writing
from tools.errors import ConfigError, ConfigFileError, DataError
from tools.registry import MODELS
from tools.runtime.cpu import usable_cores
from tools.runtime.environment import PACKAGES, find_version, processor_name
from tools.runtime.memory import memory_bytes
from tools.runtime.text import format_bytes
from tools.weights.released import RESNET50, CacheEntry

PYTHONS = ((3, 10), (3, 13))  # from, to
MISSING_PACKAGES = {
    "Paddle": ("fails", "is not installed; python -m pip install -r requirements.txt"),
    "PyAV": ("note", "is not installed; OpenCV decodes videos, up to the last wanted frame"),
}


@dataclass(frozen=True)
class Check:
    """One thing looked at. status: "ok", "note" for what is worth knowing, "fails" for what stops the run."""

    name: str
    status: str
    text: str


# The config


def load_checked_config(run: RunOptions, needs: Iterable[str]) -> tuple[str, ModelSpec, Config, list[Check]]:
    """(model name, spec, config, checks). The config is there also where a file that it names is not as it should.

    needs: the sections without which the run cannot start. Raises ConfigError for a config that cannot be had.
    """
    name = run.model_name or read_model_name(run.config.path)
    if name is None:
        raise ConfigError(f"{run.config.path} [MODEL] has no name; add one, or pass --model-name")
    name = MODELS.canonical_name(name)
    spec = MODELS.get(name)()
    config = read_config(run.config, spec, name, ["MODEL", *needs], check=False)
    checks = [Check("config", "ok", f"{config.path}, {name}")]
    checks += [Check("config", "note", notice) for notice in config.notices]
    try:
        spec.schema.check(config)
    except ConfigFileError as error:
        checks.append(Check("config", "fails", str(error)))
    return name, spec, config, checks


def check_split(run: RunOptions, config: Config, accumulate: int) -> list[Check]:
    """Whether a training batch splits over the processes that train.py would start."""
    try:
        processes = plan_processes(run.nproc, config.TRAIN.use_gpu if run.use_gpu is None else run.use_gpu)
        check_batch_size(config.TRAIN.batch_size, processes.world, accumulate)
    except ConfigError as error:
        return [Check("config", "fails", str(error))]
    return []


def check_class_names(config: Config, section: str) -> list[Check]:
    """Whether a section's file of class names has one for each class; nothing where it names none."""
    path = config[section].class_names
    if not path:
        return []
    try:
        load_class_names(path, config.MODEL.num_classes)
    except DataError as error:
        return [Check("names", "note", f"[{section}] {error}")]
    return [Check("names", "ok", f"[{section}] {path}")]


# The machine


def check_machine(weights_dir: str | None, save_dir: str | None) -> Iterator[Check]:
    """Python, packages, processor, memory, and whether folders can be written. save_dir: None where nothing trains."""
    yield _check_python()
    for package in PACKAGES:
        version = find_version(package)
        status, text = MISSING_PACKAGES.get(package, ("note", "was not installed by pip, but is there"))
        yield Check(package, "ok" if version else status, version or text)
    cores = usable_cores()
    yield Check("processor", "ok", f"{processor_name()}, {cores} core{'s' * (cores > 1)} usable")
    if memory := memory_bytes():
        yield Check("memory", "ok", f"{format_bytes(memory[0])}, {format_bytes(memory[1])} available")
    yield _check_folder("weights", CacheEntry.of(RESNET50, weights_dir).cache, "note")
    if save_dir is not None:
        yield _check_folder("--save-dir", Path(save_dir), "fails")


def _check_python() -> Check:
    version, (least, most) = platform.python_version(), PYTHONS
    if least <= sys.version_info[:2] <= most:
        return Check("Python", "ok", version)
    return Check("Python", "note", f"{version}; made for {'.'.join(map(str, least))} to {'.'.join(map(str, most))}")


def _check_folder(what: str, folder: Path, status: str) -> Check:
    """status: of a folder that cannot be written."""
    problem = refuses_writing(folder)
    return Check("folder", status if problem else "ok", f"{what} {folder}: {problem or 'can be written'}")
