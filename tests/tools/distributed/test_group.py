"""Training, testing and inferring by several processes: the same as by one, whatever happens to any of them."""

import json
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import Pipe
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datareader.sharding import Shard
from metrics.kinetics import KineticsMetrics
from metrics.youtube8m import YouTube8MMetrics
from models.layers.resnet import Bottleneck
from models.optimizers import FluidAdam
from models.stnet.stnet import TemporalBlock, TemporalXception
from tests.conftest import PROJECT, clean_env
from tests.distributed_steps import build, split, statistics_of, take_steps, write_eigenvalues
from tests.tools.training.test_step import Line, make_batch
from tools.distributed.group import ProcessGroup
from tools.errors import CheckpointError, ConfigError, DataError, PeerError
from tools.run_setup import check_batch_size, gather_broken
from tools.runtime.signals import StopRequest
from tools.training.amp import MixedPrecision
from tools.training.ema import ExponentialMovingAverage
from tools.training.step import train_epoch
from tools.training.trainer import Training

# --- What processes tell one another


def together(world, act):
    """Run ``act(group)`` as so many processes would, each in a thread; give what each returns or raises."""
    pipes = {rank: Pipe() for rank in range(1, world)}
    group = [ProcessGroup(0, world, {rank: ends[0] for rank, ends in pipes.items()})]
    group += [ProcessGroup(rank, world, {0: ends[1]}) for rank, ends in pipes.items()]

    def run(one):
        try:
            with one:
                return act(one)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (whatever it is, the test looks at it)
            return error

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(run, group))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_values_are_gathered_in_the_order_of_ranks_and_those_of_the_first_reach_all(world):
    ranks = list(range(world))
    assert together(world, lambda group: group.gather(group.rank)) == [ranks, *[None] * (world - 1)]
    assert together(world, lambda group: group.all_gather(group.rank)) == [ranks] * world
    made = together(world, lambda group: group.broadcast(lambda: f"made by {group.rank}"))
    assert made == ["made by 0"] * world


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_an_error_of_one_reaches_all_others_in_its_own_words(rank):
    def act(group):
        if group.rank == rank:
            raise DataError("clip 7 is broken")
        for _ in range(3):
            group.all_gather(None)

    errors = together(3, act)
    assert [type(error) for error in errors] == [DataError if other == rank else PeerError for other in range(3)]
    assert {str(error) for error in errors} == {"clip 7 is broken", f"rank {rank} of 3: clip 7 is broken"}


def test_an_error_that_is_not_for_users_is_named_with_its_type():
    errors = together(2, lambda group: [][group.rank] if group.rank else group.gather(0))
    assert str(errors[0]) == "rank 1 of 2: IndexError: list index out of range"


def test_a_process_that_ends_without_a_word_is_named():
    mine, other = Pipe()
    other.close()
    for act in (lambda group: group.gather(0), lambda group: group.broadcast(lambda: 0)):
        with pytest.raises(PeerError, match="rank 1 of 2 exited unexpectedly"):
            act(ProcessGroup(0, 2, {1: mine}))


def test_processes_that_do_not_have_the_same_are_named_with_what_differs():
    errors = together(3, lambda group: group.require_same(config="same", data=group.rank == 2))
    assert "rank 2 of 3 and rank 0 do not have the same data" in str(errors[0])
    assert all(isinstance(error, ConfigError | PeerError) for error in errors)


@pytest.mark.parametrize(("flag", "value"), [("grad_clip", 5.0), ("resume", "auto")])
def test_processes_with_other_flags_are_named_with_the_flag(flag, value):
    def check(group):
        args = {"grad_clip": 0.0, "resume": None, "save_dir": f"of rank {group.rank}"}
        run = SimpleNamespace(args=SimpleNamespace(**args), group=group, valid_loader=None)
        run.config, run.progress = SimpleNamespace(text=lambda: "same"), SimpleNamespace(data=1)
        Training.require_same_command(run)
        if group.rank == 1:
            setattr(run.args, flag, value)
        Training.require_same_command(run)

    errors = together(2, check)
    assert f"rank 1 of 2 and rank 0 do not have the same --{flag.replace('_', '-')}" in str(errors[0])


