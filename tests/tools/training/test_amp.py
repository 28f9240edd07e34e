"""Mixed precision: the loss is scaled, and a step that overflows is skipped."""

import json
from contextlib import contextmanager

import numpy as np
import paddle
import pytest

from models.optimizers import FluidAdam
from tests.tools.small_networks import Line, make_batch
from tests.tools.training.descent import BEGINNING, descend
from tools.training.amp import MixedPrecision
from tools.training.step import train_epoch


class Scaler:
    """Stands in for paddle.amp.GradScaler, which works on GPUs only, with the rules of its documentation."""

    def __init__(self, enable=True, init_loss_scaling=65536.0, incr_every_n_steps=2):
        self.enable, self.value, self.every = enable, init_loss_scaling, incr_every_n_steps
        self.good = self.bad = 0
        self.found_inf = False

    def scale(self, loss):
        return loss * self.value if self.enable else loss

    def unscale_(self, optimizer):
        if not self.enable:
            return
        gradients = [parameter.grad for parameter in optimizer._parameter_list if parameter.grad is not None]
        for gradient in gradients:
            gradient.set_value(gradient / self.value)
        self.found_inf = not all(bool(paddle.isfinite(gradient).all()) for gradient in gradients)

    def step(self, optimizer):
        if self.enable:
            optimizer._set_auxiliary_var("found_inf", paddle.to_tensor([self.found_inf]))
        optimizer.step()  # which looks at that, as Paddle's do

    def update(self):
        if self.found_inf:
            self.value, self.good = self.value / 2, 0
        elif (good := self.good + 1) == self.every:
            self.value, self.good = self.value * 2, 0
        else:
            self.good = good

    def state_dict(self):
        state = {"scale": np.array([self.value], np.float32), "incr_ratio": 2.0, "decr_ratio": 0.5}
        return state | {"incr_count": self.good, "decr_count": self.bad} if self.enable else {}

    def load_state_dict(self, state):
        self.value, self.good, self.bad = float(state["scale"][0]), state["incr_count"], state["decr_count"]


@pytest.fixture
def gpu_precision(monkeypatch):
    """paddle.amp as on a GPU; gives the types that a forward pass was run in."""
    types = []

    @contextmanager
    def auto_cast(dtype, level):
        types.append((dtype, level))
        yield

    monkeypatch.setattr(paddle.amp, "GradScaler", Scaler)
    monkeypatch.setattr(paddle.amp, "auto_cast", auto_cast)
    return types


class HalfLine(Line):
    """Gives logits of 16 bits, as a network does in mixed precision."""

    def forward(self, x):
        return super().forward(x).astype("float16")

    def losses(self, logits, labels):
        assert logits.dtype == paddle.float32
        return super().losses(logits, labels)


@pytest.mark.parametrize(("amp", "type_"), [("off", None), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_scaling_the_loss_changes_nothing_but_the_type_of_the_forward_pass(gpu_precision, amp, type_):
    plain, network = HalfLine(), HalfLine()
    batches = [make_batch([0.25, 0.5]), make_batch([0.5, 0.5])]  # or 16 bits do not hold the scaled gradients
    descend(plain, batches, grad_clip=0.2)
    precision = MixedPrecision(amp)
    descend(network, batches, grad_clip=0.2, amp=precision)
    assert network.w.item() == pytest.approx(1 - 2 * 0.1 * 0.2, rel=1e-4)
    assert network.w.item() == plain.w.item()  # a power of two, taken back before the norm is measured
    assert gpu_precision == [(type_, "O1")] * 2 * (type_ is not None)
    assert bool(precision.state()) == (amp == "fp16")


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_falls(gpu_precision):
    network, precision = Line(), MixedPrecision("fp16")
    scale = precision.state()["scale"]
    precision.restore({"scale": 2.0**126, "incr_count": 0, "decr_count": 0})
    descend(network, [make_batch([1, 2])], amp=precision, grad_clip=1.0)
    assert network.w.item() == 1.0
    assert precision.state()["scale"] == 2.0**125
    assert scale == 2.0**15


def test_adam_does_not_count_a_step_that_was_left_out(gpu_precision):
    """Its epsilon depends on the number of steps; with 0.5 it can be seen."""
    weights = []
    for overflows in (False, True):
        network, precision = Line(), MixedPrecision("fp16")
        optimizer = FluidAdam(0.1, network.parameters(), epsilon=0.5)
        steps = [[make_batch([1, 2])]] * 2
        if overflows:
            precision.restore({"scale": 2.0**126, "incr_count": 0, "decr_count": 0})
            list(train_epoch(network, optimizer, steps[:1], schedule=lambda _: 0.1, **BEGINNING, amp=precision))
            assert network.w.item() == 1.0
            assert optimizer.state_dict()["steps"] == 0
            precision.restore({"scale": 2.0**15, "incr_count": 0, "decr_count": 0})
        list(train_epoch(network, optimizer, steps, schedule=lambda _: 0.1, **BEGINNING, amp=precision))
        weights.append(network.w.item())
    assert weights[0] == weights[1]


def test_scaling_goes_on_from_its_saved_state(gpu_precision):
    batches = [make_batch([1, 2])] * 3
    whole, first, second = MixedPrecision("fp16"), MixedPrecision("fp16"), MixedPrecision("fp16")
    descend(Line(), batches, amp=whole)
    descend(Line(), batches[:1], amp=first)
    state = json.loads(json.dumps(first.state()))  # as state.json keeps it
    assert state == {"scale": 2.0**15, "incr_count": 1, "decr_count": 0}
    second.restore(state)
    descend(Line(), batches[1:], amp=second)
    assert second.state() == whole.state() == {"scale": 2.0**16, "incr_count": 1, "decr_count": 0}
    for unscaled in (MixedPrecision("bf16"), MixedPrecision("off")):
        unscaled.restore(state)
        assert unscaled.state() == {}
    fresh = MixedPrecision("fp16")
    fresh.restore({})
    assert fresh.state()["scale"] == 2.0**15
