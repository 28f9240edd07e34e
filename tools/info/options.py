"""What the flags of tools.info say."""

from dataclasses import dataclass

from tools.config.flags import ConfigSource


@dataclass(frozen=True)
class InfoOptions:
    """model_name, weights: at most one of them is given. json_wanted: JSON in place of text."""

    model_name: str | None
    weights: str | None
    config: ConfigSource
    json_wanted: bool = False
