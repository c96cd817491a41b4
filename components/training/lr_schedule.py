"""The learning rate over a training, as a share of the highest."""

import math


def one_cycle(done: float, warmup: float) -> float:
    """Share of the highest learning rate when `done` (0 to 1) of the steps are done.

    Rises linearly until `warmup` (a share of all steps), then falls to zero along half a cosine.
    """
    if done < warmup:
        return done / warmup
    return (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup)))) / 2
