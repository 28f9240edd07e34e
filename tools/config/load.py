"""Configs: INI ``.txt`` as in 2019, or the same sections as ``.yaml``, checked against a schema.

Values are Python literals. Everything a user can get wrong is found here, before any data is read
and before Paddle is imported, and is reported with file, section and key.
"""

import ast
import configparser
import contextlib
import re
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tools.config.schema import REQUIRED, Key, Schema
from tools.errors import ConfigError
from tools.files.recognise import FileKind, recognise_file
from tools.files.texts import NotTextError, read_text
from tools.runtime.text import printable, short_repr, shorten

_EXPECTED = "a config is a text with the sections MODEL, TRAIN, ...; the published ones are in configs/"
_MOST_BYTES = 300_000  # of a config, a hundred times as many as the published ones have
_MOST_BLANKS = 200  # in a row, for which configparser takes a time that is their square
_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)  # what ast.literal_eval raises


class _Unquoted(str):
    """A value of an INI file that is no Python literal: a string without quotes, or something else misspelt."""

    __slots__ = ()


@dataclass(frozen=True)
class Override:
    """A value given on the command line. ``raw`` values come from ``--set`` and are parsed here."""

    section: str
    key: str
    value: Any
    flag: str
    raw: bool = False


class Config:
    """A checked config: ``config.TRAIN.batch_size``, or ``config["TRAIN"].batch_size``.

    path: what the user can open. sections: name -> an object of the schema's dataclass, which cannot be changed.
    notices: lines worth logging once. replaced: (section, key) -> what the file says, or None, in place of which the
    command line's value holds; unchecked. model_name: whose config it is, "" where that is not said.
    """

    def __init__(
        self,
        path: str,
        sections: dict[str, Any],
        notices: list[str],
        replaced: dict[tuple[str, str], Any] | None = None,
        model_name: str = "",
    ):
        self.path = path
        self.model_name = model_name
        self.notices = notices
        self.replaced = replaced or {}
        self._sections = sections

    def __getitem__(self, section: str):
        return self._sections[section]

    def __getattr__(self, name):
        try:
            return self.__dict__["_sections"][name]
        except KeyError:
            raise AttributeError(f"no section [{name}] in {self.__dict__.get('path')}") from None

    def __contains__(self, section: str) -> bool:
        return section in self._sections

    def where(self, section: str) -> str:
        return f"{self.path} [{section}]"

    def text(self) -> str:
        """The settings in force as an INI file that ``load_config`` reads back to the same values."""
        sections = {name: asdict(section) for name, section in self._sections.items()}
        if self.model_name and "MODEL" in sections:
            sections["MODEL"] = {"name": self.model_name} | sections["MODEL"]
        return format_ini(sections)


def format_ini(sections: dict[str, dict[str, Any]]) -> str:
    """Sections as a text that ``load_config`` reads."""
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value!r}" for key, value in values.items()), ""]
    return "\n".join(lines)


def load_config(
    path: str,
    schema: Schema,
    needs: Iterable[str],
    model_name: str,
    overrides: Iterable[Override] = (),
    *,
    check: bool = True,
) -> Config:
    """Read and check a config.

    needs: the sections without which this run cannot start; others may be absent, but what they
        hold is checked too.
    check: whether values have to fit each other too, by ``schema.check``.
    Raises ConfigError naming file, section and key, what came, and what would work.
    """
    sections = {name: dict(values) for name, values in _read(path).items()}
    for name in needs:
        if name not in sections:
            found = shorten(", ".join(sections), 200) or "none"
            raise ConfigError(f"{path}: section [{name}] is missing; sections found: {found}")
    named = sections.get("MODEL", {}).pop("name", model_name)
    if str(named).upper() != model_name.upper():
        raise ConfigError(f"{path} [MODEL]: name = {short_repr(named)}, but --model-name is {model_name}")

    replaced = _apply(overrides, sections, schema, set(needs))
    obsolete = []
    for name, values in sections.items():
        where = f"{path} [{name}]"
        if name not in schema.sections:
            raise ConfigError(f"{path}: unknown section [{shorten(name, 80)}]; {_hint(name, schema.sections)}")
        for key in [key for key in values if schema.is_obsolete(name, key)]:
            del values[key]
            obsolete.append(f"{name}.{key}")
        sections[name] = schema.sections[name](**check_section(values, schema.keys(name), where))
    notices = [f"{path}: without effect since 2019: {', '.join(obsolete)}"] if obsolete else []
    config = Config(path, sections, notices, replaced, model_name)
    if check:
        schema.check(config)
    return config


def read_model_name(path: str) -> str | None:
    """The name in a config's [MODEL], unchecked; None without one. Raises ConfigError for what is no config."""
    name = _read(path).get("MODEL", {}).get("name")
    return None if name is None else str(name)


def check_section(values: dict, keys: dict[str, Key], where: str) -> dict:
    """Refuse unknown, wrong and missing keys; return the values in the order of ``keys``, defaults filled in.

    where: what the user can open, such as ``configs/tsn.txt [TRAIN]``.
    """
    for key, value in values.items():
        _check_value(key, value, keys, where)
    missing = [key for key, rule in keys.items() if key not in values and rule.default is REQUIRED]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")
    filled = {key: values.get(key, rule.default) for key, rule in keys.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in filled.items()}


