"""AttentionLSTM: a bidirectional LSTM with peepholes and attention over frames, in the form of the zoo of 2019.

The LSTM is that of Gers, Schraudolph and Schmidhuber, "Learning Precise Timing with LSTM Recurrent Networks",
JMLR 3, 2002, in Fluid's layout; the attention that of Zhou et al., "Attention-Based Bidirectional Long
Short-Term Memory Networks for Relation Classification", ACL 2016, section 3.3.
"""

import itertools

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.autograd import PyLayer

from models.layers.linear import column_sums, linear
from models.layers.losses import multilabel_losses
from models.layers.prepacked import PrepackedMatrix
from models.layers.sequence import PackedOrder, dequantize, mask_frames, size_of


def _linear(in_features: int, out_features: int) -> nn.Linear:
    """A Linear with 2019's start: weights Xavier uniform, bias 0."""
    zero = nn.initializer.Constant(0.0)
    return nn.Linear(in_features, out_features, weight_attr=nn.initializer.XavierUniform(), bias_attr=zero)


def lstm_step(gates, c, peep_i, peep_f, peep_o):
    """One step of Fluid's dynamic_lstm.

    gates: (n, 4H), candidate, input, forget and output before their activation and peepholes.
    c: (n, H) cell of the step before, None at the first. peep_*: (H,).
    Returns the activated candidate, input, forget and output gates, the cell, and its tanh: (n, H) each.
    """
    candidate, i, f, o = paddle.split(gates, 4, axis=1)
    candidate = paddle.tanh(candidate)
    if c is None:
        i, f = F.sigmoid(i), F.sigmoid(f)
        c = candidate * i
    else:
        i, f = F.sigmoid(i + c * peep_i), F.sigmoid(f + c * peep_f)
        c = candidate * i + f * c
    o = F.sigmoid(o + c * peep_o)  # the output gate sees the new cell
    return candidate, i, f, o, c, paddle.tanh(c)


class PackedLSTM(PyLayer):
    """The recurrence over packed frames (see ``PackedOrder``), with its own backward.

    Backward needs one small product a step, for the gradient of h; the gradient of the weight is one
    large product at the end. Autograd would add up (H, 4H) once a step.

    Shape: projected (M, 4H), weight (H, 4H), peep_* (H,); output h (M, H).
    """

    @staticmethod
    def forward(ctx, projected, weight, peep_i, peep_f, peep_o, active, keep):
        """active: videos running at each step. keep: whether backward will be called."""
        h = c = None
        outputs, steps = [], []
        recurrent = PrepackedMatrix(weight, active[0])
        for n, end in zip(active, itertools.accumulate(active), strict=True):
            gates = projected[end - n : end]  # a view: split would copy
            if h is not None:
                h, c = (h, c) if h.shape[0] == n else (h[:n], c[:n])
                gates = gates + recurrent(h)
            *activated, c, tanh_c = lstm_step(gates, c, peep_i, peep_f, peep_o)
            h = activated[-1] * tanh_c
            outputs.append(h)
            if keep:
                steps.append((*activated, c, tanh_c))
        if keep:
            ctx.state = steps, outputs, weight, (peep_i, peep_f, peep_o), active
        return paddle.concat(outputs)

    @staticmethod
    def backward(ctx, d_outputs):
        steps, outputs, weight, (peep_i, peep_f, peep_o), active = ctx.state
        recurrent = PrepackedMatrix(weight, active[0], transposed=True)
        d_h = d_c = None  # what step t + 1 hands back
        d_gates = [None] * len(active)
        ends = list(itertools.accumulate(active))
        for t in reversed(range(len(active))):
            d_output = d_outputs[ends[t] - active[t] : ends[t]]
            candidate, i, f, o, _, tanh_c = steps[t]
            if d_h is not None:
                d_h, d_c = _extend(d_h, active[t]), _extend(d_c, active[t])
                d_output = d_output + d_h
            d_o = d_output * tanh_c * o * (1 - o)
            d_cell = d_output * o * (1 - tanh_c * tanh_c) + d_o * peep_o
            if d_c is not None:
                d_cell = d_cell + d_c
            d_candidate = d_cell * i * (1 - candidate * candidate)
            d_i = d_cell * candidate * i * (1 - i)
            if t:
                d_f = d_cell * steps[t - 1][4][: active[t]] * f * (1 - f)
                d_c = d_cell * f + d_i * peep_i + d_f * peep_f
            else:
                d_f = paddle.zeros_like(d_i)
            d_gates[t] = paddle.concat([d_candidate, d_i, d_f, d_o], axis=1)
            if t:
                d_h = recurrent(d_gates[t])
        d_projected = paddle.concat(d_gates)
        return d_projected, *_weight_gradients(d_projected, outputs, [step[4] for step in steps], active)


def _extend(rows, count: int):
    """Rows of zeros behind: videos that end here get nothing from later steps."""
    if rows.shape[0] == count:
        return rows
    return paddle.concat([rows, paddle.zeros([count - rows.shape[0], rows.shape[1]], rows.dtype)])


