"""The config of a training on own data: that of a model in configs/, with own lists and what is decided for them."""

import configparser
import shlex
import tempfile
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.kinds import find_data_kind
from dataset.class_list import find_classes
from dataset.list_items import Item
from dataset.training_config import Choices, Machine, decide
from models.spec import Choice, ModelSpec
from tools.config.flags import PROJECT
from tools.config.load import Config, load_config
from tools.errors import ConfigError, DataError
from tools.files.atomic import atomic_write
from tools.registry import MODELS, READERS
from tools.runtime.text import printable

LISTS = {  # section -> the lists that may be its, best first
    "TRAIN": ("train",),
    "VALID": ("val",),
    "TEST": ("test", "val"),
    "INFER": ("infer", "test", "val"),
}
_ANY_NUMBER = 1 << 62  # of broken records
_COLUMNS = 110  # of a comment
_NO_EFFECT = "format"  # of MODEL: as valid as ever, and misleading beside files of another format


@dataclass(frozen=True)
class ModelConfig:
    """What a config is made from. name: the model's, as published. values: of its config, section -> key -> text."""

    name: str
    spec: ModelSpec
    values: dict[str, dict[str, str]]

    @property
    def file_name(self) -> str:
        return Path(self.spec.default_config).name

    def load(self, path: str, shown: Path | str) -> Config:
        """A config in a file that people know by another name. Raises ConfigError as ``load_config``."""
        try:
            return load_config(path, self.spec.schema, ["MODEL", *LISTS], self.name)
        except ConfigError as error:
            raise ConfigError(str(error).replace(path, str(shown))) from None

    def load_text(self, text: str, shown: Path | str) -> Config:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.txt"
            path.write_text(text, encoding="utf-8")
            return self.load(str(path), shown)


def open_model_config(name: str) -> ModelConfig:
    """The published config of a model without keys that do nothing, with absolute paths. Raises ConfigError."""
    name = MODELS.canonical_name(name)
    spec = MODELS.get(name)()
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # keys keep their case
    parser.read_string((PROJECT / spec.default_config).read_text(encoding="utf-8"))
    values = {section: dict(parser.items(section)) for section in parser.sections()}
    for section, texts in values.items():
        for key, text in list(texts.items()):
            if key == _NO_EFFECT or spec.schema.is_obsolete(section, key):
                del texts[key]
            elif "/" in text:  # a path in the project
                texts[key] = repr(str((PROJECT / text.strip("\"'")).resolve()))
    return ModelConfig(name, spec, values)


def compose(model: ModelConfig, chosen: Choices, title: str = "") -> str:
    """A config with the published values, except those that are chosen, which have their reasons above them."""
    lines = [title]
    for section, texts in model.values.items():
        added = [key for place, key in chosen if place == section and key not in texts]
        lines.append(f"[{section}]")
        for key in [*texts, *added]:
            choice = chosen.get((section, key))
            if choice:
                comment = textwrap.wrap(choice.reason, _COLUMNS, break_long_words=False, break_on_hyphens=False)
                lines += [f"# {line}" for line in comment]
            lines.append(f"{key} = {choice.value!r}" if choice else f"{key} = {texts[key]}")
        lines.append("")
    return "\n".join(lines)


def refuse_other_data(items: list[Item], model: ModelConfig) -> None:
    """Raise DataError for a file that a model does not read."""
    for item in items:
        kind = "clips" if item.is_video else find_data_kind(str(item.path))
        if kind not in (None, model.spec.data):  # None: broken, which its reader explains
            others = [name for name in MODELS.names() if MODELS.get(name).data == kind]
            raise DataError(
                f"{item.path} holds {kind}, which {', '.join(others)} read; --config-for {model.name} needs "
                f"{model.spec.data}"
            )


