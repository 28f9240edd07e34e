"""Where models, readers and metrics make themselves known: models by what users type, the others by what specs say."""

from tools.errors import ConfigError


class Registry:
    """Name -> builder; case is ignored.

    The names of models are what users type after ``--model-name``. Those of readers and metrics stand in the models'
    specs, so that a model on a known kind of data registers with neither.
    """

    def __init__(self, kind: str):
        self.kind = kind  # what messages call an entry
        self._entries = {}  # upper-case name -> (name as published, builder)

    def register(self, *names: str):
        """Decorator, as in ``@READERS.register("clips")``. One builder may have several names."""

        def keep(builder):
            for name in names:
                if name.upper() in self._entries:
                    raise ValueError(f"{self.kind} {name!r} is already registered")
                self._entries[name.upper()] = (name, builder)
            return builder

        return keep

    def get(self, name: str):
        return self._entry(name)[1]

    def canonical_name(self, name: str) -> str:
        """The published name, which file names use: ``attentioncluster`` -> ``AttentionCluster``."""
        return self._entry(name)[0]

    def names(self) -> list[str]:
        return sorted(name for name, _ in self._entries.values())

    def _entry(self, name: str):
        try:
            return self._entries[name.upper()]
        except KeyError:
            known = ", ".join(self.names())
            raise ConfigError(f"no {self.kind} named {name!r}; known: {known}") from None


MODELS = Registry("model")
READERS = Registry("reader")
METRICS = Registry("metrics")
