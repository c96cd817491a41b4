"""CartPole-v1 of gymnasium: a pole on a cart that is pushed left or right (Barto, Sutton and Anderson 1983)."""

from __future__ import annotations

from components.datasets.environments import EnvironmentDataset


class CartPole(EnvironmentDataset):
    name = "cartpole"


DATASET = CartPole()
