"""The five networks of the zoo in PyTorch, by the same names and with the same weights, to measure beside them.

Batch normalisation is as PyTorch has it by default: its momentum of 0.1 is what Paddle calls 0.9. Needs PyTorch when it
is imported.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from tests.peers.torch_clip_networks import STNET, TSN, ClipNetwork, in_channels_last
from tests.peers.torch_feature_networks import AttentionCluster, AttentionLSTM, NeXtVLAD
from tools.errors import ConfigError

NETWORKS = {
    "AttentionCluster": AttentionCluster,
    "AttentionLSTM": AttentionLSTM,
    "NEXTVLAD": NeXtVLAD,
    "STNET": STNET,
    "TSN": TSN,
}
RENAMED = {"_mean": "running_mean", "_variance": "running_var"}


def build(name: str, model, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """A network with the parameters and buffers of the zoo's own. name: as published. model: [MODEL] of the config.

    Raises ConfigError for one that is not in NETWORKS.
    """
    if name not in NETWORKS:
        raise ConfigError(f"--against: {name} has no counterpart among those of {__name__}, {', '.join(NETWORKS)}")
    kind = NETWORKS[name]
    network = kind(model, count_blocks(weights)) if issubclass(kind, ClipNetwork) else kind(model)
    own = network.state_dict()
    state = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    for key, value in weights.items():
        scope, _, last = key.rpartition(".")
        there = f"{scope}.{RENAMED.get(last, last)}".removeprefix(".")
        if there in own:
            is_linear = value.ndim == 2 and isinstance(network.get_submodule(scope), nn.Linear)
            state[there] = torch.from_numpy(np.ascontiguousarray(value.T) if is_linear else value)
    for i in range(len(getattr(network, "streams", ()))):
        for direction in ("forward", "backward"):
            scope = f"streams.{i}.lstm_{direction}"
            project = f"streams.{i}.project_{direction}"
            state |= {f"{scope}.{key}": value for key, value in turn_lstm(weights, scope, project)}
    network.load_state_dict(state)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = in_channels_last(parameter.data)
    return network


class WithProbabilities(nn.Module):
    """As it is exported."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *inputs):
        return self.network.probs(self.network(*inputs))


def count_blocks(weights: Mapping[str, np.ndarray]) -> list[int]:
    """Of each stage of a ResNet."""
    places = {tuple(key.split(".")[2:4]) for key in weights if key.startswith("trunk.stages.")}
    return [sum(stage == str(i) for stage, _ in places) for i in range(4)]


def build_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """Of the kind that the zoo trains the network with."""
    parameters = network.parameters()
    if isinstance(network, ClipNetwork):
        return torch.optim.SGD(parameters, 1e-6, momentum=0.9, weight_decay=1e-4)
    if isinstance(network, AttentionLSTM):
        return torch.optim.RMSprop(parameters, 1e-6, alpha=0.95, eps=1e-6, weight_decay=8e-4, centered=True)
    return torch.optim.Adam(parameters, 1e-6)


def turn_lstm(weights: Mapping[str, np.ndarray], lstm: str, project: str):
    """What PyTorch's LSTM has of one of the zoo, whose gates are candidate, input, forget and output."""
    hidden = len(weights[f"{lstm}.weight"])
    order = np.concatenate([np.arange(gate * hidden, (gate + 1) * hidden) for gate in (1, 2, 0, 3)])
    bias = weights[f"{lstm}.bias"].ravel()
    if bias[4 * hidden :].any():
        raise ValueError(f"{lstm} has peepholes, which PyTorch's LSTM has not")
    yield "weight_ih_l0", torch.from_numpy(weights[f"{project}.weight"].T[order])
    yield "weight_hh_l0", torch.from_numpy(weights[f"{lstm}.weight"].T[order])
    yield "bias_ih_l0", torch.from_numpy(weights[f"{project}.bias"][order])
    yield "bias_hh_l0", torch.from_numpy(bias[order])
