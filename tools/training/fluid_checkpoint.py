"""Resuming a training of 2019: its folder of variables as a Checkpoint."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from tools.training.checkpoint import Checkpoint, Progress
from tools.weights.files import WeightFile
from tools.weights.fluid_names import name_arrays, trained_names, variables_of
from tools.weights.loading import own_arrays
from tools.weights.state_names import ACCUMULATORS, STEP_COUNTER, split_state


def as_checkpoint(
    file: WeightFile, network, optimizer, progress: Progress, steps_per_epoch: int, model_name: str
) -> Checkpoint:
    """What a folder or file of 2019 holds of a training; its notes say what is newly initialised.

    Weights have to be there, the optimizer's state is taken if it is complete, the steps taken are those that
    Fluid counted, and the epoch is that of a folder's name, ``{model}_epoch{N}``.
    progress: of a run that begins. Raises CheckpointError for weights that do not fit.
    """
    weights, match = own_arrays(network, file)
    arrays, _ = name_arrays(file, network)
    state, problem = _optimizer_state(arrays, network, optimizer)
    notes = [*match.changes] if state else [*match.notes]
    if problem:
        notes.append(f"the optimizer is newly initialised: {problem}")
    named = re.fullmatch(re.escape(model_name) + r"_epoch(\d+)", Path(file.path).name, re.IGNORECASE)
    epoch = int(named[1]) + 1 if named else 0
    if not named:
        notes.append(f"epochs are counted from 0: {Path(file.path).name} is not called {model_name}_epoch and a number")
    counted = _steps_taken(arrays)
    if counted is None:
        counted = epoch * steps_per_epoch
        notes.append(
            f"the steps taken are not known, having no {STEP_COUNTER}: the learning rate continues as after "
            f"{counted} steps, {epoch} epochs of {steps_per_epoch}"
        )
    if state and "steps" in optimizer.state_dict():  # one that counts its own, as FluidAdam
        state["steps"] = counted
    notes.append("the best score is looked for anew")
    return Checkpoint(
        Path(file.path), weights, state, replace(progress, epoch=epoch, steps_taken=counted), tuple(notes)
    )


def _optimizer_state(arrays: dict, network, optimizer) -> tuple[dict | None, str]:
    """The state as ``optimizer_arrays`` gives it, or None and why."""
    kinds = [kind.__name__ for kind in type(optimizer).__mro__]
    accumulators = next(names for kind, names in ACCUMULATORS.items() if kind in kinds)
    if not any(split_state(name) and split_state(name)[0] for name in arrays):
        return None, "there is none of its state"
    layouts, state = variables_of(network, released=True), {}
    for own, name in trained_names(network).items():
        for accumulator in accumulators:
            key = f"{name}_{accumulator}_0"
            value = arrays.get(key)
            if value is None:
                return None, f"there is no {key}"
            whole = list(value.shape) == layouts[own].shape
            if value.dtype != np.float32 or not (whole or list(value.shape) == [1]):
                return None, f"{key} is {value.dtype} of shape {list(value.shape)}"
            value = layouts[own].layout.to_own(value) if whole else value
            state[f"{accumulator}/{own}"] = np.require(value, np.float32, ["C", "A", "W"])
    return state, ""


def _steps_taken(arrays: dict) -> int | None:
    """By Fluid's counter, or by the powers of beta2 that Adam keeps, which begin at beta2."""
    counter = arrays.get(STEP_COUNTER)
    if counter is not None and counter.size == 1 and counter.dtype.kind == "i" and counter.item() >= -1:
        return counter.item() + 1
    powers = [value.item() for name, value in arrays.items() if name.endswith("_beta2_pow_acc_0") and value.size == 1]
    if not powers or not powers[0] < 1:
        return None
    return max(0, round(math.log(max(powers[0], _LEAST_POWER)) / math.log(_BETA2)) - 1)


_BETA2 = 0.999
_LEAST_POWER = 1e-30  # that of 69,043 steps; float32 cannot tell later ones apart for long
