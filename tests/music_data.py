"""The real tunes, for tests: `make test` fetches them."""

from functools import cache
from pathlib import Path

from components.datasets.music.raw import FILE, read_blocks, read_text
from components.settings import project_root

RAW = next(folder for name in ("data", "data.starter") if (folder := project_root() / name).exists())


@cache
def real_tunes() -> tuple[str, ...]:
    """Every block of the raw file: 804 tunes and two fragments without a header."""
    return tuple(block.text for block in read_blocks(read_text(RAW / FILE), RAW / FILE))


def raw_folder(folder: Path, content: str | bytes) -> Path:
    """A data folder with this for a file of tunes."""
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