def _weight_gradients(d_projected, outputs, cells, active):
    """Gradients of the recurrent weight and the three peepholes, each as one product over all steps."""
    hidden = outputs[0].shape[1]
    d_peep_o = column_sums(d_projected[:, 3 * hidden :] * paddle.concat(cells))
    if len(active) == 1:
        zeros = paddle.zeros([hidden], d_projected.dtype)
        return paddle.zeros([hidden, 4 * hidden], d_projected.dtype), zeros, zeros.clone(), d_peep_o
    before = [slice(0, n) for n in active[1:]]  # rows of the step before that go on
    h_before = paddle.concat([h[rows] for h, rows in zip(outputs[:-1], before, strict=True)])
    c_before = paddle.concat([c[rows] for c, rows in zip(cells[:-1], before, strict=True)])
    later = d_projected[active[0] :]
    return (
        paddle.matmul(h_before, later, transpose_x=True),
        column_sums(later[:, hidden : 2 * hidden] * c_before),
        column_sums(later[:, 2 * hidden : 3 * hidden] * c_before),
        d_peep_o,
    )


class PeepholeLSTM(nn.Layer):
    """One direction of the LSTM; parameters in Fluid's layout.

    weight: (H, 4H), candidate, input, forget, output. bias: (1, 7H), the same four, then the peepholes
    of input, forget and output gate.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        init = nn.initializer.XavierUniform()
        self.weight = self.create_parameter([hidden_size, 4 * hidden_size], default_initializer=init)
        self.bias = self.create_parameter([1, 7 * hidden_size], is_bias=True)

    def split_bias(self):
        """The gates' bias (4H,) and the three peepholes (H,)."""
        hidden = self.weight.shape[0]
        return paddle.split(self.bias.flatten(), [4 * hidden, hidden, hidden, hidden])

    def forward(self, x, project: nn.Linear, active: list[int]):
        """x: (M, E) in packed order; project: E to 4H, what the gates take of it. Returns h (M, H)."""
        gate_bias, *peepholes = self.split_bias()
        projected = linear(x, project.weight, project.bias + gate_bias)  # one pass over (M, 4H) in place of two
        with paddle.amp.auto_cast(enable=False):  # errors of 16-bit numbers would add up over 300 steps
            if projected.dtype != self.weight.dtype:
                projected = projected.astype(self.weight.dtype)
            return PackedLSTM.apply(projected, self.weight, *peepholes, active, paddle.is_grad_enabled())


class AttentionStream(nn.Layer):
    """One stream of frame features: embedding, LSTM in both directions, attention over the video's frames.

    Shape:
        x: (M, D) float32 in packed order. output: (N, 2H).
    """

    def __init__(self, feature_dim: int, embedding_size: int, lstm_size: int, drop_rate: float):
        super().__init__()
        self.drop_rate = drop_rate
        self.embedding = _linear(feature_dim, embedding_size)
        self.project_forward = _linear(embedding_size, 4 * lstm_size)
        self.lstm_forward = PeepholeLSTM(lstm_size)
        self.project_backward = _linear(embedding_size, 4 * lstm_size)
        self.lstm_backward = PeepholeLSTM(lstm_size)
        self.score = _linear(2 * lstm_size, 1)

    def forward(self, x, order: PackedOrder):
        flip = paddle.to_tensor(order.flip)
        embedded = F.tanh(linear(x, self.embedding.weight, self.embedding.bias))  # (M, E)
        forward = self.lstm_forward(embedded, self.project_forward, order.active)
        turned = paddle.gather(embedded, flip)
        backward = paddle.gather(self.lstm_backward(turned, self.project_backward, order.active), flip)
        hidden = self.drop(paddle.concat([forward, backward], axis=1))  # (M, 2H)
        padded = paddle.gather(hidden, paddle.to_tensor(order.padded.ravel()))
        padded = padded.reshape([*order.padded.shape, hidden.shape[1]])  # (N, T, 2H); any frame behind the end
        return self.attend(padded, paddle.to_tensor(order.real).astype(hidden.dtype))

    def drop(self, hidden):
        return F.dropout(hidden, self.drop_rate, training=self.training, mode="downscale_in_infer")

    def attend(self, hidden, real):
        """Softmax over each video's real frames: hidden (N, T, 2H), real (N, T) 1 or 0 -> (N, 2H)."""
        scores = self.score(hidden).squeeze(-1) + (real - 1) * 1e30  # (N, T)
        return (F.softmax(scores, axis=-1).unsqueeze(1) @ hidden).squeeze(1)


