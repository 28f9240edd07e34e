"""Names and shapes of the arrays in the published networks that describe frames and sound.

Inception v3 (Szegedy et al., CVPR 2016, arXiv:1512.00567) with the names of ``classify_image_graph_def.pb``, VGGish
(Hershey et al., ICASSP 2017, arXiv:1609.09430) with those of ``vggish_model.ckpt``. Kernels are (height, width, inputs,
outputs).
"""

from collections.abc import Iterator

Shape = tuple[int, ...]

KERNEL = "conv2d_params"
STATISTICS = ("beta", "gamma", "moving_mean", "moving_variance")  # of a batch normalisation, below "batchnorm"
_BRANCHES = {
    "": "conv",
    "0": "tower/conv",
    "1": "tower_1/conv",
    "2": "tower_2/conv",
}  # of a block, with its first layer


def inception_shapes() -> dict[str, Shape]:
    """The 470 constants up to ``pool_3``: of 94 convolutions a kernel and four statistics."""
    shapes = {}
    for scope, kernel in inception_kernels():
        shapes[f"{scope}/{KERNEL}"] = kernel
        shapes |= {f"{scope}/batchnorm/{name}": kernel[-1:] for name in STATISTICS}
    return shapes


def vggish_shapes() -> dict[str, Shape]:
    """The 18 variables of VGGish: of six convolutions and three dense layers the weights and the biases."""
    shapes, inputs = {}, 1
    for name, outputs in (
        ("conv1", 64), ("conv2", 128), ("conv3/conv3_1", 256), ("conv3/conv3_2", 256),
        ("conv4/conv4_1", 512), ("conv4/conv4_2", 512),
    ):  # fmt: skip
        shapes[f"vggish/{name}/weights"], shapes[f"vggish/{name}/biases"] = (3, 3, inputs, outputs), (outputs,)
        inputs = outputs
    inputs *= 6 * 4  # what four poolings leave of 96 x 64
    for name, outputs in (("fc1/fc1_1", 4096), ("fc1/fc1_2", 4096), ("fc2", 128)):
        shapes[f"vggish/{name}/weights"], shapes[f"vggish/{name}/biases"] = (inputs, outputs), (outputs,)
        inputs = outputs
    return shapes


def inception_kernels() -> Iterator[tuple[str, Shape]]:
    """(scope, shape of its kernel) of each convolution, in forward order."""
    yield from _chain("conv", 3, [(3, 3, 32), (3, 3, 32), (3, 3, 64), (1, 1, 80), (3, 3, 192)])
    inputs = 192
    for block, pooled in (("mixed", 32), ("mixed_1", 64), ("mixed_2", 64)):  # 35 x 35
        yield from _branches(block, inputs, {
            "": [(1, 1, 64)],
            "0": [(1, 1, 48), (5, 5, 64)],
            "1": [(1, 1, 64), (3, 3, 96), (3, 3, 96)],
            "2": [(1, 1, pooled)],
        })  # fmt: skip
        inputs = 64 + 64 + 96 + pooled
    yield from _branches("mixed_3", inputs, {"": [(3, 3, 384)], "0": [(1, 1, 64), (3, 3, 96), (3, 3, 96)]})
    inputs = 768
    for block, width in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):  # 17 x 17
        wide, high = (1, 7, width), (7, 1, width)
        yield from _branches(block, inputs, {
            "": [(1, 1, 192)],
            "0": [(1, 1, width), wide, (7, 1, 192)],
            "1": [(1, 1, width), high, wide, high, (1, 7, 192)],
            "2": [(1, 1, 192)],
        })  # fmt: skip
    yield from _branches("mixed_8", inputs, {
        "0": [(1, 1, 192), (3, 3, 320)],
        "1": [(1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192)],
    })  # fmt: skip
    for block, inputs in (("mixed_9", 1280), ("mixed_10", 2048)):  # 8 x 8
        fork = [(1, 3, 384), (3, 1, 384)]  # side by side on what comes before
        yield from _branches(block, inputs, {"": [(1, 1, 320)], "0": [(1, 1, 384)]})
        yield from _fork(f"{block}/tower/mixed/conv", 384, fork)
        yield from _branches(block, inputs, {"1": [(1, 1, 448), (3, 3, 384)]})
        yield from _fork(f"{block}/tower_1/mixed/conv", 384, fork)
        yield from _branches(block, inputs, {"2": [(1, 1, 192)]})


def _branches(block: str, inputs: int, branches: dict[str, list[Shape]]) -> Iterator[tuple[str, Shape]]:
    for branch, layers in branches.items():
        yield from _chain(f"{block}/{_BRANCHES[branch]}", inputs, layers)


def _chain(scope: str, inputs: int, layers: list[Shape]) -> Iterator[tuple[str, Shape]]:
    """Convolutions (height, width, outputs) one after another: ``scope``, ``scope_1``, ..."""
    for number, (height, width, outputs) in enumerate(layers):
        yield f"{scope}_{number}" if number else scope, (height, width, inputs, outputs)
        inputs = outputs


def _fork(scope: str, inputs: int, layers: list[Shape]) -> Iterator[tuple[str, Shape]]:
    """As ``_chain``, side by side."""
    for number, (height, width, outputs) in enumerate(layers):
        yield f"{scope}_{number}" if number else scope, (height, width, inputs, outputs)
