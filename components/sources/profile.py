"""The data profile in use: one line of params.yaml, read and rewritten without touching the rest of the file."""

from pathlib import Path
from typing import Any

from components.errors import UserError
from components.files import write_text
from components.sources.catalogue import FOLDERS, Profile


def profile_in_use(path: Path) -> Profile:
    """The profile that params.yaml's data.folder names. Raises UserError when it names none."""
    folder = _parsed(path)["folder"]
    for profile, name in FOLDERS.items():
        if folder == name:
            return profile
    raise UserError(f"{path}: data.folder is {folder!r}; it must be one of {', '.join(FOLDERS.values())}")


def use_profile(path: Path, profile: Profile) -> None:
    """Points data.folder at the profile's folder. Only that word changes: comments and layout stay as they are."""
    data = _parsed(path)
    old, new = str(data["folder"]), FOLDERS[profile]
    if old == new:
        return
    line, column = data.lc.value("folder")
    lines = path.read_bytes().decode().splitlines(keepends=True)  # read_text would lose \r\n
    quotes = lines[line][column] if lines[line][column] in "'\"" else ""
    rest = lines[line][column:].removeprefix(f"{quotes}{old}{quotes}")
    lines[line] = f"{lines[line][:column]}{quotes}{new}{quotes}{rest}"
    write_text(path, "".join(lines))


def _parsed(path: Path) -> Any:
    """The section `data`, with the places of its values in the file."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML().load(path.read_text(encoding="utf-8"))["data"]
        data["folder"]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder") from None
    except (YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise UserError(f"{path} has no data.folder: it must be one of {', '.join(FOLDERS.values())}") from None
    return data
