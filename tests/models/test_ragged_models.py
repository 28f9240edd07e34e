"""NeXtVLAD and AttentionLSTM on videos of different lengths: invariants, gradients, export."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.attention_lstm.attention_lstm import AttentionLSTM, PaddedAttentionLSTM, PeepholeLSTM
from models.layers.sequence import PackedOrder
from models.nextvlad.nextvlad import NeXtVLAD, PaddedNeXtVLAD
from tests.reference import StepwiseLSTM, slow_nextvlad, stepwise_attention_lstm

DIMS = (24, 8)
RNG = np.random.default_rng(0)


def build(name):
    paddle.seed(0)
    if name == "AttentionLSTM":
        return AttentionLSTM(DIMS, embedding_size=6, lstm_size=5, num_classes=7, drop_rate=0.5)
    network = NeXtVLAD(*DIMS, 4, 16, 4, 2, 8, 7, drop_rate=0.5, whitening=np.linspace(2, 0.1, 24))
    for layer in network.sublayers():  # statistics as of a trained network, not 0 and 1
        if isinstance(layer, paddle.nn.BatchNorm1D):
            layer._mean.set_value(0.1 * paddle.randn(layer._mean.shape))
            layer._variance.set_value(0.5 + paddle.rand(layer._variance.shape))
    return network


@pytest.fixture(params=["NEXTVLAD", "AttentionLSTM"])
def network(request):
    network = build(request.param)
    network.eval()
    return network


def make_videos(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal((length, dim)).astype(np.float32) for dim in DIMS] for length in lengths]


def probs_of(network, videos):
    lengths = np.array([len(video[0]) for video in videos])
    streams = [np.concatenate(parts) for parts in zip(*videos, strict=True)]
    with paddle.no_grad():
        return network.probs(network(*map(paddle.to_tensor, (lengths, *streams)))).numpy()


NETWORKS = {name: build(name) for name in ("NEXTVLAD", "AttentionLSTM")}


for each in NETWORKS.values():
    each.eval()


@pytest.mark.parametrize("name", sorted(NETWORKS))
@settings(max_examples=12)
@given(lengths=st.lists(st.integers(1, 300), min_size=2, max_size=6), seed=st.integers(0, 99), data=st.data())
def test_a_video_scores_the_same_alone_and_in_any_batch_in_any_order(name, lengths, seed, data):
    network, videos = NETWORKS[name], make_videos(lengths, seed)
    order = data.draw(st.permutations(range(len(videos))))
    together = probs_of(network, [videos[i] for i in order])
    for place, i in enumerate(order):
        np.testing.assert_allclose(probs_of(network, [videos[i]])[0], together[place], rtol=2e-5, atol=1e-6)


def pad(videos, num_frames, filler):
    """Padded arrays whose padding is noise, to show that it never reaches a result."""
    rng = np.random.default_rng(9)
    streams = [filler * rng.standard_normal((len(videos), num_frames, dim)).astype(np.float32) for dim in DIMS]
    for i, video in enumerate(videos):
        for stream, frames in zip(streams, video, strict=True):
            stream[i, : len(frames)] = frames
    return [np.array([len(video[0]) for video in videos]), *streams]


@pytest.mark.parametrize("num_frames", [11, None], ids=["fixed", "variable"])
def test_the_exported_program_gives_the_same_probabilities(network, num_frames, tmp_path):
    wrapper = PaddedAttentionLSTM if isinstance(network, AttentionLSTM) else PaddedNeXtVLAD
    spec = [paddle.static.InputSpec([None], "int64")]
    spec += [paddle.static.InputSpec([None, num_frames, dim], "float32") for dim in DIMS]
    path = str(tmp_path / "exported")
    paddle.jit.save(wrapper(network), path, input_spec=spec)
    exported = paddle.jit.load(path)
    for lengths in ([5, 11, 1], [11]) if num_frames else ([5, 9, 1], [3], [30, 29]):
        videos = make_videos(lengths)
        inputs = pad(videos, num_frames or max(lengths) + 2, filler=100.0)
        found = network.probs(exported(*map(paddle.to_tensor, inputs))).numpy()
        np.testing.assert_allclose(found, probs_of(network, videos), rtol=1e-5, atol=1e-6)


def test_the_padded_form_of_the_lstm_runs_without_export_too():
    network = NETWORKS["AttentionLSTM"]
    videos = make_videos([4, 2])
    found = PaddedAttentionLSTM(network)(*map(paddle.to_tensor, pad(videos, 6, filler=3.0)))
    np.testing.assert_allclose(network.probs(found).numpy(), probs_of(network, videos), rtol=1e-5, atol=1e-6)


def lstm_gradients(kind, lengths):
    """Output and all gradients of one LSTM direction in float64."""
    rng = np.random.default_rng(1)
    lstm, project = kind(4), paddle.nn.Linear(3, 16)
    for layer in (lstm, project):
        layer.to(dtype="float64")
        for parameter in layer.parameters():
            parameter.set_value(0.5 * rng.standard_normal(parameter.shape))
    order = PackedOrder(np.array(lengths))
    x = paddle.to_tensor(rng.standard_normal((sum(lengths), 3)), stop_gradient=False)
    output = lstm(x, project, order.active)
    (output * paddle.to_tensor(rng.standard_normal(output.shape))).sum().backward()
    weight_grad = lstm.weight.grad if lstm.weight.grad is not None else paddle.zeros_like(lstm.weight)  # one step
    found = (output, x.grad, project.weight.grad, project.bias.grad, weight_grad, lstm.bias.grad)
    return [value.numpy() for value in found]


@pytest.mark.parametrize("lengths", [[5, 3, 3, 1], [1], [1, 1], [6], [2, 7]])
def test_the_lstm_s_own_backward_equals_autograd_in_float64(lengths):
    for own, autograd in zip(lstm_gradients(PeepholeLSTM, lengths), lstm_gradients(StepwiseLSTM, lengths), strict=True):
        np.testing.assert_allclose(own, autograd, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "plain"), [("NEXTVLAD", slow_nextvlad), ("AttentionLSTM", stepwise_attention_lstm)])
def test_the_fast_form_equals_the_plain_one_with_its_gradients(name, plain):
    network = build(name)
    network.drop_rate = 0.0
    for layer in network.sublayers():
        if hasattr(layer, "drop_rate"):
            layer.drop_rate = 0.0
    slow = plain(network)
    lengths = np.array([300, 250, 280, 2])  # frames enough for NeXtVLAD's shorter product
    streams = [RNG.standard_normal((lengths.sum(), dim)).astype(np.float32) for dim in DIMS]
    labels = paddle.to_tensor((RNG.random((4, 7)) < 0.3).astype(np.float32))
    losses = []
    for one in (network, slow):
        one.train()
        losses.append(one.losses(one(*map(paddle.to_tensor, (lengths, *streams))), labels).mean())
        losses[-1].backward()
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-5)
    others = dict(slow.named_parameters())
    trained = [(key, parameter) for key, parameter in network.named_parameters() if not parameter.stop_gradient]
    for key, parameter in trained:
        fast, slow_grad = parameter.grad.numpy(), others[key].grad.numpy()
        assert np.abs(fast - slow_grad).max() <= 2e-3 * np.abs(slow_grad).max() + 1e-6, key


def test_batch_norm_sees_real_frames_only():
    network = build("NEXTVLAD")
    network.train()
    videos = make_videos([9, 2, 5])
    expanded = network.video.expansion(
        paddle.to_tensor(np.concatenate([video[0] for video in videos])) * network.whitening
    )
    scores = (expanded @ network.video.clusters).numpy()
    before = network.video.cluster_norm._mean.numpy().copy()
    lengths = paddle.to_tensor(np.array([9, 2, 5]))
    network(lengths, *(paddle.to_tensor(np.concatenate(part)) for part in zip(*videos, strict=True)))
    np.testing.assert_allclose(
        network.video.cluster_norm._mean.numpy(), 0.9 * before + 0.1 * scores.mean(axis=0), atol=1e-5
    )
