"""CarRacing: a car on a random track, seen from above (Klimov 2016; gymnasium's CarRacing-v3)."""

from __future__ import annotations

from components.datasets.environments import EnvironmentDataset


class Driving(EnvironmentDataset):
    """Only a random policy plays the reference episodes: the numbers of the privileged expert are the lab's."""

    name = "driving"
    side_by_side = False


DATASET = Driving()
