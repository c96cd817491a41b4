"""One declared file, from the first place that has it. It lands by rename, checked, or not at all."""

import logging
import shutil
from pathlib import Path

from components.files import sha256_file
from components.redaction import redacted
from components.sources import derived_tables
from components.sources.archive import write_tar
from components.sources.catalogue import DATA, Address, Git, Installed, Place, Sdist, SourceFile, Table
from components.sources.download import download
from components.sources.errors import UnavailableError, WrongHashError
from components.sources.git import chosen_files
from components.sources.packages import from_installed, from_sdist

log = logging.getLogger(__name__)

WORK_FOLDER = Path(DATA, ".fetch")
"""Where files are staged: on the file system of the data, so that landing is a rename, and outside every dataset."""


def bring(file: SourceFile, folder: Path, work: Path, mirror: str | None) -> str:
    """Brings one file into its dataset's folder and says where it came from.

    work: where half-finished downloads are.
    mirror: a folder or an http address that holds dataset/path, or path; None for none.
    Raises WrongHashError when a place (or the folder itself) has other content under that name, UnavailableError
    when no place has it, naming each place's reason.
    """
    folder, work = folder.resolve(), work.resolve()  # git and pip run in folders of their own
    target = folder / file.path
    if target.exists():
        advice = f"remove it and fetch again, or keep it with `python -m components accept-data {file.dataset}`"
        _check(file, target, str(target), advice)
        return "already there"
    work.mkdir(parents=True, exist_ok=True)
    reasons = []
    for place in _places(file, mirror):
        try:
            staged = _stage(file, place, folder, work)
        except UnavailableError as reason:
            reasons.append(str(reason))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        log.info("%s: from %s", file.location, _name(place))
        return _name(place)
    raise UnavailableError(f"{file.location}: {'; '.join(reasons)}")


def _places(file: SourceFile, mirror: str | None) -> list[Place | Path]:
    if not mirror:
        return list(file.places)
    names = (file.location, file.path)  # a mirror may know a source by its own name
    if mirror.startswith(("http://", "https://")):
        base = mirror.rstrip("/")
        return [*(Address(kind="file", url=f"{base}/{name}") for name in names), *file.places]
    return [*(Path(mirror).expanduser() / name for name in names), *file.places]


def _stage(file: SourceFile, place: Place | Path, folder: Path, work: Path) -> Path:
    """The file's content, checked, in the work folder.

    Raises UnavailableError or WrongHashError; a download that broke off stays to be continued, other content does not.
    """
    part = work / f"{file.sha256}.part"
    continued = isinstance(place, Address) and part.exists()
    _write(file, place, folder, work, part)
    try:
        _check(file, part, _name(place), "the place or sources.toml is wrong")
    except WrongHashError:
        part.unlink()
        if not continued:
            raise
        return _stage(file, place, folder, work)  # what was there before belonged to something else: start over
    return part


def _write(file: SourceFile, place: Place | Path, folder: Path, work: Path, part: Path) -> None:
    match place:
        case Path():
            if not place.is_file():
                raise UnavailableError(f"{place} is not there")
            shutil.copyfile(place, part)
        case Address():
            download(place.url, part, file.bytes)
        case Git():
            log.info("%s: asking %s, which can take minutes", file.location, _name(place))
            write_tar(part, chosen_files(place, work))
        case Sdist():
            log.info("%s: asking the package index for %s", file.location, _name(place))
            from_sdist(place, work, part)
        case Installed():
            from_installed(place, part)
        case Table():
            part.write_text(_table(place, folder, work), encoding="utf-8")


def _table(place: Table, folder: Path, work: Path) -> str:
    inputs = [folder / name for name in place.inputs]
    if missing := [name for name, path in zip(place.inputs, inputs, strict=True) if not path.is_file()]:
        raise UnavailableError(f"made from {missing[0]}, which is not there")
    for url in place.urls:
        inputs.append(work / url.rsplit("/", 1)[-1])
        inputs[-1].unlink(missing_ok=True)
        download(url, inputs[-1])
    try:
        return str(getattr(derived_tables, place.table)(*inputs))
    except (KeyError, ValueError) as error:
        raise UnavailableError(f"{place.table} cannot be made: {error!r}") from None


def _check(file: SourceFile, path: Path, where: str, advice: str) -> None:
    found = sha256_file(path)
    if found != file.sha256:
        raise WrongHashError(f"{where} has sha256 {found}, but {file.location} is declared as {file.sha256}: {advice}")


def _name(place: Place | Path) -> str:
    match place:
        case Path():
            return str(place)
        case Address():
            return redacted(place.url)
        case Git():
            return f"{place.repository} at {place.commit[:12]}"
        case Sdist() | Installed():
            return f"{place.kind} {place.package} {place.version}"
        case Table():
            return f"table {place.table}"
