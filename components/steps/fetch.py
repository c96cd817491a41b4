"""Fetch: bring the raw data, and say loudly when only the small starter profile can be had."""

import logging
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from components.errors import UserError
from components.labs import find
from components.settings import settings
from components.sources import pin
from components.sources.catalogue import FOLDERS, Profile, declared, select
from components.sources.errors import UnavailableError
from components.sources.fetch import WORKSHOP, bring
from components.sources.profile import profile_in_use, use_profile

log = logging.getLogger(__name__)

BOX = 100
"""Characters a line in the message that must not be overlooked."""


@dataclass(frozen=True)
class FetchReport:
    profile: Profile
    """The profile that is in use now, written to params.yaml."""
    folder: Path
    files: dict[str, str]
    """dataset/path -> the place it came from, or "already there"."""
    fallback: str | None = None
    """Why the starter profile was taken although the course profile was meant; None when it was not."""


def fetch(labs: Iterable[str], profile: Profile | None, root: Path) -> FetchReport:
    """Brings the raw files of `profile` to root/data or root/data.starter and makes that the profile in use.

    labs: names of labs whose datasets are wanted; none for every dataset. data.dvc pins the whole folder, so
    `dvc repro` needs every dataset even for one lab: name labs to look at one lab's data only.
    profile: None means the one in use (params.yaml: data.folder), and allows the fallback: where the course profile
    cannot be had complete, the starter profile is fetched and put to use instead, loudly. A profile that is asked for
    by name is brought or is an error.

    Files come from the first place that has them (DATA_MIRROR, then as in sources.toml) and land whole or not at all;
    what is there already is kept. Raises UserError: unknown lab, wrong hash (both named), nothing to be had.
    """
    datasets = {dataset for lab in labs for dataset in find(lab).datasets} or None
    wanted = profile or profile_in_use(root / "params.yaml")
    try:
        report = _bring_all(wanted, datasets, root)
    except UnavailableError as reason:
        if profile or wanted == "starter":
            raise UserError(f"the {wanted} data cannot be had: {reason}") from None
        report = _fall_back(str(reason), datasets, root)
    use_profile(root / "params.yaml", report.profile)
    return report


def _bring_all(profile: Profile, datasets: set[str] | None, root: Path) -> FetchReport:
    name = FOLDERS[profile]
    mirror = settings().data_mirror
    if mirror and "://" not in mirror and not Path(mirror).expanduser().is_dir():
        log.warning("DATA_MIRROR names %s, which is no folder: going on without it", mirror)
    folder = root / name
    files = select(declared(), profile, datasets)
    with _alone(folder):
        pinned = pin.is_pinned(root, name)
        if pinned:  # also data that was accepted on purpose and that sources.toml does not know
            places = {file.location: "already there" for file in files}
        else:
            places = {file.location: bring(file, folder, mirror) for file in files}
        if pinned or pin.is_pinned(root, name):
            pin.cache_pinned(root, name)
    return FetchReport(profile, folder, places)


def _fall_back(reason: str, datasets: set[str] | None, root: Path) -> FetchReport:
    try:
        report = _bring_all("starter", datasets, root)
    except UnavailableError as also:
        raise UserError(f"no data can be had; course: {reason}; starter: {also}") from None
    log.warning(
        "%s",
        _boxed(
            "FALLING BACK TO THE STARTER DATA: models made from it are demonstrations.",
            f"The course data cannot be had complete. {reason}",
            "params.yaml now says data.folder: data.starter, and every run and report will show it.",
            "To go back: `python -m components fetch --profile course`, with a network or DATA_MIRROR set.",
        ),
    )
    return FetchReport("starter", report.folder, report.files, fallback=reason)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One fetch at a time in a data folder: two would write the same partial files."""
    workshop = folder / WORKSHOP
    try:
        workshop.mkdir(parents=True, exist_ok=True)
        lock = FileLock(workshop / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another fetch is at work in %s: waiting for it", folder)
            lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; make room or permission there") from None
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; what was there is untouched") from None
    finally:
        lock.release()


def _boxed(*paragraphs: str) -> str:
    """Lines in a frame, after a line break so that the frame starts at the left under any log format."""
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, BOX - 4)]
    edge = "+" + "-" * (BOX - 2) + "+"
    return "\n".join(["", edge, *(f"| {line:<{BOX - 4}} |" for line in lines), edge])
