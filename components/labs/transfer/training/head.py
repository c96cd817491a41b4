"""A new head for frozen features, by logistic regression: it trains in seconds, because features are computed once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def fit_head(head: nn.Linear, features: Tensor, labels: Tensor, weight_decay: float, steps: int) -> None:
    """Sets the head's weights to the multinomial logistic regression of labels (N,) on features (N, F).

    Minimises cross-entropy + weight_decay * the sum of squared weights, over features that are brought to mean 0 and
    deviation 1, by L-BFGS with a line search (Liu and Nocedal 1989). The scaling is then moved into the weights.
    """
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    scaled = (features - mean) / deviation
    weight = torch.zeros_like(head.weight, requires_grad=True)
    bias = torch.zeros_like(head.bias, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        found = functional.cross_entropy(scaled @ weight.T + bias, labels) + weight_decay * weight.square().sum()
        found.backward()
        return float(found.detach())

    with torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():
        head.weight.copy_(weight / deviation)
        head.bias.copy_(bias - (weight / deviation) @ mean)
