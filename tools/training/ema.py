"""Averages of a network's weights over its training, which often score better than the weights. Imports Paddle."""

import contextlib
from collections.abc import Iterator

import numpy as np
import paddle

from tools.errors import CheckpointError


class ExponentialMovingAverage:
    """The exponential moving average of everything that is trained; running statistics are left as they are.

    Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 30 (1992),
    in the exponential form. decay: of the earlier weights, in (0, 1); at the beginning it is less, (1 + t) / (10 + t)
    after t steps, so that the first weights do not stay in the average for long.
    """

    def __init__(self, network, decay: float):
        self._network = network
        self._decay = decay
        self._parameters = {name: value for name, value in network.named_parameters() if not value.stop_gradient}
        self.restart()

    def restart(self) -> None:
        """Begin with the weights as they are."""
        self._averages = {name: value.detach().clone() for name, value in self._parameters.items()}

    def follow_frozen(self) -> bool:
        """Begin anew with what is not trained now, as what it was on average is moved no more; whether that changes it.

        What a frozen part has made of the data would not be that of its averages.
        """
        frozen = [name for name, parameter in self._parameters.items() if parameter.stop_gradient]
        changed = any(not paddle.equal_all(self._averages[name], self._parameters[name]) for name in frozen)
        self._averages |= {name: self._parameters[name].detach().clone() for name in frozen}
        return changed

    def update(self, steps_taken: int) -> None:
        """Take in the weights as they are after so many steps."""
        decay = min(self._decay, (1 + steps_taken) / (10 + steps_taken))
        with paddle.no_grad():
            for name, average in self._averages.items():
                if not self._parameters[name].stop_gradient:  # or else only rounding would change the average
                    average.scale_(decay)
                    average.add_(self._parameters[name] * (1 - decay))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averages for its weights."""
        weights = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._set_weights(self._averages)
        try:
            yield
        finally:
            self._set_weights(weights)

    def arrays(self) -> dict[str, np.ndarray]:
        """Parameters, averaged, and buffers by name: a whole set of weights."""
        arrays = {name: value.numpy() for name, value in self._network.state_dict().items()}
        return arrays | {name: value.numpy() for name, value in self._averages.items()}

    def restore(self, arrays: dict[str, np.ndarray], source: str) -> None:
        """Resume from what ``arrays`` gave. Raises CheckpointError for that of another network."""
        for name, average in self._averages.items():
            if name not in arrays or list(arrays[name].shape) != average.shape:
                raise CheckpointError(f"{source} holds averaged weights of another network: {name} is not as here")
            average.set_value(arrays[name])

    def _set_weights(self, values: dict) -> None:
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                parameter.set_value(values[name])
