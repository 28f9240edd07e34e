"""What pages say of how networks were run: the weights, the settings, what they ran on."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.config.compare import Setting, list_settings
from tools.config.flags import ConfigSource, read_config
from tools.config.load import Config
from tools.errors import ConfigError
from tools.inference.evaluation_blocks import show_texts
from tools.inference.predictions import name_class
from tools.pages.blocks import Cell, Column, Facts, Paragraph, Table
from tools.pages.scales import format_time
from tools.runtime.environment import describe_environment
from tools.weights.checkpoint_files import AVERAGED, read_state
from tools.weights.files import WeightFile
from tools.weights.self_description import SelfDescription, list_other_settings, read_own_config

_LONGEST_SETTING = 400  # characters; class weights of thousands of classes are more


@dataclass(frozen=True)
class EvaluatedRun:
    """A test or an inference, for its page.

    spec: see ``models/spec.py``. section: of the config, TEST or INFER. metric: of the model, for the names of scores.
    described: what the checkpoint says of itself, None for other weights. names: of the classes, by id, None where they
    are not known. facts: more of what it ran on, name and text.
    """

    name: str
    spec: Any
    config: Config
    section: str
    metric: Any
    weights: WeightFile
    described: SelfDescription | None
    names: Sequence[str] | None
    facts: Sequence[tuple[str, str]] = ()

    def name_class(self, class_id: int) -> str:
        """Its name, or its id where it has none."""
        return name_class(self.names, class_id)

    def name_epoch(self) -> str:
        """The epoch of the weights, or "" where they do not say."""
        epoch = _read_state(self.described).get("epoch")
        step = _read_state(self.described).get("step")
        if not isinstance(epoch, int) or not isinstance(step, int):
            return ""
        return f"epoch {epoch}, after {step} of its steps" if step else f"epoch {epoch - 1}"


def describe_weights(run: EvaluatedRun) -> list[tuple[str, str]]:
    """Name and text of what is known of them."""
    state = _read_state(run.described)
    facts = [("weights", run.weights.path), ("their form", run.weights.kind)]
    if not state:
        return [*facts, ("trained", "not known: weights of this form do not say")]
    facts += [("trained", epoch)] if (epoch := run.name_epoch()) else []
    valid = state.get("valid")
    if isinstance(valid, dict):
        numbers = {key: value for key, value in valid.items() if isinstance(value, int | float)}
        texts = ", ".join(f"{name} {text}" for name, text in show_texts(run.metric, numbers).items())
        interval = run.metric.interval(numbers)
        texts += f", 95 %: {interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
        averaged = " (of the averaged weights)" if (run.described.folder / AVERAGED).is_file() else ""
        facts.append(("scores in their validation", f"{texts}{averaged}"))
    versions = state.get("versions")
    if isinstance(versions, dict):
        facts.append(("written by", ", ".join(f"{name} {value}" for name, value in versions.items())))
    return facts


def _read_state(described: SelfDescription | None) -> dict:
    return (read_state(described.folder) or {}) if described else {}


def list_training_difference_blocks(run: EvaluatedRun) -> list:
    """The settings that are not what the weights were trained with, as far as that is known."""
    if run.described is None or run.described.config is None:
        return [Paragraph("What the weights were trained with is not known: they do not say.")]
    sections = ["MODEL", run.section]
    try:
        own = read_own_config(run.described, run.spec, run.name, sections)
    except ConfigError as error:
        return [Paragraph(f"What the weights were trained with is not known: {error}")]
    others = [
        one for one in list_other_settings(run.config, own, sections) if one.value != run.described.class_names
    ]  # which is the checkpoint's own file, whatever its training read
    if not others:
        return [Paragraph("All are as the checkpoint has them.")]
    columns = [Column("setting"), Column("here"), Column("in the checkpoint"), Column("changes answers")]
    rows = [
        [
            one.name,
            Cell(_shorten(repr(one.value)), marked=one.matters),
            _shorten(repr(one.was)),
            Cell("yes" if one.matters else "no", marked=one.matters),
        ]
        for one in others
    ]
    return [Table("Settings that are not as the checkpoint has them", columns, rows)]


def load_published(spec, model_name: str) -> Config | None:
    """The model's own config; None where this project came without it."""
    try:
        return read_config(ConfigSource(None), spec, model_name, [], check=False)
    except ConfigError:
        return None


def list_setting_blocks(config: Config, published: Config | None, spec, sections: Sequence[str] = ()) -> list:
    """All settings, and those that differ from the model's own config. sections: which of them; all without any."""
    settings = [one for one in list_settings(config, published, spec.schema) if not sections or one.section in sections]
    differing = [setting for setting in settings if setting.differs]
    called = spec.default_config
    text = f"{len(differing)} of {len(settings)} differ from {called}, or from the default of a key that it leaves out."
    if published is None:
        text = f"{len(differing)} of {len(settings)} differ from the default; {called} cannot be read."
    tables = [_tabulate("Settings that differ", differing, called)] if differing else []
    return [Paragraph(text), *tables, _tabulate("All settings in force", settings, called)]


def _tabulate(caption: str, settings: list[Setting], published: str) -> Table:
    columns = [Column("setting"), Column("in force"), Column(published), Column("default"), Column("differs")]
    rows = [
        [
            one.name,
            Cell(_shorten(one.value), marked=one.differs),
            _shorten(one.published),
            _shorten(one.default),
            "yes" if one.differs else "no",
        ]
        for one in settings
    ]
    return Table(caption, columns, rows)


def _shorten(value: str | None) -> str:
    if value is None:
        return "-"
    cut = f"{value[:_LONGEST_SETTING]}... ({len(value):,} characters, whole in the config)"
    return value if len(value) <= _LONGEST_SETTING else cut


def list_environment_blocks(run: EvaluatedRun) -> list:
    """What it ran on, how it was called, and when the page was made."""
    facts = [*describe_environment().items(), *run.facts]
    facts += [("command", shlex.join(sys.orig_argv)), ("this page was made", format_time(time.time()))]
    return [Facts(facts)]
