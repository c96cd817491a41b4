"""A named version of a dataset, brought to a place that has no repository and checked file by file."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from components.errors import UserError
from components.files import write_json, write_text
from components.settings import project_root, settings
from components.sources import pin
from components.sources.catalogue import Profile, declared, packages_of, raw_folder, select
from components.sources.errors import UnavailableError
from components.sources.fetch import WORK_FOLDER, bring
from components.sources.installed import check_installed, packages_version

log = logging.getLogger(__name__)

VERSION = re.compile(r"[0-9a-f]{32}\.(dir|pkg)")
"""The hash that DVC gives a folder, or the one of packages' versions."""
PACKAGES = "packages.json"
"""All that the folder of a dataset holds which is made of packages: their versions."""
PIN_BYTES = 10_000
SECONDS = 20
"""Size and patience for a pin at an address."""


def bring_version(root: Path, dataset: str, profile: Profile, version: str) -> Path:
    """Brings `version` (an entry's hash in a data pin) of a dataset and returns its folder.

    From the DVC remote that DATA_REMOTE names, or, without one, from the sources, which have only the version that
    sources.toml declares. Writes root/data.dvc, which gives the data its version in every run.
    Of a dataset that is made of packages nothing is brought: their versions are checked and recorded in PACKAGES.
    Raises UserError when the version can't be had or what came is not it.
    """
    if packages := packages_of(dataset):
        return _record_packages(root / raw_folder(dataset, profile), dataset, packages, version)
    remote = settings().data_remote
    pin_version(root, dataset, profile, version)
    folder = root / raw_folder(dataset, profile)
    if remote:
        _pull(root, remote)
    else:
        try:
            for file in select(declared(), dataset, profile):
                bring(file, folder, root / WORK_FOLDER, settings().data_mirror)
        except UnavailableError as reason:
            raise UserError(f"the {profile} data of {dataset} cannot be had: {reason}") from None
    found = pin.digest(pin.listing(folder))
    if found != version:
        place = remote or "the sources of this code's sources.toml"
        raise UserError(f"{place} gave version {found} of {folder}/, not {version}: name a DATA_REMOTE that has it")
    log.info("%s/ is version %s, from %s", folder, version, remote or "its sources")
    return folder


def bring_weights(root: Path, names: Iterable[str]) -> None:
    """Brings pretrained weights in the versions that this code's data.dvc pins; root/data.dvc gets their entries.

    Raises UserError as `bring_version` does.
    """
    entries = pin.entries(root / pin.PIN)
    for name in names:
        version = pin.dataset_version(project_root(), name, "course")
        bring_version(root, name, "course", version)
        entries[raw_folder(name, "course").as_posix()] = version
    pin.write_pin(root, [_entry(folder, version) for folder, version in entries.items()])


def _record_packages(folder: Path, dataset: str, packages: dict[str, str], version: str) -> Path:
    if packages_version(packages) != version:
        raise UserError(f"{dataset} is version {packages_version(packages)} in this code's sources.toml, not {version}")
    check_installed(dataset, packages)
    write_json(folder / PACKAGES, packages)
    return folder


def resolved(version: str, dataset: str, profile: Profile) -> str:
    """`version` itself, or, where it is the address or path of a pin, what the pin says of the dataset now.

    Raises UserError where there is none.
    """
    if VERSION.fullmatch(version):
        return version
    if not version.startswith(("http://", "https://")):
        return pin.dataset_version(Path(version).parent, dataset, profile)
    try:
        with urllib.request.urlopen(version, timeout=SECONDS) as answer:  # noqa: S310 - scheme checked
            text = answer.read(PIN_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(f"{version} cannot be read: {getattr(error, 'reason', error)}") from None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, pin.PIN).write_bytes(text)
        try:
            return pin.dataset_version(Path(folder), dataset, profile)
        except UserError as error:
            raise UserError(str(error).replace(str(Path(folder, pin.PIN)), version)) from None


def pin_version(root: Path, dataset: str, profile: Profile, version: str) -> None:
    """Writes root/data.dvc with this one entry."""
    pin.write_pin(root, [_entry(raw_folder(dataset, profile).as_posix(), version)])


def _entry(folder: str, version: str) -> dict[str, str]:
    """The sizes that DVC also writes are not known, and it does without."""
    return {"md5": version, "hash": "md5", "path": folder}


def _pull(root: Path, remote: str) -> None:
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
    pin.dvc(root, "pull", pin.PIN)
    shutil.rmtree(root / ".dvc" / "cache")
