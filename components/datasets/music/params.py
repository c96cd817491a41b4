"""The parameters of the dataset music."""

from typing import Literal

from pydantic import Field

from components.config import DatasetParams


class MusicDatasetParams(DatasetParams):
    """How the tunes are prepared."""

    collections: tuple[Literal["oneills", "ryans", "airds"], ...]
    """Printed collections whose tunes are added to the training split; empty for none."""
    near_duplicate: float = Field(gt=0, le=1)
    """Share of common melody with a validation or test tune from which such a tune is dropped."""
