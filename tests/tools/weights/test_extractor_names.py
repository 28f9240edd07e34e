"""Names and shapes of the published networks' arrays."""

import math

from tests.conftest import PROJECT
from tools.weights.extractor_names import inception_kernels, inception_shapes, vggish_shapes

KERNELS = PROJECT / "tests/golden/tensorflow/inception_kernels.txt"  # scope and shape of each, from published listings


def test_the_kernels_of_inception_are_those_of_the_published_graph_in_its_order():
    lines = [line.split() for line in KERNELS.read_text().splitlines()]
    assert list(inception_kernels()) == [(scope, tuple(map(int, shape))) for scope, *shape in lines]


def test_every_convolution_of_inception_has_a_kernel_and_four_statistics():
    shapes = inception_shapes()
    assert len(shapes) == 470
    assert sum(map(math.prod, shapes.values())) == 21_820_000
    assert shapes["mixed_10/tower_1/mixed/conv_1/conv2d_params"] == (3, 1, 384, 384)
    assert shapes["mixed_10/tower_1/mixed/conv_1/batchnorm/moving_variance"] == (384,)
    assert shapes["mixed/tower_2/conv/conv2d_params"] == (1, 1, 192, 32)


def test_vggish_has_eighteen_variables():
    assert vggish_shapes() == {
        "vggish/conv1/weights": (3, 3, 1, 64), "vggish/conv1/biases": (64,),
        "vggish/conv2/weights": (3, 3, 64, 128), "vggish/conv2/biases": (128,),
        "vggish/conv3/conv3_1/weights": (3, 3, 128, 256), "vggish/conv3/conv3_1/biases": (256,),
        "vggish/conv3/conv3_2/weights": (3, 3, 256, 256), "vggish/conv3/conv3_2/biases": (256,),
        "vggish/conv4/conv4_1/weights": (3, 3, 256, 512), "vggish/conv4/conv4_1/biases": (512,),
        "vggish/conv4/conv4_2/weights": (3, 3, 512, 512), "vggish/conv4/conv4_2/biases": (512,),
        "vggish/fc1/fc1_1/weights": (12288, 4096), "vggish/fc1/fc1_1/biases": (4096,),
        "vggish/fc1/fc1_2/weights": (4096, 4096), "vggish/fc1/fc1_2/biases": (4096,),
        "vggish/fc2/weights": (4096, 128), "vggish/fc2/biases": (128,),
    }  # fmt: skip
    assert sum(map(math.prod, vggish_shapes().values())) == 72_141_184
