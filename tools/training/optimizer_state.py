"""An optimizer's state under names that another process understands."""

import re
from collections.abc import Collection

import numpy as np

from tools.errors import CheckpointError
from tools.runtime.text import short_repr, some_of

_MOST_NAMED = 5  # parameters in a message


def optimizer_arrays(optimizer, network) -> dict:
    """An optimizer's state, accumulators under ``(accumulator, parameter)`` joined by a slash.

    Paddle (3.3.1; PaddlePaddle/Paddle#30506) names them after counters that depend on what else was built in the
    process.
    """
    names = {parameter.name: name for name, parameter in network.named_parameters()}
    arrays = {}
    for key, value in optimizer.state_dict().items():
        owner = max((own for own in names if key.startswith(own + "_")), key=len, default=None)
        if owner is None:
            arrays[key] = value
        else:
            accumulator = re.sub(r"_\d+$", "", key[len(owner) + 1 :])
            # A state that was filled in and not used yet is still the array that it was filled from.
            arrays[f"{accumulator}/{names[owner]}"] = value if isinstance(value, np.ndarray) else value.numpy()
    return arrays


def load_into_optimizer(
    optimizer, network, arrays: dict, source: str, frozen: Collection[str] = (), new: Collection[str] = ()
) -> None:
    """The reverse of ``optimizer_arrays``, for an optimizer that has not taken a step.

    frozen: parameters that are not trained now, whose state is not needed. new: those that may not have been trained
    before; their state is zeros then.
    Raises CheckpointError naming an entry that does not belong to this network.
    """
    trained = [(name, parameter) for name, parameter in network.named_parameters() if not parameter.stop_gradient]
    parameters = {name: parameter for name, parameter in trained if name not in frozen}
    arrays = {key: value for key, value in arrays.items() if str(key).partition("/")[2] not in frozen}
    state, owners = {}, {}
    for key, value in arrays.items():
        accumulator, slash, name = str(key).partition("/")
        if not slash:
            if key != "steps" or not isinstance(value, int) or value < 0:
                raise CheckpointError(f"{source}: {short_repr(key)} = {short_repr(value)} is no state of an optimizer")
            state[key] = value
        elif name not in parameters or not isinstance(value, np.ndarray) or value.dtype != np.float32:
            raise CheckpointError(f"{source}: {short_repr(key)} does not belong to the optimizer of this network")
        elif list(value.shape) not in ([1], list(parameters[name].shape)):
            raise CheckpointError(f"{source}: {short_repr(key)} of the optimizer has shape {list(value.shape)}")
        else:
            state[f"{parameters[name].name}_{accumulator}_0"] = value
            owners.setdefault(accumulator, set()).add(name)
    for accumulator, names in owners.items():
        # Paddle (3.3.1) takes a state for all parameters of a step or for none.
        for name in (parameters.keys() - names).intersection(new):
            parameter = parameters[name]
            state[f"{parameter.name}_{accumulator}_0"] = np.zeros(parameter.shape, np.float32)
            names.add(name)
        if missing := parameters.keys() - names:
            lacks = f"the optimizer's {accumulator} of {some_of(sorted(missing), _MOST_NAMED)} is missing"
            raise CheckpointError(f"{source}: {lacks}")
    optimizer.set_state_dict(state)
