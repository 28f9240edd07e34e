"""NeXtVLAD and AttentionLSTM on videos of different lengths: invariants, gradients, schedules, export."""

import pickle

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datareader.features.inputs import RaggedFrames
from datareader.features.order import group_by_length
from datareader.features.records import Expected, load_records, parse_record
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED
from models.attention_lstm.attention_lstm import AttentionLSTM, PaddedAttentionLSTM, PeepholeLSTM
from models.layers import sequence
from models.layers.sequence import PackedOrder
from models.nextvlad.nextvlad import NeXtVLAD, PaddedNeXtVLAD
from models.nextvlad.spec import load_whitening
from tests.conftest import PROJECT
from tests.golden_inputs import GOLDEN
from tests.reference import StepwiseLSTM, slow_nextvlad, stepwise_attention_lstm
from tools.config.load import Override, load_config
from tools.errors import ConfigError
from tools.registry import MODELS

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
@settings(max_examples=12, deadline=None)
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
        found = exported(*map(paddle.to_tensor, inputs)).numpy()
        np.testing.assert_allclose(found, probs_of(network, videos), rtol=1e-5, atol=1e-6)


def test_the_padded_form_of_the_lstm_runs_without_export_too():
    network = NETWORKS["AttentionLSTM"]
    videos = make_videos([4, 2])
    found = PaddedAttentionLSTM(network)(*map(paddle.to_tensor, pad(videos, 6, filler=3.0)))
    np.testing.assert_allclose(found.numpy(), probs_of(network, videos), rtol=1e-5, atol=1e-6)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_packed_order_holds_every_frame_once_and_its_maps_agree(lengths):
    lengths = np.array(lengths)
    order = PackedOrder(lengths)
    total = lengths.sum()
    assert sum(order.active) == total
    assert sorted(order.flat) == list(range(total))
    np.testing.assert_array_equal(order.flip[order.flip], np.arange(total))
    starts = np.cumsum([0, *lengths[:-1]])
    for video, length in enumerate(lengths):
        assert order.real[video].sum() == length
        places = order.padded[video, :length]
        np.testing.assert_array_equal(order.flat[places], starts[video] + np.arange(length))
        np.testing.assert_array_equal(order.flip[places], places[::-1])


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


def test_rgb_is_whitened_to_the_values_of_the_2019_reader(tmp_path):
    golden = np.load(GOLDEN / "yt8m.npz")
    expected = Expected(("rgb", "audio"), (1024, 128), num_classes=3862)
    records = [parse_record(raw, expected, "golden") for raw in load_records(str(GOLDEN / "yt8m_bytes_keys.pkl"))]
    frames = RaggedFrames([DEQUANTIZED_UNBIASED, DEQUANTIZED])
    lengths, rgb, audio = frames.to_float(frames(records, None))
    assert lengths.tolist() == [12, 300, 7, 150]
    for i, start in enumerate(np.cumsum([0, *lengths[:-1]])):
        values = golden[f"NEXTVLAD_{i}"]
        sampled, whitened = rgb[start : start + 5, ::97], values[:55].reshape(5, 11)
        factors = whitened / sampled  # the eigenvalues, which are not stored here, are the same in every frame
        np.testing.assert_allclose(factors, np.broadcast_to(np.median(factors, axis=0), factors.shape), rtol=2e-6)
        np.testing.assert_array_equal(audio[start : start + 5, ::13].ravel(), values[55:])


def test_unbiased_bytes_have_the_same_bits_in_numpy_and_on_the_device():
    stored = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(
        sequence.dequantize_unbiased(paddle.to_tensor(stored)).numpy(), DEQUANTIZED_UNBIASED[stored]
    )
    np.testing.assert_array_equal(sequence.DEQUANTIZED_UNBIASED, DEQUANTIZED_UNBIASED)


