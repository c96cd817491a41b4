"""Fetch: bring the raw data, and say loudly where only a dataset's small starter profile can be had."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from components.errors import UserError
from components.settings import settings
from components.sources import pin
from components.sources.catalogue import Profile, declared, packages_of, raw_folder, select
from components.sources.errors import UnavailableError
from components.sources.fetch import WORK_FOLDER, bring
from components.sources.installed import check_installed
from components.sources.profile import profile_in_use, use_profile

log = logging.getLogger(__name__)

BOX = 100
"""Characters a line in the message that must not be overlooked."""
PARAMS = "params.yaml"


@dataclass(frozen=True)
class Fetched:
    """What was brought of one dataset."""

    dataset: str
    profile: Profile
    """The profile that is in use now, as params.yaml says."""
    folder: Path
    files: dict[str, str]
    """dataset/path -> the place it came from, or "already there"; of a dataset that is made of packages their names."""
    fallback: str | None = None
    """Why the starter profile was taken although the course profile was meant; None when it was not."""


class NoDataError(UserError):
    """A dataset of which nothing can be had, not even starter data."""


def fetch(
    datasets: Iterable[str],
    pretrained: Iterable[str],
    profile: Profile | None,
    root: Path,
    optional: bool = False,
) -> list[Fetched]:
    """Brings the raw files of each dataset to its folder below root/data, and of each set of pretrained weights.

    profile: None means each dataset's own (params.yaml: datasets.<dataset>.profile), and allows the fallback: where
    the course profile of a dataset cannot be had complete, its starter profile is fetched and put to use instead,
    loudly, and the other datasets are not touched. A profile that is asked for by name is brought or is an error.

    optional: a dataset of which nothing can be had is a loud warning, and the others are brought; so one that has no
    starter data keeps nobody without a network from the labs on other data.

    Files come from the first place that has them (DATA_MIRROR, then as in sources.toml) and land whole or not at all;
    what is there already is kept. Raises UserError: wrong hash (both named), nothing to be had.
    """
    mirror = settings().data_mirror
    if mirror and "://" not in mirror and not Path(mirror).expanduser().is_dir():
        log.warning("DATA_MIRROR names %s, which is no folder: going on without it", mirror)
    with _alone(root):
        found = []
        for dataset in datasets:
            try:
                found.append(_bring_dataset(dataset, profile, root))
            except NoDataError as error:
                if not optional:
                    raise
                log.warning(
                    "%s", _boxed(f"THERE IS NO DATA OF {dataset.upper()}: labs on it cannot be made.", str(error))
                )
        found += [_bring_or_refuse(weights, "course", root) for weights in pretrained]
        if (root / pin.PIN).is_file():
            pin.cache_pinned(root)
    return found


def _bring_dataset(dataset: str, profile: Profile | None, root: Path) -> Fetched:
    wanted = profile or profile_in_use(root / PARAMS, dataset)
    if profile or wanted == "starter":
        found = _bring_or_refuse(dataset, wanted, root)
    else:
        try:
            found = _bring(dataset, wanted, root)
        except UnavailableError as reason:
            found = _fall_back(dataset, str(reason), root)
    use_profile(root / PARAMS, dataset, found.profile)
    return found


def _bring_or_refuse(dataset: str, profile: Profile, root: Path) -> Fetched:
    try:
        return _bring(dataset, profile, root)
    except UnavailableError as reason:
        raise UserError(f"the {profile} data of {dataset} cannot be had: {reason}") from None


def _bring(dataset: str, profile: Profile, root: Path) -> Fetched:
    folder, files = root / raw_folder(dataset, profile), select(declared(), dataset, profile)
    if profile == "course" and (packages := packages_of(dataset)):
        check_installed(dataset, packages)
        found = {f"{name} {version}": "installed" for name, version in packages.items()}
        return Fetched(dataset, profile, folder, found)
    if not files:
        raise UnavailableError(f"sources.toml has no {profile} data for it")
    # Also data that was accepted on purpose and that sources.toml does not know.
    if pin.is_pinned(root, dataset, profile):
        return Fetched(dataset, profile, folder, {file.location: "already there" for file in files})
    work, mirror = root / WORK_FOLDER, settings().data_mirror
    return Fetched(dataset, profile, folder, {file.location: bring(file, folder, work, mirror) for file in files})


def _fall_back(dataset: str, reason: str, root: Path) -> Fetched:
    try:
        found = _bring(dataset, "starter", root)
    except UnavailableError as also:
        raise NoDataError(f"no data of {dataset} can be had; course: {reason}; starter: {also}") from None
    log.warning(
        "%s",
        _boxed(
            f"FALLING BACK TO THE STARTER DATA OF {dataset.upper()}: models made from it are demonstrations.",
            f"The course data cannot be had complete. {reason}",
            f"params.yaml now says datasets.{dataset}.profile: starter, and every run and report will show it. Other "
            "datasets are not affected.",
            f"To go back: `python -m components fetch {dataset} --profile course`, with a network or DATA_MIRROR set.",
        ),
    )
    return Fetched(dataset, "starter", found.folder, found.files, fallback=reason)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One fetch at a time in a project: two would write the same partial files."""
    work = root / WORK_FOLDER
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another fetch is at work in %s: waiting for it", work.parent)
            lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write to {work.parent}: {error.strerror}; make room or permission there") from None
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {work.parent}: {error.strerror}; what was there is untouched") from None
    finally:
        lock.release()


def _boxed(*paragraphs: str) -> str:
    """Lines in a frame, after a line break so that the frame starts at the left under any log format."""
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, BOX - 4)]
    edge = "+" + "-" * (BOX - 2) + "+"
    return "\n".join(["", edge, *(f"| {line:<{BOX - 4}} |" for line in lines), edge])
