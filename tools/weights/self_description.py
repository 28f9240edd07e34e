"""What a checkpoint folder says of its own use, so that nothing but it is needed to test and to infer.

- ``config.txt``: the settings it was trained with, as a config that ``--config`` takes;
- ``class_names.csv``: Index and Name of every class, as ``--class-names`` takes them; not there where none are known.
"""

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.config.compare import Difference, flatten, list_differences
from tools.config.flags import ConfigSource, read_config
from tools.config.load import Config, Override, format_ini, read_model_name
from tools.config.schema import Schema
from tools.errors import CheckpointError, ConfigError
from tools.registry import MODELS
from tools.runtime.text import short_repr
from tools.weights.advice import WEIGHTS
from tools.weights.checkpoint_files import AVERAGED, INSTEAD, STATE, listed_files, read_state, require_whole
from tools.weights.files import recognise

CONFIG, CLASS_NAMES = "config.txt", "class_names.csv"
_WITHOUT_EFFECT = {
    "batch_size",
    "class_names",
    "filelist",
    "format",
    "num_reader_threads",
}  # keys that change no answer


@dataclass(frozen=True)
class SelfDescription:
    """What a checkpoint folder holds for its use; ones of earlier versions say no more than whose they are.

    model_name: as state.json has it, None where it does not say. config, class_names: paths, None where not there.
    """

    folder: Path
    model_name: str | None
    config: str | None
    class_names: str | None


def describe_itself(config: Config, schema: Schema, class_names: list[str] | None) -> dict[str, bytes]:
    """The files that a checkpoint of a training has for its own use: name -> content.

    [TEST] and [INFER] are there whether or not the training's config has them: without one, the sizes and switches are
    those of the validation, or of the training.
    """
    text = config.text()
    for name in ("TEST", "INFER"):
        if name not in config:
            source = "VALID" if "VALID" in config else "TRAIN"
            keys = schema.keys(name)
            values = {key: value for key, value in asdict(config[source]).items() if key in keys}
            text += f"\n# as [{source}], for want of another\n{format_ini({name: values})}"
    files = {CONFIG: text.encode()}
    if class_names is not None:
        table = io.StringIO()
        csv.writer(table).writerows([["Index", "Name"], *enumerate(class_names)])
        files[CLASS_NAMES] = table.getvalue().encode("utf-8", "surrogateescape")
    return files


def find_self_description(weights: str) -> SelfDescription | None:
    """That of a checkpoint folder, or of a file of weights in one; None for any other weights.

    Raises CheckpointError for one whose files are not what its state.json says.
    """
    folder = Path(weights)
    if folder.name in (WEIGHTS, AVERAGED) and not folder.is_dir():
        folder = folder.parent
    if not (folder / STATE).is_file():
        return None
    state = read_state(folder)
    for file in (CONFIG, CLASS_NAMES):
        try:
            if file in listed_files(state):
                require_whole(folder / file, state)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {INSTEAD}") from None
    name = state.get("model")
    paths = (str(folder / file) if (folder / file).is_file() else None for file in (CONFIG, CLASS_NAMES))
    return SelfDescription(folder, name if isinstance(name, str) else None, *paths)


def choose_model(
    given: str | None, config_path: str | None, weights: str | None, described: SelfDescription | None
) -> str:
    """The name of a run's model, as published: --model-name, or what --config says, or the checkpoint of --weights.

    described: what that checkpoint says of itself. Raises ConfigError where none of them does, and CheckpointError for
    a checkpoint of another model.
    """
    of_weights = described.model_name if described else None
    if given:
        name = MODELS.canonical_name(given)
        if of_weights and not config_path and of_weights.upper() != name.upper():
            raise CheckpointError(f"{described.folder} holds {of_weights}, but --model-name is {name}")
        return name
    if config_path:
        if (name := read_model_name(config_path)) is None:
            raise ConfigError(f"{config_path} [MODEL] has no name; add one, or pass --model-name")
        name = MODELS.canonical_name(name)
        if of_weights and of_weights.upper() != name.upper():
            raise CheckpointError(f"{described.folder} holds {of_weights}, but {config_path} is a config of {name}")
        return name
    if of_weights:
        return MODELS.canonical_name(of_weights)
    known = ", ".join(MODELS.names())
    if weights:
        recognise(weights)  # what holds no weights is told as such
        raise ConfigError(f"{weights} does not say which model it is; pass --model-name ({known})")
    raise ConfigError(f"which model? Pass --model-name ({known}), or a --config whose [MODEL] has a name")


def read_own_config(described: SelfDescription, spec, model_name: str, sections: list[str]) -> Config:
    """What a checkpoint that has a config was trained with. Raises ConfigError."""
    return read_config(ConfigSource(described.config), spec, model_name, sections, check=False)


def choose_settings(
    source: ConfigSource, described: SelfDescription | None, spec, model_name: str, sections: list[str]
) -> tuple[Config, list[str]]:
    """The config of a run, and lines on where it is from or how it differs from what its weights were trained with.

    source: what the flags say. Without --config a checkpoint's own settings and class names hold. spec: see
    ``models/spec.py``.
    """
    if described is None:
        return read_config(source, spec, model_name, sections), []
    if described.config is None:
        config = read_config(source, spec, model_name, sections)
        before = f"{described.folder} holds no {CONFIG}, as those of earlier versions"
        if source.path is None:
            return config, [f"{before}: the settings are those of {config.path}; --config names those of its training"]
        return config, [f"{before}: whether {config.path} is what it was trained with is not known"]
    if source.path is None:
        named = Override("INFER", "class_names", described.class_names, flag="--weights")
        overrides = (*[named] * ("INFER" in sections), *source.overrides)
        config = read_config(ConfigSource(described.config, overrides), spec, model_name, sections)
        names = "INFER" in sections and described.class_names and config.INFER.class_names == described.class_names
        own = read_own_config(described, spec, model_name, sections)
        of_it = f"settings{' and class names' if names else ''} of {described.folder}"
        return config, [of_it, *compare_settings("the command line", config, own, sections)]
    config = read_config(source, spec, model_name, sections)
    try:
        own = read_own_config(described, spec, model_name, sections)
    except ConfigError as error:
        return config, [f"what {described.folder} was trained with is not known: {error}"]
    return config, compare_settings(config.path, config, own, sections)


@dataclass(frozen=True)
class OtherSetting(Difference):
    """A setting, as SECTION.key, that is not what weights were trained with. matters: whether it changes answers."""

    matters: bool


def list_other_settings(config: Config, own: Config, sections: list[str]) -> list[OtherSetting]:
    """The settings that are not those of a checkpoint."""
    return [
        OtherSetting(one.name, one.value, one.was, one.name.split(".")[1] not in _WITHOUT_EFFECT)
        for one in list_differences(flatten(config, sections), flatten(own, sections))
    ]


def compare_settings(origin: str, config: Config, own: Config, sections: list[str]) -> list[str]:
    """A line on the settings that change answers and are not those of a checkpoint; none where all are.

    origin: what they come from.
    """
    others = [
        f"{one.name} = {short_repr(one.value, 60)} (trained with {short_repr(one.was, 60)})"
        for one in list_other_settings(config, own, sections)
        if one.matters
    ]
    return [f"{origin} differs from what the weights were trained with: {', '.join(others)}"] if others else []