def kinetics_metric(batches):
    metric = KineticsMetrics(6)
    for seed, size in batches:
        rng = np.random.default_rng(seed)
        metric.update(rng.random((size, 6), np.float32), rng.integers(-1, 6, size), rng.random())
    return metric


def youtube8m_metric(batches):
    metric = YouTube8MMetrics(6, top_k=3)
    for seed, size in batches:
        rng = np.random.default_rng(seed)
        probs = np.round(rng.random((size, 6), np.float32), 1)  # with ties
        metric.update(probs, (rng.random((size, 6)) < 0.3).astype(np.float32), rng.random())
    return metric


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), world=st.integers(1, 4), data=st.data())
def test_metrics_of_several_processes_merge_to_those_of_one_bit_for_bit(sizes, world, data):
    batches = list(enumerate(sizes))
    mixed = data.draw(st.permutations(batches))
    edges = sorted(data.draw(st.lists(st.integers(0, len(mixed)), min_size=world - 1, max_size=world - 1)))
    parts = [mixed[a:b] for a, b in zip([0, *edges], [*edges, len(mixed)], strict=True)]  # some may be empty
    for metric_of in (kinetics_metric, youtube8m_metric):
        merged = metric_of(parts[0])
        for part in parts[1:]:
            merged.merge(metric_of(part))
        whole = metric_of(batches)
        assert merged.compute() == whole.compute()
        assert merged.report() == whole.report()
        assert merged.num_videos == whole.num_videos


def broken_set(texts, told=None):
    return SimpleNamespace(broken=texts, name="clips.list", on_broken=[].append if told is None else told.append)


def test_what_any_process_left_out_is_counted_once_and_told_by_the_first():
    told = []
    sets = [broken_set(["line 1", "line 4"], told), broken_set(["line 4", "line 6"])]
    found = together(2, lambda group: gather_broken(group, sets[group.rank], skip_broken=3))
    assert found[0] == ["line 1", "line 4", "line 6"]
    assert told == ["line 1", "line 4", "line 6"]
    errors = together(2, lambda group: gather_broken(group, sets[group.rank], skip_broken=2))
    assert "3 records of clips.list are broken, in all processes together, and --skip-broken 2" in str(errors[0])
    twice = broken_set(["a.pkl record 0"] * 2)  # a list may name a file twice
    assert gather_broken(ProcessGroup(), twice, skip_broken=2) == ["a.pkl record 0"] * 2


def test_a_stop_that_another_process_heard_first_is_not_taken_for_a_second_one():
    with StopRequest() as stop:
        stop.signal = signal.SIGINT  # what Training.agree_to_stop does
        signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("size", "processes", "accumulate", "message"),
    [
        (8, 3, 1, "TRAIN.batch_size = 8 does not split over 3 processes; --batch-size 6 or 9 does"),
        (10, 1, 4, "does not split over 1 process with --accumulate 4; --batch-size 8 or 12 does"),
        (12, 2, 4, "does not split over 2 processes with --accumulate 4; --batch-size 8 or 16 does"),
        (1, 2, 1, "does not split over 2 processes; --batch-size 2 does"),
    ],
)
def test_a_batch_that_does_not_split_is_an_error_that_names_those_that_do(size, processes, accumulate, message):
    with pytest.raises(ConfigError) as error:
        check_batch_size(size, processes, accumulate)
    assert message in str(error.value)
    check_batch_size(24, processes, accumulate)


# --- Steps: accumulated, clipped, scaled, averaged


@pytest.fixture(scope="module")
def steps_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    write_eigenvalues(folder)
    return folder


