"""TSN and StNet: pixels, segments, views, losses, the trunk's names, export, schedule and config."""

import contextlib
import math
import os
import resource
import stat
import tempfile
import time

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from models.clip_spec import NUM_LAYERS
from models.layers.losses import average_views, class_losses
from models.layers.pixels import NormalizePixels
from models.layers.resnet import STAGE_SIZES, ResNet, released_backbone_names
from models.stnet.stnet import STNET, TemporalBlock, TemporalXception
from models.tsn.tsn import TSN
from tests.conftest import PROJECT
from tools.config.load import Override, load_config, parse_set
from tools.errors import CheckpointError, ConfigError
from tools.inference.predictor import KEPT, Predictor, exported_program, remove_unused
from tools.registry import MODELS

COLOURS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def networks():
    """Each network with random weights and running statistics, in test mode; tests leave them as they are."""
    paddle.seed(0)
    made = {"TSN": TSN(50, 5, seglen=1, **COLOURS), "STNET": STNET(50, 5, seglen=2, **COLOURS)}
    for network in made.values():
        for name, tensor in network.state_dict().items():
            if name.endswith("._mean"):
                tensor.set_value(paddle.randn(tensor.shape) * 0.1)
            elif name.endswith("._variance"):
                tensor.set_value(paddle.rand(tensor.shape) + 0.5)
            elif name.endswith("norm.weight"):
                tensor.set_value(tensor * 0.5)  # or fifty layers on random weights overflow into one class
        network.eval()
    return made


def make_clips(name, videos=3, segments=3, size=32, seed=0):
    """uint8 (videos, segments, 3 or 6, size, size)."""
    shape = (videos, segments, 6 if name == "STNET" else 3, size, size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def score(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


def normalize(clips):
    """The slow, obvious version: float32 operations in NumPy, one colour after another."""
    out = clips.astype(np.float32)
    for channel in range(out.shape[2]):
        mean, std = (np.float32(COLOURS[key][channel % 3]) for key in ("image_mean", "image_std"))
        out[:, :, channel] = (out[:, :, channel] / np.float32(255) - mean) / std
    return out


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_a_batch_of_one_equals_a_batch_of_many(networks, name):
    clips = make_clips(name)
    many = score(networks[name], clips)
    assert many.std() > 1e-3
    for i in range(len(clips)):
        np.testing.assert_allclose(score(networks[name], clips[i : i + 1])[0], many[i], rtol=1e-4, atol=1e-5)


def test_every_byte_is_normalised_to_the_bits_of_numpy():
    clips = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 1, 1, 16, 16), (2, 3, 6, 16, 16)).copy()
    layer = NormalizePixels(COLOURS["image_mean"], COLOURS["image_std"], seglen=2)
    found = layer(paddle.to_tensor(clips)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, normalize(clips))


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_bytes_equal_normalised_input_bit_for_bit(networks, name):
    clips = make_clips(name, videos=2)
    np.testing.assert_array_equal(score(networks[name], clips), score(networks[name], normalize(clips)))


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_any_number_of_segments_works(networks, name):
    for segments in (1, 5):
        assert score(networks[name], make_clips(name, videos=2, segments=segments)).shape == (2, 5)


def test_tsn_does_not_see_the_order_of_segments_and_stnet_does(networks):
    for name, sees in (("TSN", False), ("STNET", True)):
        clips = make_clips(name, videos=1)
        there, back = score(networks[name], clips), score(networks[name], clips[:, ::-1].copy())
        assert bool(np.abs(there - back).max() > 1e-4) == sees


def test_the_temporal_block_equals_a_convolution_segment_by_segment():
    paddle.seed(0)
    block = TemporalBlock(4)
    block.bias.set_value(paddle.randn([4]))
    block.eval()
    x = np.random.default_rng(0).standard_normal((2 * 3, 4, 2, 5)).astype(np.float32)
    weight, bias = block.weight.numpy()[:, :, :, 0, 0], block.bias.numpy()
    expected = x.copy()
    for video in range(2):
        for segment in range(3):
            total = np.zeros((4, 2, 5))
            for tap in range(3):
                if 0 <= segment + tap - 1 < 3:
                    total += np.einsum("oc,chw->ohw", weight[:, :, tap], x[3 * video + segment + tap - 1])
            total = np.maximum(total + bias[:, None, None], 0)
            expected[3 * video + segment] += total / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(block(paddle.to_tensor(x), 3).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_depthwise_layers_do_not_mix_features():
    paddle.seed(0)
    layer = TemporalXception(6, 4).depthwise1
    x = paddle.randn([2, 3, 6])
    changed = x.clone()
    changed[:, :, 2] += 1.0
    differs = (layer(x) != layer(changed)).numpy().any(axis=(0, 1))
    assert differs.tolist() == [False, False, True, False, False, False]


def test_losses_are_the_cross_entropy_and_label_minus_one_counts_in_the_mean_only():
    logits = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    labels = np.array([2, -1, 0, 4])
    x = paddle.to_tensor(logits, stop_gradient=False)
    losses = class_losses(x, paddle.to_tensor(labels))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.array([0.0 if label == -1 else -np.log(row[label]) for row, label in zip(probs, labels, strict=True)])
    assert losses.shape == [4]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)
    loss = losses.mean()  # as training does; loss_reduction is "mean"
    assert float(loss) == pytest.approx(expected.sum() / 4, rel=1e-5)
    loss.backward()
    assert (x.grad.numpy()[1] == 0).all()
    assert (x.grad.numpy()[0] != 0).all()


