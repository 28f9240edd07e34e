"""Clips of frames as networks take them: float32 that is normalised already, or the bytes of the pixels."""

import paddle
from paddle import nn


class NormalizePixels(nn.Layer):
    """Bytes to ``(x / 255 - mean) / std`` of each colour, on the device; float32 is taken as normalised already.

    mean, std: one number for each of red, green and blue. seglen: frames that are stacked on the channel axis.

    Shape:
        x: (N, S, 3 * seglen, H, W) uint8 or float32, the colours of a frame next to each other.
        output: (N, S, 3 * seglen, H, W) float32, with the bits that NumPy gets from the same float32 operations.
    """

    def __init__(self, mean: list[float], std: list[float], seglen: int):
        super().__init__()
        # As tensors: Paddle (3.3.1; PaddlePaddle/Paddle#75237) divides by a Python number by multiplying with its
        # inverse, which rounds otherwise.
        for name, values in (("most", [255.0]), ("mean", mean * seglen), ("std", std * seglen)):
            column = paddle.to_tensor(values, dtype="float32").reshape([-1, 1, 1])
            self.register_buffer(name, column, persistable=False)

    def forward(self, x):
        if x.dtype != paddle.uint8:
            return x
        return (x.astype("float32") / self.most - self.mean) / self.std
