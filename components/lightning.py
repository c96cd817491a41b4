"""Lightning without the optional packages of its metrics."""

from __future__ import annotations

import sys
from importlib import import_module

from components.deferred_imports import deferred, without_garbage_collection

OPTIONAL = ("matplotlib", "pandas", "scipy", "transformers")
"""What torchmetrics imports where it is installed, for metrics of sound and language and for plots of metrics."""


def load_lightning() -> None:
    """Imports pytorch_lightning in half of the time.

    Its torchmetrics, with which no lab measures, takes OPTIONAL for packages that are not installed. Everything else
    finds them as always.
    """
    if "pytorch_lightning" in sys.modules:
        return
    with without_garbage_collection():
        import_module("torch")  # before: torchmetrics alone is to miss them
        # What is loaded in part already is found, and would be missed further down.
        with deferred(absent=[name for name in OPTIONAL if name not in sys.modules]):
            import_module("torchmetrics")
        import_module("pytorch_lightning")
