"""The parameters of the dataset styles."""

from pydantic import Field

from components.config import DatasetParams


class StylesParams(DatasetParams):
    """How styled answers find their questions, and what is kept."""

    min_similarity: float = Field(gt=0, lt=1)
    """Least cosine of the TF-IDF vectors of a styled line and the question and answer it is paired with."""
    near_duplicate: float = Field(gt=0, le=1)
    """Share of common words (Jaccard) from which a training question repeats a validation or test question."""
    max_characters: int = Field(ge=100)
    """Longest question or answer, in characters, that is kept."""
