"""ResNets of torchvision and timm compute here what they do there, and their relatives are called what they are."""

import json

import numpy as np
import paddle
import pytest

from models.layers.resnet import STAGE_SIZES, ResNet, torchvision_names
from models.stnet.stnet import STNET
from models.tsn.tsn import TSN
from tests.conftest import PROJECT
from tests.models.clip_networks import COLOURS
from tests.tools.expected_errors import error_of
from tests.tools.weights.golden_networks import default_network
from tests.tools.weights.run_command import run_tool
from tests.torch_files import safetensors_content, stream_content, tensors, zip_content
from tests.torch_resnets import features, norm_shapes, resnet_arrays, resnet_shapes
from tools.config.load import Override, load_config
from tools.registry import MODELS
from tools.training.checkpoint import load_checkpoint
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import SAFETENSORS, TORCH, WeightFile, load_weights
from tools.weights.loading import load_into_network, own_arrays
from tools.weights.resolve import choose_pretrain

pytestmark = pytest.mark.usefixtures("no_sync")
FIT = "; ResNet-50, -101 and -152 of torchvision and timm (resnet50, resnet101, resnet152) fit"


def zeros(shapes):
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}  # takes no memory


def in_memory(arrays, kind=TORCH, **facts):
    return WeightFile("w", kind, arrays, **facts)


@pytest.fixture(scope="module")
def arrays50():
    return resnet_arrays(50)


@pytest.fixture(scope="module")
def lazy_tsn():
    """Networks of every depth without values."""
    with paddle.LazyGuard():
        return {depth: TSN(depth, 5, **COLOURS) for depth in STAGE_SIZES}


# The same network


@pytest.mark.parametrize("depth", STAGE_SIZES)
def test_every_name_and_shape_of_a_trunk_is_one_that_torchvision_publishes(depth):
    with paddle.LazyGuard():
        trunk = ResNet(depth)
    names = torchvision_names(depth, "trunk")
    own = {f"trunk.{name}": tuple(value.shape) for name, value in trunk.state_dict().items()}
    published = resnet_shapes(depth)
    assert own.keys() == names.keys()
    assert {names[name]: shape for name, shape in own.items()} == {
        name: shape for name, shape in published.items() if not name.startswith("fc.") and shape
    }


@pytest.fixture(scope="module")
def filled_tsn(arrays50):
    network = TSN(50, 5, **COLOURS)
    load_into_network(network, in_memory(arrays50), fine_tune=True)
    network.eval()
    return network


def test_the_trunk_computes_what_torchvision_s_network_does(filled_tsn, arrays50):
    image = np.random.default_rng(1).standard_normal((3, 75, 49)).astype(np.float32)  # no multiples of 32
    with paddle.no_grad():
        ours = filled_tsn.trunk(paddle.to_tensor(image[None])).numpy()[0]
    theirs = features(image, arrays50, 50)
    assert theirs.std() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.max())
    caffe = features(image, arrays50, 50, stride_first=True)
    assert caffe.shape == theirs.shape
    assert np.abs(caffe - theirs).max() > 0.1 * theirs.max()  # so that this test would tell


def test_stnet_has_the_same_trunk_with_its_first_convolution_made_from_the_mean_over_colours(arrays50):
    network = STNET(50, 5, seglen=5, **COLOURS)
    before = network_arrays(network)
    match = load_into_network(network, in_memory(arrays50), fine_tune=True)
    after = network_arrays(network)
    for own, theirs in torchvision_names(50, "trunk").items():
        if theirs != "conv1.weight":
            np.testing.assert_array_equal(after[own], arrays50[theirs], err_msg=own)
    mean = arrays50["conv1.weight"].astype(np.float64).mean(axis=1) / 5
    for channel in range(15):
        np.testing.assert_allclose(after["trunk.conv1.conv.weight"][:, channel], mean, rtol=1e-5, atol=1e-8)
    for own in before:
        if not own.startswith("trunk."):
            np.testing.assert_array_equal(after[own], before[own], err_msg=own)
    assert [line.partition(":")[0] for line in match.changes] == [
        "a ResNet-50 by the names of torchvision and timm",
        "ignored, not of the backbone",
        "ignored",
        "made",
        "newly initialised, classifier",
        "newly initialised, not in a bare backbone",
    ]


