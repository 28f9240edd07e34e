"""Optimizers whose arithmetic in Fluid differs from Paddle's of today."""

import math
from collections.abc import Callable

import paddle


class FluidAdam(paddle.optimizer.Adam):
    """Adam as Fluid computed it: epsilon stands beside the raw root of the second moment.

    Kingma & Ba, "Adam", ICLR 2015 (arXiv:1412.6980), section 2, the efficient form:
    ``p -= rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)``. Paddle (since 2.0;
    PaddlePaddle/Paddle#27778) multiplies that epsilon by sqrt(1 - beta2^t), which makes it 30 times smaller in the
    first steps; with it the second training loss already differs from 2019's by 8e-5.
    """

    def __init__(self, learning_rate, parameters, epsilon: float = 1e-8, **options):
        super().__init__(learning_rate, epsilon=epsilon, parameters=parameters, **options)
        self._fluid_epsilon = epsilon
        self._steps = 0

    def step(self):
        if self._get_auxiliary_var("found_inf"):  # of loss scaling: Adam leaves this step out, and does not count it
            return super().step()
        self._steps += 1
        epsilon = self._fluid_epsilon / math.sqrt(1 - self._beta2**self._steps)
        self._epsilon = self._default_dict["epsilon"] = epsilon  # the latter is what parameter groups use
        return super().step()

    def state_dict(self):
        return {**super().state_dict(), "steps": self._steps}

    def set_state_dict(self, state):
        state = dict(state)
        self._steps = int(state.pop("steps"))
        super().set_state_dict(state)


def split_parameters(network, chosen: Callable[[str], bool]) -> tuple[list, list]:
    """The trainable parameters whose names are chosen, and the others."""
    groups = [], []
    for name, parameter in network.named_parameters():
        if not parameter.stop_gradient:  # as the running statistics of batch normalisation have
            groups[not chosen(name)].append(parameter)
    return groups
