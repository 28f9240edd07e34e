"""VGGish: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017 (arXiv:1609.09430),
section 3.2, in the smaller form that was released with AudioSet: configuration A of VGG with four groups of
convolutions, and a layer of 128 in place of the classifier.
"""

from collections.abc import Mapping

import numpy as np
import paddle.nn.functional as F
from paddle import nn

from models.layers.tensorflow_arrays import require_arrays, to_paddle_kernel

SCOPE = "vggish"  # in the released checkpoint, where layers have the names they have here, "." being "/"


def zeros() -> nn.initializer.Initializer:
    """The quickest start for weights that are loaded."""
    return nn.initializer.Constant(0.0)


class Convolution(nn.Conv2D):
    """3x3 with bias, then ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1, weight_attr=zeros(), bias_attr=zeros())

    def forward(self, x):
        return F.relu(super().forward(x))


class Dense(nn.Linear):
    """A fully connected layer without activation: (N, in_features) -> (N, out_features)."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__(in_features, out_features, weight_attr=zeros(), bias_attr=zeros())


class ActiveDense(Dense):
    """The same with ReLU."""

    def forward(self, x):
        return F.relu(super().forward(x))


class VGGish(nn.Layer):
    """The network for ``load_variables``: it begins with zeros.

    Shape:
        x: (N, 96, 64) float32, examples of ``datareader.youtube8m.log_mel``: time, band.
        output: (N, 128) float32, of any sign: the features of YouTube-8M were made without an activation at the end.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = Convolution(1, 64)
        self.pool1 = nn.MaxPool2D(2)
        self.conv2 = Convolution(64, 128)
        self.pool2 = nn.MaxPool2D(2)
        self.conv3 = nn.Sequential(("conv3_1", Convolution(128, 256)), ("conv3_2", Convolution(256, 256)))
        self.pool3 = nn.MaxPool2D(2)
        self.conv4 = nn.Sequential(("conv4_1", Convolution(256, 512)), ("conv4_2", Convolution(512, 512)))
        self.pool4 = nn.MaxPool2D(2)
        self.fc1 = nn.Sequential(("fc1_1", ActiveDense(12288, 4096)), ("fc1_2", ActiveDense(4096, 4096)))
        self.fc2 = Dense(4096, 128)

    def forward(self, x):
        x = self.pool1(self.conv1(x.unsqueeze(1)))  # (N, 64, 48, 32)
        x = self.pool2(self.conv2(x))  # (N, 128, 24, 16)
        x = self.pool3(self.conv3(x))  # (N, 256, 12, 8)
        x = self.pool4(self.conv4(x))  # (N, 512, 6, 4)
        return self.fc2(self.fc1(self.flatten_places(x)))  # (N, 128)

    def flatten_places(self, x):
        """(N, 512, 6, 4) -> (N, 12288), the channels of a place next to each other, as the weights of fc1 expect."""
        return x.transpose([0, 2, 3, 1]).flatten(1)

    def scopes(self) -> dict[str, Convolution | Dense]:
        """Scope in the released checkpoint -> layer, in the order of the layers; 9 of them."""
        layers = [named for named in self.named_sublayers() if isinstance(named[1], Convolution | Dense)]
        return {f"{SCOPE}/{name.replace('.', '/')}": layer for name, layer in layers}


def variable_shapes(network: VGGish) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the 18 variables of the released checkpoint that ``load_variables`` takes, all float32."""
    shapes = {}
    for scope, layer in network.scopes().items():
        shape = layer.weight.shape
        shapes[f"{scope}/weights"] = (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else tuple(shape)
        shapes[f"{scope}/biases"] = tuple(layer.bias.shape)
    return shapes


def load_variables(network: VGGish, variables: Mapping[str, np.ndarray], where: str = "the checkpoint") -> None:
    """Give a network the variables of the released checkpoint.

    variables: at least those of ``variable_shapes``. where: what they are of, for messages. Raises CheckpointError
    where some are missing, have another shape, or are no numbers that a network can have.
    """
    require_arrays(variables, variable_shapes(network), where)
    for scope, layer in network.scopes().items():
        weights = variables[f"{scope}/weights"].astype(np.float32, copy=False)
        layer.weight.set_value(to_paddle_kernel(weights) if weights.ndim == 4 else weights)
        layer.bias.set_value(variables[f"{scope}/biases"].astype(np.float32, copy=False))