def test_views_are_averaged_as_probabilities():
    logits = 5 * np.random.default_rng(0).standard_normal((2 * 3, 4)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    averaged = paddle.nn.functional.softmax(average_views(paddle.to_tensor(logits), 3)).numpy()
    np.testing.assert_allclose(averaged, probs.reshape(2, 3, 4).mean(axis=1), rtol=1e-5)


def test_views_of_tiny_probability_stay_finite():
    logits = paddle.to_tensor([[0.0, -400.0], [0.0, -400.0]])
    averaged = average_views(logits, 2).numpy()
    assert averaged[0, 0] == 0
    assert -400.1 < averaged[0, 1] < -60  # Paddle's log_softmax on a CPU ends at -64


@pytest.mark.parametrize("num_layers", [50, 101, 152])
def test_the_released_names_of_the_trunk_are_unique_and_cover_it(num_layers, monkeypatch):
    monkeypatch.setattr(paddle.nn.initializer.Normal, "__call__", lambda self, tensor, block=None: tensor)  # is slow
    own = [f"trunk.{name}" for name in ResNet(num_layers).state_dict()]
    names = released_backbone_names(num_layers, "trunk")
    assert sorted(names) == sorted(own)
    assert len(set(names.values())) == len(names) == 5 * (num_layers - 1 + 4)
    blocks = {name.split("_")[0] for name in names.values() if name.startswith("res4")}
    last = {50: "res4f", 101: "res4b22", 152: "res4b35"}[num_layers]
    assert last in blocks
    assert len(blocks) == STAGE_SIZES[num_layers][2]


def test_the_config_allows_the_trunks_that_exist():
    assert tuple(STAGE_SIZES) == NUM_LAYERS


@pytest.mark.parametrize("name", [pytest.param("TSN", marks=pytest.mark.slow), "STNET"])
def test_an_exported_network_answers_alike_in_paddle_and_in_the_inference_engine(networks, name, tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLE_VIDEO_PROGRAMS", str(tmp_path))
    network, x = networks[name], normalize(make_clips(name, videos=3))
    expected = score(network, x)
    lines = []
    predictor = Predictor(network, x.shape[1:], "fp32", lines.append)
    found = predictor.probs(predictor(paddle.to_tensor(x))).numpy()
    expected_probs = network.probs(paddle.to_tensor(expected)).numpy()
    np.testing.assert_allclose(found, expected_probs, atol=1e-4)
    assert (found.argmax(axis=1) == expected_probs.argmax(axis=1)).all()
    (kept,) = tmp_path.iterdir()
    os.utime(kept, (0, 0))
    with exported_program(network, x.shape[1:], lines.append) as program:
        assert program == kept
    assert len(lines) == 1  # exported once, and kept
    assert program.stat().st_mtime > 0
    loaded = paddle.jit.load(str(program / "model"))
    loaded.eval()
    np.testing.assert_allclose(score(loaded, x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(score(loaded, x[:1]), expected[:1], rtol=1e-4, atol=1e-5)


class Small(paddle.nn.Layer):
    """A network whose weights take 360 kB."""

    losses = probs = average_views = None

    def __init__(self):
        super().__init__()
        self.first = paddle.nn.Linear(300, 297)
        self.last = paddle.nn.Linear(297, 3)

    def forward(self, x):
        return self.last(self.first(x))


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The folder of programs, with its place for temporary ones beside it."""
    folder, temporary = tmp_path / "programs", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("PADDLE_VIDEO_PROGRAMS", str(folder))
    return folder


def require_same_answers(network, predictor):
    x = paddle.ones([2, 300])
    np.testing.assert_allclose(predictor(x).numpy(), network(x).numpy(), rtol=1e-4, atol=1e-5)


@contextlib.contextmanager
def disk_that_takes(bytes_a_file):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("bytes_a_file", [100, 2_000, 100_000, 360_000])
def test_a_program_that_the_disk_does_not_take_is_one_error_and_is_not_kept(programs, bytes_a_file):
    network = Small()
    with disk_that_takes(bytes_a_file), pytest.raises(CheckpointError) as error:
        Predictor(network, (300,), "fp32", print)
    message = str(error.value)
    assert message.startswith(f"{programs}: the program for the inference engine could not be written (")
    assert "--engine dygraph needs none, and PADDLE_VIDEO_PROGRAMS names another folder" in message
    assert "\n" not in message
    assert list(programs.iterdir()) == []
    require_same_answers(network, Predictor(network, (300,), "fp32", print))  # once there is room


@pytest.mark.parametrize("error", [OSError, RuntimeError, SystemError])
def test_an_export_that_paddle_refuses_is_the_same_error(programs, error, monkeypatch):
    def refuse(*arguments, **options):
        raise error("(Unavailable) Cannot open model.json\n  [Hint: Expected fout]")

    monkeypatch.setattr(paddle.jit, "save", refuse)
    with pytest.raises(
        CheckpointError, match=r"could not be written \(\(Unavailable\) Cannot open model.json\); --engine"
    ):
        Predictor(Small(), (300,), "fp32", print)


def test_without_a_folder_to_keep_it_a_program_is_gone_once_it_is_loaded(programs):
    programs.write_text("a file")
    network, lines = Small(), []
    predictor = Predictor(network, (300,), "fp32", lines.append)
    assert list((programs.parent / "temporary").iterdir()) == []
    require_same_answers(network, predictor)
    assert f"{programs} cannot be written" in lines[0]
    assert "the exported program is not kept; PADDLE_VIDEO_PROGRAMS names another folder" in lines[0]


def test_without_a_home_that_can_be_written_a_program_is_exported_all_the_same(programs, tmp_path, monkeypatch):
    class Shifted(Small):  # one whose forward has not been exported yet
        def forward(self, x):
            return self.last(self.first(x)) + 1

    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PADDLE_VIDEO_PROGRAMS")
    network = Shifted()
    require_same_answers(network, Predictor(network, (300,), "fp32", print))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert os.environ["HOME"] == str(tmp_path / "home")


def test_without_a_place_for_a_temporary_program_either_it_is_the_same_error(programs, monkeypatch):
    programs.write_text("a file")
    monkeypatch.setattr(tempfile, "tempdir", str(programs))
    with pytest.raises(CheckpointError, match="the program for the inference engine could not be written"):
        Predictor(Small(), (300,), "fp32", print)


def test_a_kept_program_is_as_open_to_others_as_the_umask_says(programs):
    before = os.umask(0o027)
    try:
        with exported_program(Small(), (300,), print) as program:
            assert stat.S_IMODE(program.stat().st_mode) == 0o750
    finally:
        os.umask(before)


@pytest.mark.parametrize("harm", ["cut", "empty", "unreadable"])
@pytest.mark.parametrize("name", ["model.json", "model.pdiparams"])
def test_a_kept_program_that_is_cut_or_cannot_be_read_is_made_anew_and_not_kept(programs, name, harm):
    network, lines = Small(), []
    with exported_program(network, (300,), print) as kept:
        content = (kept / name).read_bytes()
    (kept / name).unlink()
    if harm == "unreadable":
        (kept / name).mkdir()  # as root may read any file
    else:
        (kept / name).write_bytes(content[: 0 if harm == "empty" else -5])
    require_same_answers(network, Predictor(network, (300,), "fp32", lines.append))
    assert f"another is not kept while it is there: {kept / name}" in lines[0]
    assert list(programs.iterdir()) == [kept]
    assert (kept / name).is_dir() == (harm == "unreadable")


def test_only_the_programs_used_last_are_kept_and_what_was_killed_long_ago_goes(tmp_path):
    now = time.time()
    names = [f"TSN-{i:024x}" for i in range(KEPT + 2)]
    for age, name in enumerate([*names, ".export-new", "mine"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").touch()
        os.utime(tmp_path / name, (now, now - 60 * age))
    (tmp_path / ".export-old").mkdir()
    os.utime(tmp_path / ".export-old", (now, now - 25 * 3600))
    remove_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[:KEPT], ".export-new", "mine"}


def load(name, *settings, needs=("MODEL", "TRAIN")):
    spec = MODELS.get(name)()
    return spec, load_config(str(PROJECT / spec.default_config), spec.schema, needs, name, settings)


def setting(section, key, value):
    return Override(section, key, value, f"--{key}")


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_the_page_counts_the_parameters_of_the_default_config(name):
    spec, config = load(name)
    parameters = spec.build_network(config).parameters()
    count = sum(math.prod(parameter.shape) for parameter in parameters if not parameter.stop_gradient)
    assert f"{count:,} parameters" in (PROJECT / "models" / name.lower() / "README.md").read_text()


@pytest.mark.parametrize(("name", "epochs", "batch_size"), [("TSN", 45, 256), ("STNET", 60, 128)])
def test_the_rate_falls_after_each_third_of_the_epochs_counted_in_total_videos(name, epochs, batch_size):
    spec, config = load(name)
    rate = spec.build_schedule(config, steps_per_epoch=1)
    third = epochs // 3 * int(224684 / batch_size + 1)
    steps = (0, third - 1, third, 2 * third - 1, 2 * third, 10 * third)
    assert [rate(step) for step in steps] == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_with_auto_the_rate_falls_by_the_length_of_the_list():
    spec, config = load("TSN", parse_set("TRAIN.total_videos=auto"), setting("TRAIN", "epoch", 3))
    rate = spec.build_schedule(config, steps_per_epoch=7)
    assert [rate(step) for step in (6, 7, 13, 14)] == pytest.approx([0.01, 0.001, 0.001, 0.0001])


def test_a_total_videos_that_is_not_the_lists_is_noticed():
    spec, config = load("TSN", setting("TRAIN", "total_videos", 1000))
    assert spec.notices(config, 1000) == spec.notices(config, 1100) == []
    (notice,) = spec.notices(config, 100)
    assert notice.startswith(f"{config.path} [TRAIN]: total_videos = 1000, but the list holds 100 videos")
    assert "too late or never" in notice
    assert '"auto" counts the list' in notice
    assert "too early" in spec.notices(config, 10_000)[0]
    _, config = load("TSN", setting("TRAIN", "total_videos", "auto"))
    assert spec.notices(config, 100) == []


def test_momentum_decays_everything_that_is_trained():
    spec, config = load("TSN", setting("MODEL", "num_classes", 5))
    network = paddle.nn.Sequential(paddle.nn.Linear(2, 2), paddle.nn.BatchNorm1D(2))
    optimizer = spec.build_optimizer(config, network)
    before = {name: tensor.numpy().copy() for name, tensor in network.named_parameters()}
    sum((tensor * 0).sum() for tensor in network.parameters()).backward()
    optimizer.step()
    for name, tensor in network.named_parameters():
        expected = before[name] if tensor.stop_gradient else before[name] * (1 - 0.01 * 1e-4)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-7)  # the decay is 1e-6


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("MODEL", "num_layers", 34, "[MODEL]: num_layers = 34 should be 50, 101 or 152"),
        ("MODEL", "image_mean", [0.5], "[MODEL]: image_mean = [0.5] should be 3 numbers, for red, green and blue"),
        ("MODEL", "image_std", [1, 0, 1], "[MODEL]: image_std = [1, 0, 1] should be above 0; pixels are divided by it"),
        ("TEST", "num_crops", 5, "[TEST]: num_crops = 5 should be 1, 3 or 10"),
        (
            "VALID",
            "target_size",
            257,
            "[VALID]: target_size = 257 should be at most short_size = 256; "
            "frames are scaled to short_size and cropped to target_size",
        ),
    ],
)
def test_a_value_that_cannot_work_is_named(section, key, value, message):
    with pytest.raises(ConfigError) as error:
        load("TSN", setting(section, key, value))
    assert str(error.value) == f"{PROJECT / 'configs' / 'tsn.txt'} {message}"


def test_the_default_configs_hold_the_values_of_2019():
    sections = ("MODEL", "TRAIN", "VALID", "TEST", "INFER")
    for name, epoch, sizes in (("TSN", 45, (256, 256, 32, 1)), ("STNET", 60, (128, 128, 16, 1))):
        _, config = load(name, needs=sections)
        train = config.TRAIN
        assert (train.epoch, train.learning_rate, train.learning_rate_decay, train.momentum) == (epoch, 0.01, 0.1, 0.9)
        assert (train.l2_weight_decay, train.total_videos) == (1e-4, 224684)
        assert tuple(getattr(config, section).batch_size for section in sections[1:]) == sizes
        assert config.TEST.target_size == config.INFER.target_size == (256 if name == "STNET" else 224)
        assert (config.TEST.seg_num, config.TEST.num_clips, config.TEST.num_crops) == (None, 1, 1)
        assert (config.TEST.keep_aspect, config.TRAIN.fast_decode) == (False, False)
