"""Pong of the Atari 2600 in the Arcade Learning Environment (Bellemare et al. 2013): the first to 21 points wins."""

from __future__ import annotations

from components.datasets.environments import EnvironmentDataset


class Pong(EnvironmentDataset):
    name = "pong"


DATASET = Pong()