@pytest.mark.parametrize(
    ("form", "prefix"),
    [(zip_content, ""), (stream_content, "module."), (safetensors_content, "backbone."), (zip_content, "module.net.")],
)
def test_files_of_every_form_and_prefix_fill_the_trunk_and_say_what_was_left(
    form, prefix, arrays50, filled_tsn, tmp_path
):
    named = {f"{prefix}{name}": value for name, value in arrays50.items()} | {"head.weight": np.ones(3, np.float32)}
    (tmp_path / "w").write_bytes(form(named if form is safetensors_content else {"state_dict": tensors(named)}))
    expected = network_arrays(filled_tsn)
    network = TSN(50, 1000, **COLOURS)  # of as many classes as ImageNet, whose classifier is left out nevertheless
    start = network.fc.weight.numpy()
    match = load_into_network(network, load_weights(str(tmp_path / "w"), "TSN"), fine_tune=True)
    after = network_arrays(network)
    for own in torchvision_names(50, "trunk"):
        np.testing.assert_array_equal(after[own], expected[own], err_msg=own)
    np.testing.assert_array_equal(after["fc.weight"], start)
    left = ["fc.bias", "fc.weight"] if form is safetensors_content else ["fc.weight", "fc.bias"]
    behind = f", each behind '{prefix}'" * bool(prefix)
    assert match.lines() == [
        "265 matched, 0 missing, 0 unexpected, 0 mismatched",
        *["the weights are those under 'state_dict'"] * (form is not safetensors_content),
        f"a ResNet-50 by the names of torchvision and timm{behind}",
        f"ignored, not of the backbone: {', '.join(prefix + name for name in left)}, head.weight",
        "ignored: 53 counts of training steps (num_batches_tracked)",
        "newly initialised, classifier: fc.weight, fc.bias",
    ]


def test_half_precision_becomes_float32(arrays50, tmp_path):
    halves = {name: value.astype(np.float16) for name, value in arrays50.items() if value.shape}
    (tmp_path / "w").write_bytes(zip_content(tensors(halves)))
    network = TSN(50, 5, **COLOURS)
    match = load_into_network(network, load_weights(str(tmp_path / "w"), "TSN"), fine_tune=True)
    assert "267 arrays of float16 became float32" in match.lines()
    np.testing.assert_array_equal(network.trunk.conv1.conv.weight.numpy(), halves["conv1.weight"].astype(np.float32))


@pytest.mark.parametrize("depth", STAGE_SIZES)
def test_a_resnet_of_another_depth_is_told_by_its_layers(depth, lazy_tsn):
    file = in_memory(zeros(resnet_shapes(depth)))
    for other, network in lazy_tsn.items():
        if other != depth:
            assert error_of(load_into_network, network, file, fine_tune=True) == (
                f"w is of a ResNet of {depth} layers, and this network has {other} (MODEL.num_layers)"
            )


# Relatives of it


def with_se(shapes):
    return shapes | {f"layer1.{i}.se.fc{j}.weight": (4, 4, 1, 1) for i in range(3) for j in (1, 2)}


def with_stem(shapes):
    stem = {"conv1.0.weight": (32, 3, 3, 3), **norm_shapes("conv1.1", 32), "conv1.3.weight": (32, 32, 3, 3)}
    return {name: shape for name, shape in shapes.items() if name != "conv1.weight"} | stem


def without(shapes, *parts):
    return {name: shape for name, shape in shapes.items() if not any(part in name for part in parts)}


def in_time(shapes):
    return {name: (*shape, 1) if len(shape) == 4 else shape for name, shape in shapes.items()}