def know_data(
    model: ModelConfig, items: list[Item], named: set[str], lists: Iterable[str], given: str | None, output: Path
) -> tuple[Choices, list[str] | None]:
    """What a config says of its data, and the class names to write, None for none.

    named, given, output: as ``resolve_class_names`` takes them. lists: the names of those that will be written.
    Raises DataError without the lists that training needs, and ConfigError without a file that the model needs.
    """
    model.load_text(compose(model, {}), model.spec.default_config)
    classes = find_classes(items, named, given, output, model.spec.data, int(model.values["MODEL"]["num_classes"]))
    chosen = {("MODEL", "num_classes"): classes.count}
    for section, names in LISTS.items():
        name = next((name for name in names if name in lists or (output / f"{name}.list").exists()), None)
        if name is None:
            raise DataError(
                f"--config-for: training needs {names[0]}.list, which --split does not make and {output} does not hold"
            )
        reason = "absolute, so that it holds in every working directory"
        if section == "TEST" and name != names[0]:
            reason += f"; there is no {names[0]}.list, so that a test repeats the validation"
        chosen[section, "filelist"] = Choice(str((output / f"{name}.list").resolve()), reason)
    if classes.path:
        chosen["INFER", "class_names"] = Choice(str(classes.path), "absolute, as above")
    return chosen, classes.names


def write_config(path: Path, model: ModelConfig, data: Choices, machine: Machine, *, force: bool) -> list[str]:
    """Decide what trains on these data and write it down; return lines on that, the last the command to train with.

    The file takes its place once it was read back. data: of ``know_data``. Raises DataError and ConfigError for data
    that the model's reader refuses, and for another config that is there.
    """
    draft = model.load_text(compose(model, data), path)
    num_videos, num_broken, lines = read_lists(draft, model.spec)
    chosen = data | decide(model.spec, draft, num_videos, machine)
    content = compose(model, chosen, make_title(model, path)).encode("utf-8")
    if not force and path.exists() and path.read_bytes() != content:
        raise DataError(f"{path} is there already; --force replaces it. The lists are written")
    with atomic_write(path) as file:
        file.write(content)
        file.flush()
        config = model.load(file.name, path)
        for (section, key), choice in chosen.items():
            if getattr(config[section], key) != choice.value:
                raise DataError(f"{path} cannot be read back: {key} would be {getattr(config[section], key)!r}")
    train = config.TRAIN
    return [
        *lines,
        f"{path}: {model.name}, {train.epoch} epochs in batches of {train.batch_size}, learning rate "
        f"{train.learning_rate:g}; the reasons stand in it",
        f"next: {train_command(path)}{f' --skip-broken {num_broken}' if num_broken else ''}",
    ]


def train_command(path: Path) -> str:
    """What trains with a config, from the working directory."""
    script = "train.py" if Path.cwd() == PROJECT else shlex.quote(str(PROJECT / "train.py"))
    return f"python {script} --config {shlex.quote(str(path))}"


def make_title(model: ModelConfig, path: Path) -> str:
    return (
        f"# {model.name} on own data, made by dataset/make_list.py from {model.spec.default_config}\n"
        "# A value that was chosen for these data has its reason above it\n"
        f"# Command: python train.py --config {printable(shlex.quote(str(path.resolve())))}\n"
    )


def read_lists(config: Config, spec: ModelSpec) -> tuple[int, int, list[str]]:
    """How many videos the training list holds, as the model's reader counts them; the most that are broken in any
    list; and lines on those.

    Raises DataError for a list of which nothing can be read.
    """
    opened, lines = {}, []
    for section in LISTS:
        path = config[section].filelist
        if path in opened:
            continue
        reader = READERS.get(spec.reader)
        opened[path] = dataset = reader(config, section, training=section == "TRAIN", skip_broken=_ANY_NUMBER)
        if dataset.broken:
            lines.append(f"{len(dataset.broken)} in {Path(path).name} cannot be read, such as {dataset.broken[0]}")
            counts = dataset.class_counts()
            if counts is not None and not counts.any():
                raise DataError(f"{dataset.broken[0]}; nothing in {path} can be read")
    return len(opened[config.TRAIN.filelist]), max(len(dataset.broken) for dataset in opened.values()), lines
