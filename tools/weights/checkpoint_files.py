"""What a checkpoint folder holds, and how it is read and checked.

- ``model.pdparams``: a pickled dict of NumPy arrays by parameter name, which ``paddle.load`` reads;
- ``optimizer.pdopt``: the same for the optimizer, by accumulator and parameter name;
- ``averaged.pdparams``: as the first, with the averages that ``--ema`` keeps of the weights, if it does;
- ``config.txt``, ``class_names.csv``: see ``self_description.py``;
- ``state.json``: position, scores, settings and versions, size and CRC-32 of all files above, and a sum of its own
  content. Earlier versions left out the last, and the sums of the two above.
"""

import json
from pathlib import Path

import numpy as np

from tools.errors import CheckpointError
from tools.files.pickles import DAMAGED, UnsafePickle, load_pickle
from tools.files.sums import fits_sum, is_intact
from tools.runtime.packages import VERSION
from tools.runtime.text import printable, short_repr
from tools.weights.advice import WEIGHTS, describe_contents, near
from tools.weights.state_names import is_optimizer_state

OPTIMIZER, AVERAGED, STATE = "optimizer.pdopt", "averaged.pdparams", "state.json"  # beside WEIGHTS
FORMAT = 2  # of such a folder; 1 had no self-description and did not say its number
INSTEAD = f"take another checkpoint, or for the weights alone a copy of {WEIGHTS} in another folder, with --config"
_EXPECTED = "a .pdparams is a dict of NumPy arrays by name, as paddle.save writes one of network.state_dict()"
_NAME_TABLE = "StructuredToParameterName@@"  # what paddle.save adds to a state dict


def load_checkpoint_weights(path: Path, model_name: str | None) -> dict[str, np.ndarray]:
    """The weights of a checkpoint folder by name; state.json may be missing. Raises CheckpointError.

    model_name: whose they have to be, if the folder says it; None for any.
    """
    state = read_state(path)
    if state is not None and model_name:
        require_model(path, state, model_name)
    if not (path / WEIGHTS).is_file():
        raise CheckpointError(f"{path} holds no weights ({WEIGHTS}); {describe_contents(path)}")
    if state is not None:
        require_whole(path / WEIGHTS, state)
    return load_arrays(path / WEIGHTS)


def network_arrays(network) -> dict[str, np.ndarray]:
    """A network's parameters and buffers by name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def read_state(path: Path) -> dict | None:
    """The state.json of a folder; None where there is none. Raises CheckpointError."""
    if not path.exists():
        raise CheckpointError(f"{path} does not exist")
    try:
        state = json.loads((path / STATE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path / STATE} cannot be read: {error}") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path / STATE} holds a {type(state).__name__}, expected a training state")
    _require_known_format(path, state)
    if not is_intact(state, STATE) or not all(_is_plain(name) for name in listed_files(state)):
        raise CheckpointError(f"{path / STATE} is damaged: its content is not what its own checksum says; {INSTEAD}")
    return state


def _require_known_format(path: Path, state: dict) -> None:
    versions = state.get("versions")
    written = versions.get("format") if isinstance(versions, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise CheckpointError(
            f"{path} is in format {written}, written by version {printable(versions.get('project'))} of this project; "
            f"this is version {VERSION}, which reads up to format {FORMAT}"
        )


def listed_files(state: dict) -> list[str]:
    """The names of the files whose sums a state.json has, without itself."""
    files = state.get("files")
    return [name for name in files if name != STATE] if isinstance(files, dict) else []


def _is_plain(name: str) -> bool:
    """Whether it names a file in the folder itself, as all names that we write do."""
    return name.isprintable() and Path(name).name == name != ""


def require_whole(content: Path, state: dict) -> None:
    """Raise CheckpointError unless a file has the size and checksum that its state.json says."""
    facts = state["files"][content.name] if content.name in listed_files(state) else None
    if not isinstance(facts, dict):
        raise CheckpointError(f"{content.parent / STATE} does not say what {content.name} should be")
    try:
        whole = fits_sum(content, facts)
    except OSError as error:
        raise CheckpointError(f"{content} cannot be read: {error}") from None
    if not whole:
        raise CheckpointError(f"{content} is damaged: its size or checksum is not what {STATE} says")


def require_model(path: Path, state: dict, model_name: str) -> None:
    """Raise CheckpointError unless a folder's state.json names the model."""
    if state.get("model") != model_name:
        raise CheckpointError(f"{path} holds {state.get('model')}, but --model-name is {model_name}")


def load_dict(path: Path) -> dict:
    """A pickled dict with str keys where they were bytes, without Paddle's own entry. Raises CheckpointError."""
    try:
        with open(path, "rb") as file:
            content = load_pickle(file)
    except UnsafePickle as error:
        raise CheckpointError(f"{path} cannot be read (UnsafePickle: {error}); {_EXPECTED}") from None
    except (OSError, *DAMAGED) as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}: {error})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected weights by name; {_EXPECTED}")
    plain = {key: value.view(np.ndarray) if isinstance(value, np.ndarray) else value for key, value in content.items()}
    plain = {key.decode() if isinstance(key, bytes) else key: value for key, value in plain.items()}
    plain.pop(_NAME_TABLE, None)
    return plain


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled dict by name, all of them finite. Raises CheckpointError."""
    content = load_dict(path)
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, np.ndarray):
            if is_optimizer_state(content):
                raise CheckpointError(f"{path} holds an optimizer's state, not weights; {near(path) or _EXPECTED}")
            raise CheckpointError(
                f"{path}: {short_repr(key)} is not an array under a name, so this is no file of weights; {_EXPECTED}"
            )
        if not np.isfinite(value).all():
            raise CheckpointError(f"{path}: {key} holds values that are not finite")
    return content