R50 = resnet_shapes(50)
SEEMS = "w seems to be of {}, which this network's ResNet is not" + FIT
RELATIVES = {
    "resnet18": (resnet_shapes(18), SEEMS.format("ResNet-18, whose blocks have two convolutions (resnet18, resnet34)")),
    "resnet34": (resnet_shapes(34), SEEMS.format("ResNet-34, whose blocks have two convolutions (resnet18, resnet34)")),
    "resnet26": (resnet_shapes(26), SEEMS.format("ResNet-26")),
    "resnext50_32x4d": (resnet_shapes(50, groups=32, width=4),
                        SEEMS.format("ResNeXt-50 32x4d, whose convolutions are in groups (resnext50)")),
    "resnext101_32x8d": (resnet_shapes(101, groups=32, width=8),
                         SEEMS.format("ResNeXt-101 32x8d, whose convolutions are in groups (resnext101)")),
    "wide_resnet50_2": (resnet_shapes(50, width=128),
                        SEEMS.format("Wide ResNet-50-2, whose blocks are wider (wide_resnet50_2)")),
    "resnet50d": (with_stem(R50),
                  SEEMS.format("a ResNet-50 that begins with three convolutions (resnet50c, -d, -s or -t)")),
    "resnet50_gn": (without(R50, "running_", "num_batches"),
                    SEEMS.format("a ResNet-50 without running means, as of group normalisation (resnet50_gn)")),
    "of three axes": (in_time(R50), SEEMS.format("a network whose convolutions have 5 axes")),
    "seresnet50": (with_se(R50),
                   "w has more than a ResNet: layer1.0.se.fc1.weight, layer1.0.se.fc2.weight, layer1.1.se.fc1.weight, "
                   "layer1.1.se.fc2.weight, layer1.2.se.fc1.weight, layer1.2.se.fc2.weight" + FIT),
    "CLIP's": (R50 | {"conv2.weight": (64, 64, 3, 3), "attnpool.x": (3,)},
               "w has more than a ResNet: conv2.weight" + FIT),
    "one of grey pictures": (R50 | {"conv1.weight": (64, 1, 7, 7)},
                             "w: 1 arrays have other shapes (conv1.weight [64, 1, 7, 7] for [64, 3, 7, 7])" + FIT),
    "a part of one": (without(R50, "layer4.2.bn3"), "w lacks layer4.2.bn3.weight, layer4.2.bn3.bias, "
                      "layer4.2.bn3.running_mean, layer4.2.bn3.running_var of a ResNet" + FIT),
    "a teacher with its student": ({f"{who}.{name}": shape for who in ("a", "b") for name, shape in R50.items()},
                                   "w holds 2 ResNets, whose names begin with a., b., and which to take is not clear; "
                                   "save one alone"),
    "a transformer": ({"cls_token": (1, 1, 8), "blocks.0.attn.qkv.weight": (24, 8)},
                      "w holds no ResNet by the names of torchvision or timm (conv1, layer1.0.conv1 and so on); it has "
                      "cls_token, blocks.0.attn.qkv.weight" + FIT),
    "another with running means": (norm_shapes("features.norm0", 64),
                                   "w holds no ResNet by the names of torchvision or timm (conv1, layer1.0.conv1 and "
                                   "so on); the names look like those of a network of PyTorch: features.norm0.weight, "
                                   "features.norm0.bias, features.norm0.running_mean, features.norm0.running_var, "
                                   "features.norm0.num_batches_tracked" + FIT),
}  # fmt: skip


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("kind", [TORCH, SAFETENSORS])
def test_a_relative_of_a_resnet_is_refused_in_one_line_that_says_what_it_is(name, kind, lazy_tsn):
    shapes, text = RELATIVES[name]
    assert error_of(load_into_network, lazy_tsn[50], in_memory(zeros(shapes), kind), fine_tune=True) == text


