import numpy as np
import paddle
import pytest

from tests.tools.benchmark.test_peers import FakeWorker
from tools.benchmark import floor

LACKS_TORCH = "PyTorch, of requirements-benchmark.txt, is not installed"


def test_the_speed_is_that_of_the_fastest_product_of_any_library():
    worker = FakeWorker({"product, NumPy": [9, 4, 2], "product, Paddle": [9, 3, 3]}, [])
    assert floor.measure_speed(worker, repeat=2) == floor.SIDE**3 / 2


def test_each_library_multiplies_square_matrices_of_its_own_kind(monkeypatch):
    monkeypatch.setattr(floor, "multiply", lambda one, other: (type(one), one.shape, other.shape))
    monkeypatch.setattr(floor, "SIDE", 8)
    kinds = {name: product() for name, product in floor.make_products().items()}
    assert [kind[0] for kind in kinds.values()] == [np.ndarray, paddle.Tensor]
    assert all([*shape] == [8, 8] for kind in kinds.values() for shape in kind[1:])
    assert list(kinds) == [f"product, {library}" for library in floor.LIBRARIES]


def test_a_batch_is_split_into_its_videos():
    lengths, stream = np.array([2, 1]), np.arange(6).reshape(3, 2)
    (one, x), (other, y) = floor.split_videos((lengths, stream))
    assert (one.tolist(), x.tolist()) == ([2], [[0, 1], [2, 3]])
    assert (other.tolist(), y.tolist()) == ([1], [[4, 5]])
    assert [x.tolist() for (x,) in floor.split_videos((stream,))] == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_multiply_adds_are_those_that_a_hand_counts():
    torch = pytest.importorskip("torch", reason=LACKS_TORCH)
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
            self.depthwise = nn.Conv1d(6, 6, 3, padding=1, groups=6)
            self.fc = nn.Linear(6, 5)

        def forward(self, x):  # (1, 3, 8, 8)
            y = self.depthwise(torch.relu(self.conv(x)).flatten(2))  # (1, 6, 16)
            return self.fc(y.transpose(1, 2)) @ y.new_ones(1, 5, 2)

    by_hand = 16 * 6 * 3 * 9 + 6 * 16 * 3 + 16 * 6 * 5 + 16 * 5 * 2
    assert floor.count_multiply_adds(Net(), [np.zeros((3, 3, 8, 8), np.float32)]) == by_hand


def test_an_lstm_is_counted_for_the_frames_that_videos_have():
    torch = pytest.importorskip("torch", reason=LACKS_TORCH)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(8, 16, batch_first=True)

        def forward(self, lengths, x):
            frames = lengths.tolist()
            return self.lstm(torch.stack([torch.nn.functional.pad(part, (0, 0, 0, max(frames) - len(part)))
                                          for part in x.split(frames)]))  # fmt: skip

    count = floor.count_multiply_adds(Net().eval(), [np.array([3, 9]), np.zeros((12, 8), np.float32)])
    assert count == (3 + 9) / 2 * 4 * 16 * (8 + 16)
