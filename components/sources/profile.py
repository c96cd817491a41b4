"""The profile of each dataset: a word of params.yaml, rewritten without touching the rest of the file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from components.errors import UserError
from components.files import write_text
from components.sources.catalogue import Profile

PROFILES: tuple[Profile, ...] = get_args(Profile)


def profile_in_use(path: Path, dataset: str) -> Profile:
    """What params.yaml says at datasets.<dataset>.profile. Raises UserError when it names no profile."""
    found = _parsed(path, dataset)["profile"]
    for profile in PROFILES:
        if found == profile:
            return profile
    raise UserError(f"{path}: datasets.{dataset}.profile is {found!r}; it must be one of {', '.join(PROFILES)}")


def use_profile(path: Path, dataset: str, profile: Profile) -> None:
    """Writes a dataset's profile. Only that word changes: comments and layout stay as they are."""
    params = _parsed(path, dataset)
    old = str(params["profile"])
    if old == profile:
        return
    line, column = params.lc.value("profile")
    lines = path.read_bytes().decode().splitlines(keepends=True)  # read_text would lose \r\n
    quotes = lines[line][column] if lines[line][column] in "'\"" else ""
    rest = lines[line][column:].removeprefix(f"{quotes}{old}{quotes}")
    lines[line] = f"{lines[line][:column]}{quotes}{profile}{quotes}{rest}"
    write_text(path, "".join(lines))


def _parsed(path: Path, dataset: str) -> Any:
    """The dataset's block, with the places of its values in the file; it is not to be changed."""
    from ruamel.yaml.error import YAMLError

    try:
        params = _loaded(path.read_text(encoding="utf-8"))["datasets"][dataset]
        params["profile"]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder") from None
    except (YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise UserError(f"{path} has no datasets.{dataset}.profile: it must be one of {', '.join(PROFILES)}") from None
    return params


@lru_cache(maxsize=2)
def _loaded(text: str) -> Any:
    """One text is asked for every dataset, and the parser that knows places takes tenths of a second."""
    from ruamel.yaml import YAML

    return YAML().load(text)