def test_hostile_names_stay_on_one_short_line(lazy_tsn):
    names = {"x\n\x1b[2J" + "y" * 10_000: (3,), "layer1.0.conv1.weight\n": (3,), "": (3,)}
    for more in ({}, {"layer1.0.conv1.weight": ()}, {"layer1.0.conv1.weight": (64, 64, 1, 1)}, R50):
        shapes = more | {f"{prefix}{name}": shape for name, shape in names.items() for prefix in ("", "layer1.")}
        message = error_of(load_into_network, lazy_tsn[50], in_memory(zeros(shapes)), fine_tune=True)
        assert message.isprintable()
        assert len(message) < 500


def test_networks_that_differ_in_layers_without_weights_are_told_by_what_the_file_is_called(lazy_tsn, tmp_path):
    def refusal(name, content):
        (tmp_path / name).write_bytes(content)
        file = load_weights(str(tmp_path / name), "TSN")
        return error_of(load_into_network, lazy_tsn[50], file, fine_tune=True).removeprefix(str(tmp_path / name))

    arrays = {name: np.zeros((1,) * len(shape), np.float32) for name, shape in R50.items()}
    plain, seems = (
        zip_content(tensors(arrays)),
        " seems to be of {}, as '{}' says, which this network's ResNet is not" + FIT,
    )
    said = zip_content({"arch": "resnetblur50", "state_dict": tensors(arrays)})
    assert refusal("w.pth", said) == seems.format("resnetblur50", "resnetblur50")
    assert refusal("resnetaa50-4cf4.pth", plain) == seems.format("resnetaa50", "resnetaa50-4cf4.pth")
    assert ": 265 arrays have other shapes" in refusal("resnet50.pth", plain)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnetblur101"}))
    safe = safetensors_content(arrays)
    assert refusal("model.safetensors", safe) == seems.format("resnetblur101", "resnetblur101")
    for other in ("[1]", '{"architecture": 3}', "{", "[" * 100_000):
        (tmp_path / "config.json").write_text(other)
        assert ": 265 arrays have other shapes" in refusal("model.safetensors", safe)


# Where else such a file is given


def test_other_models_and_other_uses_refuse_it_and_say_what_takes_it(arrays50, tmp_path, monkeypatch, capsys):
    path = tmp_path / "resnet50.pth"
    path.write_bytes(zip_content(tensors(arrays50)))
    file = load_weights(str(path), None)
    message = error_of(load_into_network, default_network("AttentionCluster"), file, fine_tune=True)
    assert message == f"{path} is a PyTorch checkpoint; STNET and TSN can begin with such, no other model"
    text = (
        f"{path} is a ResNet-50 of torchvision or timm, without what this network has behind it; train.py --pretrain "
        "begins with such"
    )
    assert error_of(load_into_network, default_network("TSN"), file) == text  # test.py, infer.py
    assert error_of(own_arrays, default_network("TSN"), file) == text
    options = ("convert", path, tmp_path / "out", "--model-name=TSN", "--to=fluid")
    assert error_of(run_tool, monkeypatch, capsys, *options) == text
    message = error_of(load_checkpoint, path, "TSN")
    assert message.endswith("which --resume takes; --pretrain begins with weights alone")
    lines = [" ".join(line.split()) for line in run_tool(monkeypatch, capsys, "show", path).splitlines()]
    assert lines[0] == f"{path}: PyTorch checkpoint"
    assert {"layer4.2.bn3.running_var float32 [2048]", "bn1.num_batches_tracked int64 []"} <= set(lines)
    assert lines[-1].startswith("320 arrays; ")


def test_a_config_may_name_it_as_its_pretrain_base(tmp_path):
    (tmp_path / "resnet101.pth").write_bytes(b"")
    spec = MODELS.get("TSN")
    values = {("TRAIN", "pretrain_base"): f"{tmp_path}/resnet101.pth", ("MODEL", "num_layers"): 101}
    overrides = [Override(*place, value, "test") for place, value in values.items()]
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", "TRAIN"], "TSN", overrides)
    chosen = choose_pretrain(None, config, weights_dir=None, offline=True)
    assert chosen == ("TRAIN.pretrain_base", f"{tmp_path}/resnet101.pth")
