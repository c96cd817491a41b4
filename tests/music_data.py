"""The real tunes, for tests: `make test` fetches them."""

from functools import cache
from pathlib import Path

from components.datasets.music.params import MusicDatasetParams
from components.datasets.music.raw import FILE, read_blocks, read_text
from components.settings import project_root

RAW = project_root() / "data" / "music"
ALL = MusicDatasetParams(profile="course", limit=0, collections=(), near_duplicate=0.15)
"""All of the lab's own tunes are prepared, and no others."""


@cache
def real_tunes() -> tuple[str, ...]:
    """Every block of the raw file: 804 tunes and two fragments without a header."""
    return tuple(block.text for block in read_blocks(read_text(RAW / FILE), RAW / FILE))


def raw_folder(folder: Path, content: str | bytes) -> Path:
    """A folder of raw tunes with this for a file of tunes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