def parse_set(text: str) -> Override:
    """``SECTION.key=value`` as given to ``--set``."""
    match = re.fullmatch(r"(\w+)\.(\w+)=(.*)", text, flags=re.DOTALL)
    if match is None:
        raise ConfigError(f"--set {text}: expected SECTION.key=value, as in --set TRAIN.batch_size=64")
    section, key, value = match.groups()
    return Override(section, key, value, flag=f"--set {section}.{key}", raw=True)


def _check_value(key: str, value, keys: dict[str, Key], where: str) -> None:
    if key not in keys:
        raise ConfigError(f"{where}: unknown key {short_repr(key)}; {_hint(key, keys)}")
    rule = keys[key]
    if isinstance(value, _Unquoted):
        raise ConfigError(f"{where}: {_explain_unquoted(key, value, rule)}")
    if problem := rule.problem(value):
        raise ConfigError(f"{where}: {key} = {short_repr(value, 200)} {problem}")


def _explain_unquoted(key: str, value: str, rule: Key) -> str:
    """What is wrong with a value of an INI file that is no Python literal."""
    value = shorten(printable(value), 200)
    if not value:
        return f"{key} has no value; it should be {rule.expected}"
    if value.lower() in ("none", "null"):
        return f"{key} = {value} should be {'None' if rule.problem(None) is None else rule.expected}"
    if rule.type is str or value in rule.words:
        return f"{key} = {value} is not a Python literal; strings need quotes, as in {key} = {str(value)!r}"
    return f"{key} = {value} should be {rule.expected}"


def _apply(overrides: Iterable[Override], sections: dict, schema: Schema, needs: set[str]) -> dict:
    """Put command line values into the sections, each checked under the name of its flag; return Config's ``replaced``.

    A named flag that stands for several sections passes over one that is neither there nor needed.
    """
    replaced = {}
    for item in overrides:
        if item.section not in schema.sections:
            raise ConfigError(f"{item.flag}: no section [{item.section}]; {_hint(item.section, schema.sections)}")
        if item.raw and schema.is_obsolete(item.section, item.key):
            continue
        if not item.raw and item.section not in sections and item.section not in needs:
            continue
        if item.raw and (item.section, item.key) == ("MODEL", "name"):
            raise ConfigError(f"{item.flag}: --model-name says which model it is")
        value = item.value
        if item.raw:
            # A bare word is left as it is: right for a string, and the check speaks up for the rest.
            with contextlib.suppress(*_NO_LITERAL):
                value = _parse_literal(value)
        _check_value(item.key, value, schema.keys(item.section), item.flag)
        values = sections.setdefault(item.section, {})
        replaced.setdefault((item.section, item.key), values.get(item.key))
        values[item.key] = value
    return replaced


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1) or get_close_matches(name.lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"


def _read(path: str) -> dict[str, dict]:
    try:
        text = read_text(path, _MOST_BYTES)
    except NotTextError as error:
        raise ConfigError(f"config {path} {error}") from None
    except FileNotFoundError:
        raise ConfigError(f"config {path} does not exist; the published ones are in configs/") from None
    except IsADirectoryError:
        raise ConfigError(f"config {path} is a folder; {_EXPECTED}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from None
    if not text.strip():
        raise ConfigError(f"config {path} is empty")
    if Path(path).suffix.lower() in (".yaml", ".yml"):  # of which JSON is a part
        from tools.config.yaml_text import read_yaml  # only YAML configs need it

        return read_yaml(path, text)
    if (kind := recognise_file(path)) in (FileKind.HTML, FileKind.XML, FileKind.JSON):
        raise ConfigError(f"config {path} is {kind}; {_EXPECTED}")
    return _read_ini(path, text)


def _read_ini(path: str, text: str) -> dict[str, dict]:
    if blanks := re.search(rf"[^\S\n]{{{_MOST_BLANKS},}}", text):
        line = text.count("\n", 0, blanks.start()) + 1
        raise ConfigError(f"config {path} line {line} has {len(blanks[0]):,} blanks in a row; expected key = value")
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    parser.optionxform = str  # keys keep their case
    try:
        parser.read_string(text, source=path)
    except configparser.MissingSectionHeaderError as error:
        line = shorten(printable(error.line.strip()), 60)
        raise ConfigError(
            f"config {path} line {error.lineno}: {line} stands in no section; a config begins with [MODEL]"
        ) from None
    except configparser.Error as error:
        raise ConfigError(f"config {path}: {shorten(' '.join(str(error).split()), 300)}") from None
    return {name: {key: _literal(value) for key, value in parser.items(name)} for name in parser.sections()}


def _literal(text: str):
    try:
        return _parse_literal(text)
    except _NO_LITERAL:
        return _Unquoted(text)


def _parse_literal(text: str):
    """Raises one of _NO_LITERAL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of 1if, say, which is no literal in any case
        return ast.literal_eval(text)
