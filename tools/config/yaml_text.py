"""Configs in YAML, of which JSON is a part.

YAML lets a few bytes stand for much: an alias for a value that holds aliases, a number in base 60 of any length. What a
config would grow to is counted before it is made.
"""

import re

import yaml

from tools.errors import ConfigError
from tools.runtime.text import short_repr, shorten

_MOST_VALUES = 100_000  # with those of aliases, each as often as it is named
_LONGEST_NUMBER = 400  # characters
_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
_DAMAGED = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-5 as a number, as YAML 1.2 does, and refuses a key given twice."""

    def construct_scalar(self, node):
        if node.tag in _NUMBERS and len(str(node.value)) > _LONGEST_NUMBER:
            raise ValueError(f"line {node.start_mark.line + 1} has a number of {len(node.value):,} characters")
        return super().construct_scalar(node)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key in seen:
                what = "is no text" if key is None else f"{short_repr(key)} is given twice"
                raise ValueError(f"key {what}, line {node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)$"), list("-+0123456789.")
)


def read_yaml(path: str, text: str) -> dict[str, dict]:
    """The sections of a config. Raises ConfigError."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"config {path} is empty")
        if _count(node, {}) > _MOST_VALUES:
            raise ConfigError(f"config {path} has more than {_MOST_VALUES:,} values, those of its aliases among them")
        content = loader.construct_document(node)
    except _DAMAGED as error:
        reason = shorten(" ".join(str(error).split()), 300) or type(error).__name__
        raise ConfigError(f"config {path} is not valid YAML: {reason}") from None
    sections = content.values() if isinstance(content, dict) else [None]
    keys = [key for values in sections if isinstance(values, dict) for key in values]
    named = isinstance(content, dict) and all(isinstance(key, str) for key in [*content, *keys])
    if not named or not all(isinstance(values, dict) for values in sections):
        raise ConfigError(f"config {path}: expected sections (MODEL, TRAIN, ...) that hold keys")
    return content


def _count(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """The values that a node stands for. known: of those seen before. Raises ValueError for one that holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in known:
        known[node] = 0  # until it is counted
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[node] = 1 + sum(_count(part, known) for part in parts)
    if not known[node]:
        raise ValueError(f"line {node.start_mark.line + 1} holds itself")
    return known[node]
