"""The policy as it was at some epochs: kept in the checkpoint, so that a film can show how it learnt."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Stages(nn.Module):
    """Weights before training, and after epochs 1, 2, 4, 8 and so on, as far as training went."""

    weights: Tensor
    recorded: Tensor

    def __init__(self, network: nn.Module, epochs: int) -> None:
        super().__init__()
        self._network = [network]  # in a list, so that it is no part of this module's state
        start = flat(network)
        self.register_buffer("weights", torch.zeros(1 + epochs.bit_length(), len(start)))
        self.register_buffer("recorded", torch.ones((), dtype=torch.int64))
        self.weights[0] = start

    @torch.no_grad()
    def record(self, epoch: int) -> None:
        """epoch: how many are done."""
        if epoch & (epoch - 1) == 0:
            self.weights[epoch.bit_length()] = flat(self._network[0])
            self.recorded.fill_(1 + epoch.bit_length())

    def networks(self) -> list[tuple[int, nn.Module]]:
        """Epochs that were done, and the network as it was then."""
        found = []
        for row in range(int(self.recorded)):
            network = copy.deepcopy(self._network[0])
            nn.utils.vector_to_parameters(self.weights[row], network.parameters())
            found.append((2 ** (row - 1) if row else 0, network))
        return found


def flat(network: nn.Module) -> Tensor:
    """All parameters in one row."""
    return nn.utils.parameters_to_vector(network.parameters()).detach().clone()
