"""sources.toml as frozen models: every raw file, how it is recognised and who has it."""

import tomllib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from components.errors import UserError
from components.files import Sha256

SOURCES = Path(__file__).with_name("sources.toml")

Profile = Literal["course", "starter"]
DATA = "data"
"""Folder, below the project's root, of all raw data: a folder a dataset."""


def raw_folder(dataset: str, profile: Profile) -> Path:
    """Where a dataset's raw files lie, below the project's root."""
    return Path(DATA, dataset) if profile == "course" else Path(DATA, profile, dataset)


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Address(_Declared):
    kind: Literal["file"]
    url: str


class Git(_Declared):
    """Chosen files of a repository at a commit, as the deterministic tar; names in it are below `folder`.

    renamed: what the beginning of a name, a folder and its slash, becomes in the tar.
    """

    kind: Literal["git"]
    repository: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    folder: str = ""
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    renamed: dict[str, str] = {}

    def name_in_tar(self, name: str) -> str:
        for beginning, other in self.renamed.items():
            if name.startswith(beginning):
                return other + name.removeprefix(beginning)
        return name


class Sdist(_Declared):
    """The file at `path` in a source archive or, with `include`, the chosen files below it as the deterministic tar."""

    kind: Literal["sdist"]
    package: str
    version: str
    sha256: Sha256
    path: str
    include: tuple[str, ...] = ()


class Installed(_Declared):
    """A file of a package in this environment, or with `include`, chosen files below `path` as the deterministic tar.

    `version` is one that carries them; the hash decides.
    """

    kind: Literal["installed"]
    package: str
    version: str
    path: str
    include: tuple[str, ...] = ()


class Table(_Declared):
    """A table of `tables.py`, made from other files of its dataset (`inputs`: their paths) and from `urls`."""

    kind: Literal["table"]
    table: Literal["fairface_labels", "caltech101_nonfaces"]
    inputs: tuple[str, ...]
    urls: tuple[str, ...] = ()


Place = Annotated[Address | Git | Sdist | Installed | Table, Field(discriminator="kind")]


class SourceFile(_Declared):
    dataset: str
    path: str
    profiles: tuple[Profile, ...]
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    licence: str
    places: tuple[Place, ...] = Field(alias="from", min_length=1)

    @field_validator("dataset", "path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        parts = PurePosixPath(value).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError("must be a relative path without '..'")
        return value

    @property
    def location(self) -> str:
        """What messages call the file."""
        return f"{self.dataset}/{self.path}"


class Packages(_Declared):
    """A dataset that is what packages hold, such as a game: it has no files, and their versions are its version."""

    dataset: str
    packages: Annotated[dict[str, str], Field(min_length=1)]
    licence: str


class _Sources(_Declared):
    file: tuple[SourceFile, ...]
    packages: tuple[Packages, ...] = ()


@cache
def declared(path: Path = SOURCES) -> tuple[SourceFile, ...]:
    """Every declared file. Raises UserError that names the first wrong entry."""
    files = _read(path).file
    seen: set[str] = set()
    for file in files:
        if file.location in seen:
            raise UserError(f"{path}: {file.location} is declared twice")
        seen.add(file.location)
    return files


@cache
def declared_packages(path: Path = SOURCES) -> dict[str, dict[str, str]]:
    """Exact versions by package, of every dataset that is made of packages. Raises UserError as `declared` does."""
    return {entry.dataset: dict(entry.packages) for entry in _read(path).packages}


def packages_of(dataset: str) -> dict[str, str]:
    """Exact versions of the packages that a dataset is made of; none of one that has files."""
    return declared_packages().get(dataset, {})


def _read(path: Path) -> _Sources:
    try:
        return _Sources.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def select(files: tuple[SourceFile, ...], dataset: str, profile: Profile) -> list[SourceFile]:
    """A dataset's files in a profile, in the order to fetch them; none where the profile has none.

    A derived table comes after what it is made from. A file that only one place has comes before files that several
    have: if the profile can't be had complete, that is known before anything else is downloaded.
    """
    chosen = [file for file in files if file.dataset == dataset and profile in file.profiles]
    return sorted(chosen, key=lambda file: (isinstance(file.places[0], Table), len(file.places)))
