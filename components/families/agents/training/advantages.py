"""Returns and advantages of steps that were played, over games side by side."""

from __future__ import annotations

import torch
from torch import Tensor


def advantages(
    rewards: Tensor, values: Tensor, following: Tensor, terminated: Tensor, done: Tensor, discount: float, trace: float
) -> Tensor:
    """Generalised advantages (Schulman et al. 2016, eq. 16): all arguments and the result are (steps, games).

    values, following: of the observation before and after each step. An episode that was cut off by the time limit goes
    on in expectation, so its last step counts `following` (Pardo et al. 2018, "Time limits in reinforcement learning");
    one that terminated does not.
    """
    errors = rewards + discount * following * (1 - terminated) - values
    found, carried = torch.empty_like(errors), torch.zeros_like(errors[0])
    for step in range(len(errors) - 1, -1, -1):
        carried = errors[step] + discount * trace * (1 - done[step]) * carried
        found[step] = carried
    return found
