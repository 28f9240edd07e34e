"""Networks of which names and shapes are known and no values. Paddle is imported when the first one is built."""

import functools
import tempfile
from pathlib import Path

from tools.config.flags import ConfigSource, read_config
from tools.registry import MODELS


def build_network(model_name: str, source: ConfigSource):
    """The network of a config, of which names and shapes are known and no values."""
    import paddle

    spec = MODELS.get(model_name)()
    with tempfile.TemporaryDirectory() as folder:
        placeholders = spec.make_placeholders(Path(folder))  # names and shapes do not depend on what they hold
        overrides = (*source.overrides, *placeholders)
        config = read_config(ConfigSource(source.path, overrides), spec, model_name, ["MODEL"])
        with paddle.LazyGuard():
            return spec.build_network(config)


@functools.cache
def published_networks() -> tuple[tuple[str, object], ...]:
    """(name, network) of every model, by its published config."""
    return tuple((name, build_network(name, ConfigSource(None))) for name in MODELS.names())
