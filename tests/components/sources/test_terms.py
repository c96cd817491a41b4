"""Whoever uses the data can read where each part of it comes from, and under which terms."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from components.settings import project_root

ROOT = project_root()


def declared() -> set[str]:
    """What sources.toml declares: a file as dataset/path, packages that are a dataset by its name."""
    sources = tomllib.loads((ROOT / "components" / "sources" / "sources.toml").read_text(encoding="utf-8"))
    files = {f"{each['dataset']}/{each['path']}" for each in sources["file"]}
    return files | {each["dataset"] for each in sources["packages"]}


def documented() -> list[str]:
    """First cells of the table of sources in docs/data.md: patterns of files, folders or datasets."""
    table = Path(ROOT, "docs", "data.md").read_text(encoding="utf-8").partition("## Sources and terms")[2]
    rows = table.partition("\n\n")[2].partition("\n\n")[0].splitlines()[2:]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    return [name.removeprefix("starter/") for name in names]


def test_every_source_has_its_terms_in_the_docs() -> None:
    patterns = documented()
    assert len(patterns) > 10
    missing = {
        source
        for source in declared()
        if not any(fnmatch(source, f"{name}*" if name.endswith("/") else name) for name in patterns)
    }
    assert not missing
