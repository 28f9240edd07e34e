"""Where the weights are in what trainers save with PyTorch: alone, or under a name beside epoch and optimizer."""

from dataclasses import dataclass

from tools.errors import CheckpointError
from tools.runtime.text import short_repr
from tools.weights.torch_pickles import Tensor

_PLAIN = ("state_dict", "model", "model_state_dict", "model_state", "net", "network", "weights")
_AVERAGED = ("model_ema", "state_dict_ema", "ema_state_dict", "ema")
_KNOWN = f"weights alone, or under {', '.join(map(repr, _PLAIN[:3]))} or {_AVERAGED[0]!r}"
_MOST_SHOWN = 8


@dataclass(frozen=True)
class StateDict:
    """Tensors by name. notes: where they were, and what was left out. network: what the file calls its network."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    network: str = ""


def find_state_dict(content) -> StateDict:
    """The weights in the object that a file holds. Raises CheckpointError for none, and for several that are as good.

    Weights come before averages of them, as in this project's own checkpoints.
    """
    content = _with_text(content)
    if content is None:
        raise CheckpointError(f"it holds no dict by names; expected {_KNOWN}")
    if tensors := _tensors_of(content):
        return StateDict(tensors)
    found = {key: tensors for key in (*_PLAIN, *_AVERAGED) if (tensors := _tensors_of(_with_text(content.get(key))))}
    plain = [key for key in found if key in _PLAIN]
    chosen = plain or list(found)
    if len(chosen) > 1:
        raise CheckpointError(
            f"it holds weights under {' and '.join(map(repr, chosen))}, and which to take is not clear; save one alone"
        )
    if not chosen:
        shown = ", ".join(short_repr(key, 40) for key in list(content)[:_MOST_SHOWN])
        what = f"no dict of tensors alone, but {shown}" if shown else "an empty dict"
        raise CheckpointError(f"it holds {what}; expected {_KNOWN}")
    (key,) = chosen
    notes = [f"the weights are those under {key!r}" + " (averages)" * (key in _AVERAGED)]
    if others := [other for other in found if other != key]:
        notes.append(f"averaged weights under {' and '.join(map(repr, others))} are left out")
    said = content.get("arch")
    said = said.decode("latin1") if isinstance(said, bytes) else said
    return StateDict(found[key], tuple(notes), said[:100] if isinstance(said, str) else "")


def _with_text(value) -> dict | None:
    """A dict with text as keys, also where Python 2 wrote them; None for anything else."""
    if not isinstance(value, dict):
        return None
    named = {key.decode("utf-8", "replace") if isinstance(key, bytes) else key: item for key, item in value.items()}
    return named if len(named) == len(value) and all(isinstance(key, str) for key in named) else None


def _tensors_of(named: dict | None) -> dict[str, Tensor] | None:
    """A dict of tensors alone; None for anything else."""
    return named if named and all(isinstance(value, Tensor) for value in named.values()) else None
