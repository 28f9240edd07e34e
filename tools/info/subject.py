"""What a card is of: a model with its settings, and weights where some were named."""

from dataclasses import dataclass, replace
from typing import Any

from models.spec import ModelSpec
from tools.config.flags import ConfigSource, read_config
from tools.config.load import Config, Override, read_model_name
from tools.errors import CheckpointError, ConfigError
from tools.info.options import InfoOptions
from tools.registry import MODELS
from tools.runtime.cpu import load_paddle
from tools.weights.checkpoint_files import read_state
from tools.weights.files import FLUID_FILE, WeightFile, load_weights, recognise
from tools.weights.fluid_names import name_arrays, variables_of
from tools.weights.loading import Match, own_arrays
from tools.weights.networks import build_network
from tools.weights.origins import find_project, recognise_model
from tools.weights.self_description import (
    SelfDescription,
    choose_model,
    compare_settings,
    find_self_description,
    read_own_config,
)


@dataclass(frozen=True)
class Weights:
    """Weights that were named. state: of a checkpoint's state.json, {} for others. notes: on them, a line each."""

    file: WeightFile
    described: SelfDescription | None
    state: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """name: as published. source: where the settings are from. config: the settings, with the files that they name."""

    name: str
    spec: ModelSpec
    source: ConfigSource
    config: Config
    weights: Weights | None = None

    def build(self):
        """The network without values. Raises ConfigError for settings that do not fit each other."""
        load_paddle()
        return build_network(self.name, self.source)

    def match(self, network) -> Match | None:
        """How the weights fit it. Raises CheckpointError where they do not."""
        return own_arrays(network, self.weights.file)[1] if self.weights else None


def choose_subjects(options: InfoOptions) -> list[Subject]:
    """One, or all models where the flags name none. Raises ConfigError and CheckpointError."""
    if options.weights:
        return [open_weights(options.weights, options.config)]
    if options.model_name:
        return [open_model(MODELS.canonical_name(options.model_name), options.config)]
    if options.config.path:
        return [open_model(choose_model(None, options.config.path, None, None), options.config)]
    if options.config.overrides:
        raise ConfigError(f"--set of which model? Pass --model-name ({', '.join(MODELS.names())}), or --config")
    return [open_model(name, ConfigSource(None)) for name in MODELS.names()]


def open_model(name: str, source: ConfigSource, weights: Weights | None = None) -> Subject:
    spec = MODELS.get(name)()
    # What it names need not be there: ``Subject.build`` checks the rest with placeholders.
    return Subject(name, spec, source, read_config(source, spec, name, ["MODEL"], check=False), weights)


def open_weights(path: str, source: ConfigSource) -> Subject:
    """Weights with their own settings, or with those of ``source`` where that names a config."""
    described = find_self_description(path)
    kind = recognise(path)
    name = _read_name(path, source.path) if source.path else None
    if described and described.model_name:
        name = choose_model(None, source.path, path, described)
    if name is None and kind == FLUID_FILE:
        raise ConfigError(
            f"{path} is a {kind}, which does not say whose they are; a --config whose [MODEL] has a name says it"
        )
    file = load_weights(path, name)
    name = name or _recognise(file)
    weights = Weights(file, described, (read_state(described.folder) or {}) if described else {})
    if described and described.config:
        own = read_own_config(described, MODELS.get(name)(), name, ["MODEL"])
        subject = open_model(name, replace(source, path=source.path or described.config), weights)
        origin = source.path or "the command line"
        notes = compare_settings(origin, subject.config, own, ["MODEL", "TRAIN", "VALID", "TEST", "INFER"])
        return replace(subject, weights=replace(weights, notes=(f"settings of {subject.source.path}", *notes)))
    return _fit_classes(open_model(name, source, weights))


def _read_name(path: str, config_path: str) -> str:
    if (name := read_model_name(config_path)) is None:
        raise ConfigError(f"{config_path} [MODEL] has no name; add one, which says whose weights {path} are")
    return MODELS.canonical_name(name)


def _recognise(file: WeightFile) -> str:
    load_paddle()
    if name := recognise_model(file.arrays):
        return name
    project = find_project(list(file.arrays))
    says = "a --config whose [MODEL] has a name says whose they are"
    looks = f"they look like those of {project}" if project else says
    raise CheckpointError(f"{file.path} is a {file.kind} with the names of no model here; {looks}")


def _fit_classes(subject: Subject) -> Subject:
    """The same with as many classes as the weights have, where the settings are not the user's own."""
    if subject.source.path or any(each.key == "num_classes" for each in subject.source.overrides):
        return subject
    network = subject.build()
    arrays, released = name_arrays(subject.weights.file, network)
    weight = variables_of(network, released)[f"{network.classifier}.weight"].name
    shape = arrays[weight].shape if weight in arrays else ()
    if len(shape) != 2:
        return subject  # which does not fit, as ``match`` says
    classes = Override("MODEL", "num_classes", shape[1], flag="--weights")
    source = replace(subject.source, overrides=(*subject.source.overrides, classes))
    note = f"they do not say their settings: those of {subject.config.path} are taken, with their number of classes"
    return open_model(subject.name, source, replace(subject.weights, notes=(note,)))
