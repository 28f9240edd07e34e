"""The names under which Fluid, and Paddle after it, kept an optimizer's state beside the weights."""

import re
from collections.abc import Iterable

# Optimizer (Paddle's class) -> what Fluid kept of it for every trained variable, as "{variable}_{this}_0".
ACCUMULATORS = {
    "Adam": ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc"),
    "Momentum": ("velocity",),
    "RMSProp": ("momentum", "mean_square", "mean_grad"),
}
STEP_COUNTER = "@LR_DECAY_COUNTER@"  # steps taken, less one
_ANY = "|".join(name for names in ACCUMULATORS.values() for name in names)
_STATE = re.compile(rf"(?P<owner>.+)_(?P<accumulator>{_ANY})_\d+")
_SHARED_STATE = re.compile(rf"learning_rate(_\d+)?|{STEP_COUNTER}")
# In a .pdopt: this project's "{this}/{parameter}" and "steps", and what Paddle 2 and 3 add to the state.
_OF_PDOPT = re.compile(rf"({_ANY})/.+|steps|LR_Scheduler|master_weights|global_step")


def split_state(name: str) -> tuple[str, str] | None:
    """(variable, accumulator) of a name that Fluid gave to an optimizer's state, ("", name) of what is not
    of one variable, None of any other name."""
    if match := _STATE.fullmatch(name):
        return match["owner"], match["accumulator"]
    return ("", name) if _SHARED_STATE.fullmatch(name) else None


def is_optimizer_state(names: Iterable) -> bool:
    """Whether these are the names of a .pdopt: an optimizer's state and nothing else."""
    names = [str(name) for name in names]
    return bool(names) and all(split_state(name) or _OF_PDOPT.fullmatch(name) for name in names)
