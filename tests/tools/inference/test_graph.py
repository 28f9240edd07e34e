"""What the graph of a network says of its layers and products."""

import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from tools.inference.graph import GraphInput, UncountedError, examine


def counted(network, *shapes, rounds=1, dtype="float32"):
    """Layer -> its multiply-adds, of those that have some."""
    inputs = [GraphInput(f"x{i}", shape, dtype) for i, shape in enumerate(shapes)]
    facts = examine(network, network, inputs, rounds)
    return {each.name: each.multiply_adds for each in facts if each.multiply_adds}


class Calls(nn.Layer):
    """A network that is one function of its inputs."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_sublayer(name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


@pytest.mark.parametrize(
    ("transposed", "shapes"),
    [
        ((False, False), [(2, 3, 5), (2, 5, 7)]),
        ((True, False), [(2, 5, 3), (2, 5, 7)]),
        ((False, True), [(2, 3, 5), (2, 7, 5)]),
        ((True, True), [(2, 5, 3), (2, 7, 5)]),
    ],
)
def test_a_matrix_product_counts_by_its_three_sizes_however_it_is_turned(transposed, shapes):
    assert counted(Calls(lambda self, x, y: paddle.matmul(x, y, *transposed)), *shapes) == {"": 2 * 3 * 5 * 7}


def test_a_product_with_a_vector_counts_each_number_of_the_matrix_once():
    assert counted(Calls(lambda self, x, y: paddle.matmul(x, y)), (3, 5), (5,)) == {"": 15}


def test_a_convolution_counts_its_kernel_at_each_place_of_its_output():
    network = Calls(lambda self, x: self.conv(x), conv=nn.Conv2D(6, 8, (3, 5), stride=2, padding=1, groups=2))
    height, width = (9 + 2 - 3) // 2 + 1, (11 + 2 - 5) // 2 + 1
    assert counted(network, (4, 6, 9, 11)) == {"conv": 4 * 8 * height * width * (6 // 2) * 3 * 5}
    alone = Calls(lambda self, x: self.conv(x), conv=nn.Conv2D(6, 6, 3, groups=6))
    assert counted(alone, (1, 6, 5, 5)) == {"conv": 6 * 9 * 9}


def test_a_product_belongs_to_the_layer_of_its_weights_to_the_one_that_runs_or_to_where_it_comes_from():
    inner = Calls(lambda self, x: (self.fc(x) @ x).sum(axis=-1), fc=nn.Linear(4, 3))
    network = Calls(lambda self, x: F.linear(x, self.other.weight), other=nn.Linear(4, 2), part=inner)
    assert counted(network, (3, 4)) == {"other": 3 * 4 * 2}
    network = Calls(lambda self, x: self.part(x), part=inner)
    assert counted(network, (3, 4)) == {"part": 3 * 3 * 4, "part.fc": 3 * 4 * 3}
    outside = Calls(lambda self, x: F.softmax(self.part.one(x)) @ self.part.other(x).t(),
                    part=Calls(None, one=nn.Linear(4, 2), other=nn.Linear(4, 2)))  # fmt: skip
    assert counted(outside, (3, 4)) == {"part": 3 * 2 * 3, "part.one": 24, "part.other": 24}


def test_a_product_in_a_loop_counts_once_a_round():
    def loop(self, x):
        step = lambda t, h: (t + 1, self.fc(h))  # noqa: E731
        _, h = paddle.static.nn.while_loop(lambda t, h: t < 5, step, [paddle.zeros([1], "int64"), x])
        return h

    assert counted(Calls(loop, fc=nn.Linear(4, 4)), (1, 4), rounds=5) == {"fc": 5 * 16}


def test_a_layer_that_writes_a_convolution_out_says_what_it_counts():
    class Weighted(nn.Layer):
        def forward(self, x):
            return 2 * x

        def multiply_adds(self, shape):
            return 2 * shape[0] * shape[1]

    assert counted(Calls(lambda self, x: self.own(x), own=Weighted()), (3, 4)) == {"own": 24}


def dot_itself(x):
    return x.unsqueeze(0) @ x.unsqueeze(1)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda self, x: F.conv2d_transpose(x, paddle.ones([3, 2, 2, 2])), "conv2d_transpose are not counted"),
        (lambda self, x: paddle.einsum("nchw,mchw->nm", x, x), "einsum are not counted"),
        (lambda self, x: dot_itself(paddle.masked_select(x, x > 0)), "not known"),
    ],
    ids=["another convolution", "einsum", "a shape that hangs on values"],
)
def test_a_product_that_cannot_be_counted_is_an_error_and_never_left_out(function, reason):
    with pytest.raises(UncountedError, match=reason):
        counted(Calls(function), (1, 3, 4, 4))


def test_layers_tell_their_shapes_and_what_is_trained():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1D(3))
    whole, linear, norm = examine(network, network, [GraphInput("x", (2, 4), "float32")], rounds=1)
    assert (whole.name, whole.num_parameters, whole.output) == ("", 0, (2, 3))
    assert (linear.inputs, linear.output, linear.parameters) == ([(2, 4)], (2, 3), {"weight": (4, 3), "bias": (3,)})
    assert (norm.num_parameters, norm.statistics) == (6, {"_mean": (3,), "_variance": (3,)})
    assert not whole.statistics


def test_the_network_can_be_used_afterwards():
    network = nn.Sequential(nn.Linear(4, 3))
    x = paddle.ones([2, 4])
    network.eval()
    before = network(x).numpy()
    examine(network, network, [GraphInput("x", (2, 4), "float32")], rounds=1)
    assert (network(x).numpy() == before).all()
    assert not network[0]._forward_post_hooks
