"""How exactly a training step computes: in float32, or mixed with 16-bit numbers on a GPU. Imports Paddle."""

import contextlib

import numpy as np
import paddle

_SCALING = ("scale", "incr_count", "decr_count")  # what changes of a GradScaler's state
_TYPES = {"off": None, "bf16": "bfloat16", "fp16": "float16"}


class MixedPrecision:
    """What ``--amp`` asks for.

    Micikevicius et al., "Mixed Precision Training", ICLR 2018 (arXiv:1710.03740): weights and their changes stay
    float32 (section 3.1), and with float16 the loss is scaled so that small gradients survive (section 3.2).
    """

    def __init__(self, amp: str = "off"):
        self._type = _TYPES[amp]
        self._scaler = paddle.amp.GradScaler(enable=amp == "fp16", init_loss_scaling=2.0**15)

    def context(self):
        """For a forward pass."""
        if self._type is None:
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(dtype=self._type, level="O1")

    def scale(self, loss):
        """The loss to take the gradient of."""
        return self._scaler.scale(loss)

    def step(self, optimizer, parameters: list, grad_clip: float) -> None:
        """Change the weights by the gradients, unless scaling made some of them infinite.

        grad_clip: the largest norm of all gradients together; 0 for any.
        """
        self._scaler.unscale_(optimizer)
        if grad_clip:
            paddle.nn.utils.clip_grad_norm_(parameters, grad_clip)
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, float]:
        """Where the scaling stands, for a checkpoint; empty without any."""
        state = self._scaler.state_dict()
        return {key: np.asarray(state[key]).item() for key in _SCALING if key in state}

    def restore(self, state: dict[str, float]) -> None:
        """Resume from ``state``; from the beginning where it is empty, or nothing is scaled."""
        now = self._scaler.state_dict()
        if now and state.keys() == set(_SCALING):
            self._scaler.load_state_dict(now | state | {"scale": np.array([state["scale"]], np.float32)})