@given(count=st.integers(0, 300), batch_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_sorting_by_length_changes_no_epoch_only_its_batches(count, batch_size, seed):
    rng = np.random.default_rng(seed)
    num_frames, order = rng.integers(1, 301, count), rng.permutation(count)
    grouped = group_by_length(order, num_frames, batch_size, np.random.default_rng(1), window=4)
    whole = count // batch_size * batch_size
    assert sorted(grouped[:whole]) == sorted(order[:whole])
    np.testing.assert_array_equal(grouped[whole:], order[whole:])

    def spread(records):
        batches = num_frames[records[:whole]].reshape(-1, batch_size)
        return (batches.max(axis=1) - batches.min(axis=1)).sum() if whole else 0

    assert spread(grouped) <= spread(order)


def load(name, *settings):
    spec = MODELS.get(name)()
    overrides = [Override(section, key, value, f"--{key}") for section, key, value in settings]
    return spec, load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", "TRAIN"], name, overrides)


@pytest.fixture
def eigenvalues(tmp_path):
    np.save(tmp_path / "eigenvals.npy", np.ones((2048, 1), np.float32))
    return ("MODEL", "eigen_file", str(tmp_path / "eigenvals.npy"))


def test_the_rate_of_nextvlad_falls_by_examples_up_to_max_iter(eigenvalues):
    spec, config = load("NEXTVLAD", eigenvalues, ("TRAIN", "max_iter", 30_000))
    rate = spec.build_schedule(config, steps_per_epoch=1)
    boundary = 2_000_000 // 160
    steps = (0, boundary - 1, boundary, 2 * boundary, 10**9)
    assert [rate(step) for step in steps] == pytest.approx([0.0002, 0.0002, 0.00016, 0.000128, 0.000128])
    _, config = load("NEXTVLAD", eigenvalues, ("TRAIN", "lr_boundary_examples", 1))
    assert spec.build_schedule(config, 1)(3) == pytest.approx(0.0002 * 0.8**3)  # 2019 looped for ever


def test_the_rate_of_attention_lstm_falls_after_epochs_of_num_samples():
    spec, config = load("AttentionLSTM")
    rate = spec.build_schedule(config, steps_per_epoch=1)
    end = 5 * 5_000_000 // 1024
    assert [rate(step) for step in (0, end - 1, end)] == pytest.approx([0.001, 0.001, 0.0001])


def test_a_rate_that_does_not_fall_as_the_list_is_long_is_told(eigenvalues):
    spec, config = load("AttentionLSTM")
    assert spec.notices(config, 4_900_000) == []
    assert "num_samples = 5000000, but the list holds 900 videos; the learning rate" in spec.notices(config, 900)[0]
    spec, config = load("NEXTVLAD", eigenvalues)
    assert spec.notices(config, 400_000) == []
    assert (
        "6 epochs of the list's 900 videos are no more; the learning rate never falls" in spec.notices(config, 900)[0]
    )


@pytest.mark.parametrize("apply", [False, True])
def test_gradients_are_clipped_only_on_request(eigenvalues, apply):
    spec, config = load("NEXTVLAD", eigenvalues, ("TRAIN", "apply_gradient_clip", apply))
    assert spec.gradient_clip(config) == (config.TRAIN.gradient_clip_norm if apply else 0)


def error_of(name, *settings):
    with pytest.raises(ConfigError) as error:
        load(name, *settings)
    return str(error.value)


def test_sizes_that_do_not_divide_are_named_with_one_that_does(eigenvalues):
    message = error_of("NEXTVLAD", eigenvalues, ("MODEL", "groups", 7))
    assert message.endswith(
        "groups = 7 does not divide expansion * video_feature_size = 2048; a divisor of 2048 works, such as 4"
    )
    assert "gating_reduction = 3 does not divide hidden_size = 2048" in error_of(
        "NEXTVLAD", eigenvalues, ("MODEL", "gating_reduction", 3)
    )


def test_a_missing_eigen_file_says_where_it_comes_from():
    message = error_of("NEXTVLAD", ("MODEL", "eigen_file", "gone.npy"))
    assert "eigen_file gone.npy does not exist" in message
    assert "yt8m_pca.tgz at data.yt8m.org" in message
    assert "python -m tools.download eigenvals --output gone.npy" in message


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((10, 1), np.float32), "is a (10, 1) float32 array; expected (2048, 1) float32"),
        (np.ones((64, 32), np.float32), "is a (64, 32) float32 array; expected (2048, 1) float32"),
        (np.ones((2048, 1), np.int64), "is a (2048, 1) int64 array; expected (2048, 1) float32"),
        (np.full((2048, 1), np.nan, np.float32), "holds values that are negative or not finite"),
        (np.full((2048, 1), -1, np.float32), "holds values that are negative or not finite"),
    ],
)
def test_an_eigen_file_of_the_wrong_kind_is_named(tmp_path, array, message):
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(ConfigError) as error:
        load_whitening(str(tmp_path / "e.npy"), 1024, "c.txt [MODEL]")
    assert message in str(error.value)


def test_an_eigen_file_that_is_no_npy_is_named(tmp_path):
    """Also a zip file of arrays, whole or damaged, and an .npy whose header or end is."""
    eigenvalues = np.ones((2048, 1), np.float32)
    np.savez(tmp_path / "e.npz", eigenvalues)
    np.save(tmp_path / "e.npy", eigenvalues)
    zipped, whole = (tmp_path / "e.npz").read_bytes(), (tmp_path / "e.npy").read_bytes()
    headers = [whole.replace(b"2048, 1", shape) for shape in (b"9" * 30, b"2048, (", b"9" * 15, b"2048, x")]
    for content in (b"", b"junk", zipped, zipped[:100], zipped[:-30], pickle.dumps(eigenvalues), whole[:-9], *headers):
        (tmp_path / "bad.npy").write_bytes(content)
        with pytest.raises(ConfigError, match=r"c\.txt \[MODEL\]: eigen_file .*bad\.npy is not a NumPy array \(.+\)"):
            load_whitening(str(tmp_path / "bad.npy"), 1024, "c.txt [MODEL]")