class AttentionLSTM(nn.Layer):
    """An AttentionStream for every feature, then two layers and a classifier.

    drop_rate: dropout on the LSTMs' output, of Fluid's kind: training multiplies by the mask alone and
        evaluation multiplies by 1 - drop_rate.

    Shape:
        lengths: (N,) int64. streams: one (sum of lengths, D) a feature, uint8 as stored or float32
            dequantised, the frames of all videos one after another.
        output: logits (N, num_classes) float32.
    """

    classifier = "logistic"
    loss_reduction = "sum"  # 2019: over the whole batch, so the gradient grows with it

    def __init__(self, feature_dims, embedding_size: int, lstm_size: int, num_classes: int, drop_rate: float):
        super().__init__()
        self.streams = nn.LayerList(
            [AttentionStream(dim, embedding_size, lstm_size, drop_rate) for dim in feature_dims]
        )
        # Not packed in test mode: that would take 330 MB, and the LSTMs all but a hundredth of the time.
        self.fc1 = _linear(2 * lstm_size * len(self.streams), 8192)
        self.fc2 = _linear(8192, 4096)
        self.logistic = _linear(4096, num_classes)

    def forward(self, lengths, *streams):
        order = PackedOrder(lengths.numpy())
        flat = paddle.to_tensor(order.flat)
        packed = [dequantize(paddle.gather(x, flat)) for x in streams]
        return self.classify([layer(x, order) for layer, x in zip(self.streams, packed, strict=True)])

    def classify(self, pooled):
        x = paddle.concat(pooled, axis=1)  # (N, 2H * streams)
        x = F.relu(self.fc1(x))  # (N, 8192)
        x = F.tanh(self.fc2(x))  # (N, 4096)
        return self.logistic(x)  # (N, num_classes)

    def losses(self, logits, labels, class_weights=None, label_smoothing=0.0):
        return multilabel_losses(logits, labels, class_weights, label_smoothing)

    def probs(self, logits):
        return F.sigmoid(logits)

    @property
    def released_names(self) -> dict[str, str]:
        return released_names(len(self.streams))


class PaddedAttentionLSTM(nn.Layer):
    """The same network in test mode on padded frames: one graph for any lengths, for ``paddle.jit.save``.

    The recurrence is a loop in the graph, in place of the PyLayer, which cannot be exported.

    Shape:
        lengths: (N,) int64. rgb, audio: (N, T, D); what lies behind a video's length is ignored. A network
            with one stream takes one. (Export needs named inputs.)
        output: logits (N, num_classes) float32.
    """

    def __init__(self, network: AttentionLSTM):
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, lengths, rgb, audio=None):
        network = self.network
        streams = [rgb] if audio is None else [rgb, audio]
        real = mask_frames(lengths, size_of(streams[0], 1))  # (N, T)
        pooled = [self._pool(network.streams[i], dequantize(x), real) for i, x in enumerate(streams)]
        return network.classify(pooled)

    def _pool(self, layer: AttentionStream, x, real):
        embedded = F.tanh(layer.embedding(x))  # (N, T, E)
        forward = self._recur(layer.lstm_forward, layer.project_forward(embedded), real)
        turned = paddle.flip(layer.project_backward(embedded), [1])
        backward = self._recur(layer.lstm_backward, turned, paddle.flip(real, [1]))
        hidden = paddle.concat([forward, paddle.flip(backward, [1])], axis=2)
        return layer.attend(layer.drop(hidden), real)

    def _recur(self, lstm: PeepholeLSTM, projected, real):
        """h at every step: projected (N, T, 4H), real (N, T) -> (N, T, H). Padding leaves h and c at 0."""
        gate_bias, *peepholes = lstm.split_bias()
        steps = (projected + gate_bias).transpose([1, 0, 2])  # (T, N, 4H)
        real = real.t().unsqueeze(-1)  # (T, N, 1)
        num_steps, num_videos, hidden = size_of(steps, 0), size_of(steps, 1), lstm.weight.shape[0]
        end = num_steps if isinstance(num_steps, int) else num_steps.astype("int64")

        def go_on(t, h, c, outputs):
            return t < end

        def step(t, h, c, outputs):
            gates = paddle.addmm(paddle.gather(steps, t).squeeze(0), h, lstm.weight)
            *_, o, c, tanh_c = lstm_step(gates, c, *peepholes)
            mask = paddle.gather(real, t).squeeze(0)
            h, c = o * tanh_c * mask, c * mask
            return t + 1, h, c, paddle.scatter(outputs, t, h.unsqueeze(0))

        start = [paddle.zeros([num_videos, hidden]) for _ in range(2)]
        outputs = paddle.zeros([num_steps, num_videos, hidden])
        *_, outputs = paddle.static.nn.while_loop(go_on, step, [paddle.zeros([1], "int64"), *start, outputs])
        return outputs.transpose([1, 0, 2])


_STREAM_LAYERS = ("embedding", "project_forward", "project_backward", "score")  # in the order of their numbers


def released_names(num_streams: int) -> dict[str, str]:
    """Own name -> name in the weights of 2019, where layers are numbered in the order of building."""
    layers = {}
    for i in range(num_streams):
        layers |= {f"streams.{i}.{own}": f"fc_{4 * i + n}" for n, own in enumerate(_STREAM_LAYERS)}
        layers |= {f"streams.{i}.lstm_forward": f"lstm_{2 * i}", f"streams.{i}.lstm_backward": f"lstm_{2 * i + 1}"}
    layers |= {own: f"fc_{4 * num_streams + n}" for n, own in enumerate(("fc1", "fc2", "logistic"))}
    fields = {"weight": "w_0", "bias": "b_0"}
    return {f"{own}.{field}": f"{layers[own]}.{name}" for own in layers for field, name in fields.items()}
