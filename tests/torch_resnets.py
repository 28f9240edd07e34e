"""ResNets as torchvision/models/resnet.py publishes them: names, shapes, and what they compute, slowly."""

import numpy as np

SIZES = {18: (2, 2, 2, 2), 26: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet_shapes(num_layers, *, groups=1, width=64, images=1):
    """Name -> shape, of a ResNet, a ResNeXt (groups and width of each) or a wide one."""
    shapes = {"conv1.weight": (64, 3 * images, 7, 7), **norm_shapes("bn1", 64)}
    channels, bottleneck = 64, num_layers not in (18, 34)
    for stage, size in enumerate(SIZES[num_layers], start=1):
        planes = 64 * 2 ** (stage - 1)
        middle, out = planes * width // 64 * groups, planes * (4 if bottleneck else 1)
        for block in range(size):
            here = f"layer{stage}.{block}"
            convs = [(middle, channels, 1, 1), (middle, middle // groups, 3, 3), (out, middle, 1, 1)]
            if not bottleneck:
                convs = [(out, channels, 3, 3), (out, out, 3, 3)]
            for number, shape in enumerate(convs, start=1):
                shapes |= {f"{here}.conv{number}.weight": shape, **norm_shapes(f"{here}.bn{number}", shape[0])}
            if block == 0 and channels != out:
                shapes |= {f"{here}.downsample.0.weight": (out, channels, 1, 1)}
                shapes |= norm_shapes(f"{here}.downsample.1", out)
            channels = out
    return shapes | {"fc.weight": (1000, channels), "fc.bias": (1000,)}


def norm_shapes(name, channels):
    fields = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{field}": (channels,) for field in fields}, f"{name}.num_batches_tracked": ()}


def resnet_arrays(num_layers, seed=0, **variant):
    """Made weights, with which the last features are about as large as the first."""
    rng = np.random.default_rng(seed)
    return {name: make_array(rng, name, shape) for name, shape in resnet_shapes(num_layers, **variant).items()}


def make_array(rng, name, shape):
    if name.endswith("num_batches_tracked"):
        return np.int64(1000)
    if name.endswith(("running_mean", "bias")):
        return rng.normal(0, 0.1, shape).astype(np.float32)
    if len(shape) == 1:
        return rng.uniform(0.4, 0.8, shape).astype(np.float32)
    return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))


def convolve(x, weight, stride, padding):
    """x (C, H, W), weight (K, C, h, w) -> (K, H', W')."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwij,kcij->khw", windows, weight, optimize=True)


def normalize(x, arrays, name):
    weight, bias, mean, var = (
        arrays[f"{name}.{field}"].astype(np.float64)[:, None, None]
        for field in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def bottleneck(x, arrays, here, stride, first_stride):
    """first_stride: that of the first convolution, 1 in torchvision; the second has the rest."""
    y = np.maximum(normalize(convolve(x, arrays[f"{here}.conv1.weight"], first_stride, 0), arrays, f"{here}.bn1"), 0)
    y = convolve(y, arrays[f"{here}.conv2.weight"], stride // first_stride, 1)
    y = np.maximum(normalize(y, arrays, f"{here}.bn2"), 0)
    y = normalize(convolve(y, arrays[f"{here}.conv3.weight"], 1, 0), arrays, f"{here}.bn3")
    if f"{here}.downsample.0.weight" in arrays:
        x = normalize(convolve(x, arrays[f"{here}.downsample.0.weight"], stride, 0), arrays, f"{here}.downsample.1")
    return np.maximum(x + y, 0)


def features(image, arrays, num_layers, *, stride_first=False):
    """What layer4 of torchvision's network gives: image (3, H, W) -> (2048, H / 32, W / 32) float64, in NumPy.

    stride_first: as Caffe's, which has a block's stride in its first convolution.
    """
    x = normalize(convolve(image.astype(np.float64), arrays["conv1.weight"], 2, 3), arrays, "bn1")
    x = np.pad(np.maximum(x, 0), ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))
    for stage, size in enumerate(SIZES[num_layers], start=1):
        for block in range(size):
            stride = 2 if stage > 1 and block == 0 else 1
            x = bottleneck(x, arrays, f"layer{stage}.{block}", stride, stride if stride_first else 1)
    return x
