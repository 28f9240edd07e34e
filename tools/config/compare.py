"""The settings of a run beside others: those of the published config, the defaults, another run, a checkpoint."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.config.load import Config
from tools.config.schema import REQUIRED, Schema


@dataclass(frozen=True)
class Setting:
    """One key of a config, as ``SECTION.key``; values as a config writes them, None where there is none.

    published: in the model's own config. default: of a key that is left out.
    """

    name: str
    value: str
    published: str | None
    default: str | None

    @property
    def section(self) -> str:
        return self.name.partition(".")[0]

    @property
    def differs(self) -> bool:
        """From the published config, or from the default where that does not say."""
        usual = self.default if self.published is None else self.published
        return usual is not None and self.value != usual


@dataclass(frozen=True)
class Difference:
    """A setting that is not what it was; its name is SECTION.key, or what else a run calls it."""

    name: str
    value: Any
    was: Any


def list_differences(settings: Mapping[str, Any], former: Mapping[str, Any]) -> list[Difference]:
    """Of settings by name, those that both have and that are not the same."""
    shared = [name for name in settings if name in former]
    return [Difference(name, settings[name], former[name]) for name in shared if settings[name] != former[name]]


def list_settings(config: Config, published: Config | None, schema: Schema) -> list[Setting]:
    """All of a config's settings in its order. published: None where it cannot be read."""
    found = []
    own = flatten(published, schema.sections) if published else {}
    for name, value in flatten(config, schema.sections).items():
        section, key = name.split(".")
        default = schema.keys(section)[key].default
        usual = repr(own[name]) if name in own else None
        found.append(Setting(name, repr(value), usual, None if default is REQUIRED else repr(default)))
    return found


def flatten(config: Config, sections: Iterable[str]) -> dict[str, Any]:
    """``SECTION.key`` -> value, of those sections that the config has."""
    sections = {name: asdict(config[name]) for name in sections if name in config}
    return {f"{name}.{key}": value for name, values in sections.items() for key, value in values.items()}


def differing(all_settings: Sequence[dict[str, str]]) -> dict[str, list[str | None]]:
    """Name -> its value in each of several runs, None where one lacks it, of settings that are not the same in all."""
    names = dict.fromkeys(name for settings in all_settings for name in settings)
    values = {name: [settings.get(name) for settings in all_settings] for name in names}
    return {name: row for name, row in values.items() if len(set(row)) > 1}
