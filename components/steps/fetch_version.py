"""A named version of the data, brought to a place that has no repository and checked file by file."""

import logging
import re
import shutil
import tempfile
import urllib.request
from pathlib import Path

import yaml

from components.errors import UserError
from components.files import write_text
from components.provenance import data_version
from components.settings import settings
from components.sources import pin
from components.sources.catalogue import FOLDERS, Profile
from components.steps.fetch import fetch

log = logging.getLogger(__name__)

VERSION = re.compile(r"[0-9a-f]{32}\.dir")
"""The hash that DVC gives a folder."""
PIN_BYTES = 10_000
SECONDS = 20
"""Size and patience for a pin at an address."""


def bring_version(root: Path, folder: str, version: str) -> Path:
    """Brings `version` (the hash of a data pin) of root/folder and returns that folder.

    From the DVC remote that DATA_REMOTE names, or, without one, as the step fetch does, which knows only the version
    that sources.toml declares. Writes root/<folder>.dvc, which gives the data its version in every run.
    Raises UserError when the version can't be had or what came is not it.
    """
    remote = settings().data_remote
    write_pin(root, folder, version)
    if remote:
        _pull(root, folder, remote)
    else:
        fetch((), _profile(folder), root)
    found = pin.digest(pin.listing(root / folder))
    if found != version:
        place = remote or "the sources of this code's sources.toml"
        raise UserError(f"{place} gave version {found} of {folder}/, not {version}: name a DATA_REMOTE that has it")
    log.info("%s/ is version %s, from %s", folder, version, remote or "its sources")
    return root / folder


def resolved(version: str) -> str:
    """`version` itself, or, where it is the address or path of a pin, the version that the pin names now.

    Raises UserError where there is none.
    """
    if VERSION.fullmatch(version):
        return version
    if not version.startswith(("http://", "https://")):
        return data_version(Path(version))
    try:
        with urllib.request.urlopen(version, timeout=SECONDS) as answer:  # noqa: S310 - scheme checked
            text = answer.read(PIN_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(f"{version} cannot be read: {getattr(error, 'reason', error)}") from None
    with tempfile.TemporaryDirectory() as folder:
        pin_file = Path(folder) / version.rpartition("/")[2]
        pin_file.write_bytes(text)
        return data_version(pin_file)


def write_pin(root: Path, folder: str, version: str) -> None:
    """Writes root/<folder>.dvc. The sizes that DVC also writes are not known here, and it does without them."""
    pinned = {"outs": [{"md5": version, "hash": "md5", "path": folder}]}
    write_text(root / f"{folder}.dvc", yaml.safe_dump(pinned))


def _pull(root: Path, folder: str, remote: str) -> None:
    # Links instead of copies: this cache is for one pull. verify: a remote is not trusted to hold what it says.
    config = f"""[core]
    no_scm = true
    analytics = false
    remote = store
[cache]
    type = "reflink,hardlink,copy"
['remote "store"']
    url = {remote}
    verify = true
"""
    write_text(root / ".dvc" / "config", config)
    pin.dvc(root, "pull", f"{folder}.dvc")
    shutil.rmtree(root / ".dvc" / "cache")


def _profile(folder: str) -> Profile:
    for profile, name in FOLDERS.items():
        if name == folder:
            return profile
    raise UserError(f"there is no data folder {folder}: {', '.join(FOLDERS.values())}")
