"""Which bundle is served, and what says that it may be: read once, at the start, and refused whole or not at all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import UserError
from components.promoted import Served, read_served

log = logging.getLogger(__name__)

REGISTRY = "models:/"


@contextmanager
def open_bundle(
    reference: str, labs: tuple[str, ...], allow_unpromoted: bool, answers: bool = True
) -> Iterator[Served]:
    """A bundle: a folder, or a model of MLflow's registry (models:/music@champion), downloaded for the while.

    answers: False for one that answers no request, as a shadow.

    Raises UserError when it is damaged, of none of these labs, not to be had, or not promoted and not allowed to be.
    """
    with _folder(reference) as folder:
        served = read_served(folder)
        if served.lab not in labs:
            raise UserError(f"{reference} is a bundle of the lab {served.lab}; this serves {' and '.join(labs)}")
        if served.unpromoted:
            if not allow_unpromoted:
                raise UserError(
                    f"{reference} is not promoted: {served.unpromoted}; promote it (`python -m components promote "
                    f"{served.lab}`), or serve it as it is with --allow-unpromoted"
                )
            if answers:
                log.warning("serving an unpromoted bundle: %s", served.unpromoted)
        yield served


@contextmanager
def _folder(reference: str) -> Iterator[Path]:
    if not reference.startswith(REGISTRY):
        yield Path(reference)
        return
    from components.tracking.registry import fetch_model  # MLflow takes seconds to load: only who asks for it waits

    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        yield fetch_model(reference, Path(folder) / "bundle")