@pytest.mark.parametrize("name", ["AttentionCluster", pytest.param("AttentionLSTM", marks=pytest.mark.slow)])
def test_a_batch_accumulated_in_four_parts_changes_the_weights_as_a_whole_one(name, steps_folder):
    whole = take_steps(name, steps_folder, ProcessGroup(), plain=True)
    parts = take_steps(name, steps_folder, ProcessGroup(), accumulate=4, plain=True)
    before = dict(build(name, steps_folder)[0].state_dict())
    for key, expected in whole.items():
        assert key == "losses" or np.abs(expected - before[key].numpy()).max() > 0 or "score.bias" in key
        np.testing.assert_allclose(parts[key], expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


BEGINNING = {"seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}


def descend(network, batches, **options):
    """Steps of plain descent at a rate of 0.1."""
    optimizer = paddle.optimizer.SGD(1.0, parameters=network.parameters())
    return list(
        train_epoch(network, optimizer, [[batch] for batch in batches], schedule=lambda _: 0.1, **BEGINNING, **options)
    )


@pytest.mark.parametrize(("clip", "length"), [(0.0, 5.0), (2.0, 2.0), (5.5, 5.0)])
def test_clipping_shortens_the_gradient_to_the_norm_and_leaves_shorter_ones(clip, length):
    network = Line()
    descend(network, [make_batch([1, 2])], grad_clip=clip)  # d/dw of the mean of w^2 and 4 w^2 at w = 1 is 5
    assert network.w.item() == pytest.approx(1 - 0.1 * length, rel=1e-5)


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
    descend(network, batches, grad_clip=0.2, precision=precision)
    assert network.w.item() == pytest.approx(1 - 2 * 0.1 * 0.2, rel=1e-4)
    assert network.w.item() == plain.w.item()  # a power of two, taken back before the norm is measured
    assert gpu_precision == [(type_, "O1")] * 2 * (type_ is not None)
    assert bool(precision.state()) == (amp == "fp16")


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_falls(gpu_precision):
    network, precision = Line(), MixedPrecision("fp16")
    scale = precision.state()["scale"]
    precision.restore({"scale": 2.0**126, "incr_count": 0, "decr_count": 0})
    descend(network, [make_batch([1, 2])], precision=precision, grad_clip=1.0)
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
            list(train_epoch(network, optimizer, steps[:1], schedule=lambda _: 0.1, **BEGINNING, precision=precision))
            assert network.w.item() == 1.0
            assert optimizer.state_dict()["steps"] == 0
            precision.restore({"scale": 2.0**15, "incr_count": 0, "decr_count": 0})
        list(train_epoch(network, optimizer, steps, schedule=lambda _: 0.1, **BEGINNING, precision=precision))
        weights.append(network.w.item())
    assert weights[0] == weights[1]


def test_scaling_goes_on_from_its_saved_state(gpu_precision):
    batches = [make_batch([1, 2])] * 3
    whole, first, second = MixedPrecision("fp16"), MixedPrecision("fp16"), MixedPrecision("fp16")
    descend(Line(), batches, precision=whole)
    descend(Line(), batches[:1], precision=first)
    state = json.loads(json.dumps(first.state()))  # as state.json keeps it
    assert state == {"scale": 2.0**15, "incr_count": 1, "decr_count": 0}
    second.restore(state)
    descend(Line(), batches[1:], precision=second)
    assert second.state() == whole.state() == {"scale": 2.0**16, "incr_count": 1, "decr_count": 0}
    for unscaled in (MixedPrecision("bf16"), MixedPrecision("off")):
        unscaled.restore(state)
        assert unscaled.state() == {}
    fresh = MixedPrecision("fp16")
    fresh.restore({})
    assert fresh.state()["scale"] == 2.0**15


def test_averaged_weights_are_those_worked_out_by_hand_and_can_stand_in_for_the_weights():
    network = paddle.nn.Linear(1, 1, bias_attr=False)
    network.weight.set_value(np.array([[1.0]], np.float32))
    average = ExponentialMovingAverage(network, decay=0.9)
    network.weight.set_value(np.array([[2.0]], np.float32))
    average.update(1)  # decay (1 + 1) / (10 + 1)
    expected = 2 / 11 * 1 + 9 / 11 * 2
    assert average.arrays()["weight"].item() == pytest.approx(expected)
    network.weight.set_value(np.array([[5.0]], np.float32))
    average.update(100)  # decay 0.9
    expected = 0.9 * expected + 0.1 * 5
    assert average.arrays()["weight"].item() == pytest.approx(expected)
    with average.in_place():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == 5.0


def test_averaged_weights_go_on_from_what_was_saved_and_refuse_that_of_another_network():
    networks = [paddle.nn.Sequential(paddle.nn.Linear(2, 2), paddle.nn.BatchNorm1D(2)) for _ in range(2)]
    averages = [ExponentialMovingAverage(network, decay=0.5) for network in networks]
    assert averages[0].arrays().keys() == networks[0].state_dict().keys()  # running statistics too
    averages[1].restore(averages[0].arrays(), "here")
    for name, _ in networks[0].named_parameters():
        if "._" not in name:
            np.testing.assert_array_equal(averages[1].arrays()[name], averages[0].arrays()[name])
    with pytest.raises(CheckpointError, match=r"here holds averaged weights of another network: 0\.weight"):
        averages[1].restore({"0.weight": np.zeros((3, 2), np.float32)}, "here")


def test_sync_batch_norm_keeps_names_and_values_so_that_released_weights_fit():
    paddle.seed(0)
    network = paddle.nn.Sequential(Bottleneck(8, 2, 1), TemporalBlock(4), TemporalXception(6, 4))
    before = {name: value.numpy() for name, value in network.state_dict().items()}
    names = {value.name: name for name, value in network.state_dict().items()}
    converted = paddle.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    kinds = Counter(type(layer).__name__ for layer in converted.sublayers())
    assert kinds["SyncBatchNorm"] == 3 + 1 + 3
    assert not {"BatchNorm1D", "BatchNorm2D", "BatchNorm3D"} & kinds.keys()
    after = converted.state_dict()
    assert list(after) == list(before)
    assert {value.name: name for name, value in after.items()} == names
    assert all((after[name].numpy() == value).all() for name, value in before.items())
    assert sum(not value.stop_gradient for value in after.values()) == sum(
        not name.endswith(("._mean", "._variance")) for name in after
    )


# --- Steps of several processes

WITH_BATCH_NORM = ("NEXTVLAD", "TSN", "STNET")
# What a softmax or a batch normalisation behind it does not see: its gradient is rounding, which Adam makes large.
UNSEEN = {"AttentionCluster": "score.bias", "NEXTVLAD": "output_norm.bias"}


def run_steps(folder, world, accumulate, *names):
    command = [sys.executable, "-m", "tests.distributed_steps", str(folder), str(world), str(accumulate), *names]
    subprocess.run(command, cwd=PROJECT, env=clean_env(), check=True, timeout=600)


def require_same_steps(name, folder, world, expected):
    """Three steps of so many processes against those of one, ``expected``, which normalised over the same batches."""
    found = np.load(folder / f"{name}_{world}x1.npz")
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-5)
    for key, value in expected.items():
        if "statistics0/" in key or key.endswith(("._mean", "._variance")):
            continue
        if name in UNSEEN and key.endswith(UNSEEN[name]):
            continue
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-5, err_msg=key)
    statistics = [statistics_of_shard(name, folder, Shard(rank, world)) for rank in range(world)]
    for key in statistics[0]:
        mean = np.mean([part[key] for part in statistics], axis=0)
        np.testing.assert_allclose(found[f"statistics0/{key}"], mean, rtol=1e-5, atol=1e-5, err_msg=key)


def statistics_of_shard(name, folder, shard):
    """The running statistics after one forward pass over a process's share of the first step."""
    network = build(name, folder)[0]
    network.train()
    (batch,) = split(name, 0, shard, accumulate=1)
    network(*map(paddle.to_tensor, batch.inputs))
    return statistics_of(network)


def test_two_processes_take_the_steps_of_one(steps_folder):
    run_steps(steps_folder, 2, 1, "AttentionCluster", "NEXTVLAD")
    for name, accumulate in (("AttentionCluster", 1), ("NEXTVLAD", 2)):
        require_same_steps(name, steps_folder, 2, take_steps(name, steps_folder, ProcessGroup(), accumulate))


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_all_models_take_the_steps_of_one_process(steps_folder, world):
    names = ("AttentionCluster", "AttentionLSTM")
    run_steps(steps_folder, world, 1, *names, *WITH_BATCH_NORM)
    run_steps(steps_folder, 1, 1, *names)
    run_steps(steps_folder, 1, world, *WITH_BATCH_NORM)
    for name in (*names, *WITH_BATCH_NORM):
        accumulate = world if name in WITH_BATCH_NORM else 1
        require_same_steps(name, steps_folder, world, np.load(steps_folder / f"{name}_1x{accumulate}.npz"))
