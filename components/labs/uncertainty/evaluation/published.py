"""What others measured on these sets: RMSE and negative log-likelihood (nats), each as its table prints it."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    rmse: float
    nll: float


AMINI = "Amini et al. 2020, table 1"
"""One split of at most twenty, and the minimum over training of each figure: no held-out choice of the epoch."""
GAL = "Gal's rerun of 2018"
"""https://github.com/yaringal/DropoutUncertaintyExps: all splits, settings chosen on a tenth of the training rows."""

PUBLISHED: dict[str, dict[str, Published]] = {
    "concrete": {
        f"dropout ({AMINI})": Published(5.23, 3.04),
        f"ensembles ({AMINI})": Published(6.03, 3.06),
        f"evidential ({AMINI})": Published(5.85, 3.01),
        f"dropout ({GAL})": Published(4.82, 2.93),
    },
    "energy": {
        f"dropout ({AMINI})": Published(1.66, 1.99),
        f"ensembles ({AMINI})": Published(2.09, 1.38),
        f"evidential ({AMINI})": Published(2.06, 1.39),
        f"dropout ({GAL})": Published(0.54, 1.21),
    },
    "kin8nm": {
        f"dropout ({AMINI})": Published(0.10, -0.95),
        f"ensembles ({AMINI})": Published(0.09, -1.20),
        f"evidential ({AMINI})": Published(0.09, -1.24),
        f"dropout ({GAL})": Published(0.08, -1.14),
    },
    "naval": {
        f"dropout ({AMINI})": Published(0.01, -3.80),
        f"ensembles ({AMINI})": Published(0.00, -5.63),
        f"evidential ({AMINI})": Published(0.00, -5.73),
    },
    "power": {
        f"dropout ({AMINI})": Published(4.02, 2.80),
        f"ensembles ({AMINI})": Published(4.11, 2.79),
        f"evidential ({AMINI})": Published(4.23, 2.81),
        f"dropout ({GAL})": Published(4.01, 2.80),
    },
    "protein": {
        f"dropout ({AMINI})": Published(4.36, 2.89),
        f"ensembles ({AMINI})": Published(4.71, 2.83),
        f"evidential ({AMINI})": Published(4.64, 2.63),
        f"dropout ({GAL})": Published(4.27, 2.87),
    },
    "wine": {
        f"dropout ({AMINI})": Published(0.62, 0.93),
        f"ensembles ({AMINI})": Published(0.64, 0.94),
        f"evidential ({AMINI})": Published(0.61, 0.89),
        f"dropout ({GAL})": Published(0.62, 0.93),
    },
    "yacht": {
        f"dropout ({AMINI})": Published(1.11, 1.55),
        f"ensembles ({AMINI})": Published(1.58, 1.18),
        f"evidential ({AMINI})": Published(1.57, 1.03),
        f"dropout ({GAL})": Published(0.67, 1.25),
    },
}


def better_than(name: str, metric: str, value: float) -> list[str]:
    """Which published rows are better than a value: lower is better in both. Empty for a set nobody published."""
    return [row for row, published in PUBLISHED.get(name, {}).items() if getattr(published, metric) < value]
