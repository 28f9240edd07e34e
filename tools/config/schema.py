"""What a config may hold: a dataclass a section, whose fields are its keys.

    @dataclass(frozen=True, kw_only=True)
    class TrainSection:
        epoch: int = key(minimum=1, meaning="epochs in all")
        total_videos: int | Literal["auto"] = key(minimum=1)
        pretrain_base: str | None = key("ResNet50_pretrained")

A field's type is ``int``, ``float``, ``str``, ``bool`` or a list of one of them, with ``None`` or words beside it where
those are values too, or words alone. A field without a default has to be given.
"""

import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tools.runtime.text import short_repr

REQUIRED = object()
_NAMES = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    bool: ("True or False", "True or False"),
}


@dataclass(frozen=True)
class Key:
    """What one key may hold.

    type: ``int``, ``float``, ``str``, ``bool``, or a list of one of them (``list[int]``); None where only words are
    values.
    default: the value of a key that is left out; without one the key must be given.
    optional: ``None`` is a value too, as it is where it is the default.
    minimum, below: bounds for numbers (of every item, in a list): minimum <= value < below.
    words: strings that are allowed besides.
    meaning: what the key does, in a few words; "" where nobody has said it.
    """

    type: Any
    default: Any = REQUIRED
    minimum: float | None = None
    below: float | None = None
    words: tuple[str, ...] = ()
    optional: bool = False
    meaning: str = ""

    @property
    def kind(self) -> Any:
        """The type of the value, or of each item of a list."""
        return get_args(self.type)[0] if get_origin(self.type) is list else self.type

    @property
    def expected(self) -> str:
        """The type as people say it, and the words."""
        one, many = _NAMES[self.kind] if self.type else ("", "")
        name = f"a list of {many}" if get_origin(self.type) is list else one
        return " or ".join([*[name] * bool(name), *map(repr, self.words)])

    def problem(self, value) -> str | None:
        """What is wrong with a value, as the end of a sentence; None if nothing is."""
        if value is None and (self.optional or self.default is None):
            return None
        if isinstance(value, str) and value in self.words:
            return None
        is_list = get_origin(self.type) is list
        items = value if is_list else [value]
        if self.type is None or (is_list and (not isinstance(value, list | tuple) or not value)):
            return f"should be {self.expected}"
        for i, item in enumerate(items):
            if reason := self._refuse(item):
                return f"{reason} (entry {i} is {short_repr(item)})" if is_list else reason
        return None

    def _refuse(self, item) -> str | None:
        """What is wrong with a value, or with an entry of a list."""
        if not _is_a(item, self.kind):
            return f"should be {self.expected}"
        if self.minimum is not None and item < self.minimum:
            return " or ".join([f"should be at least {self.minimum}", *map(repr, self.words)])
        if self.below is not None and item >= self.below:
            return " or ".join([f"should be less than {self.below:g}", *map(repr, self.words)])
        return None


def _is_a(value, kind) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def key(default: Any = MISSING, *, minimum: float | None = None, below: float | None = None, meaning: str = "") -> Any:
    """A field of a section, with bounds for its numbers: minimum <= value < below. meaning: what it does, for users."""
    return field(default=default, metadata={"minimum": minimum, "below": below, "meaning": meaning})


def keys_of(section: type) -> dict[str, Key]:
    """The rules of a section's dataclass, in the order of its fields."""
    hints = get_type_hints(section)
    return {item.name: _make_key(item, hints[item.name]) for item in fields(section)}


def _make_key(item, hint) -> Key:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    words = tuple(word for part in parts if get_origin(part) is Literal for word in get_args(part))
    kind = next((part for part in parts if part is not NoneType and get_origin(part) is not Literal), None)
    default = REQUIRED if item.default is MISSING else item.default
    return Key(kind, default, words=words, optional=NoneType in parts, **item.metadata)


@dataclass(frozen=True)
class Schema:
    """Everything a model's config may hold.

    sections: name -> frozen dataclass, as this module's docstring shows.
    obsolete: keys of 2019 that no longer do anything; accepted in any section, and named in a notice.
    check: called with the finished Config; raises ConfigError for values that do not fit each other.
    """

    sections: dict[str, type]
    obsolete: frozenset[str] = frozenset()
    check: Callable = lambda config: None

    def keys(self, section: str) -> dict[str, Key]:
        """Key -> rule of a section."""
        return keys_of(self.sections[section])

    def is_obsolete(self, section: str, name: str) -> bool:
        """Whether a key no longer does anything in a section."""
        return name in self.obsolete and name not in self.keys(section)
