"""Files that packages carry: in the source archive on the package index, or installed in this environment."""

import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from components.files import sha256_file
from components.sources.archive import read_tar, write_tar
from components.sources.catalogue import Installed, Sdist
from components.sources.command import run
from components.sources.errors import UnavailableError
from components.sources.patterns import matches


def from_sdist(source: Sdist, work: Path, target: Path) -> None:
    """Writes the file, or the deterministic tar of the chosen files, to `target`. Raises UnavailableError."""
    inside = f"{source.package}-{source.version}/{source.path}"
    members = read_tar(_sdist(source, work))
    if not source.include:
        content = next((content for name, content in members if name == inside), None)
        if content is None:
            raise UnavailableError(f"{source.package} {source.version} does not carry {source.path}")
        target.write_bytes(content)
        return
    below = ((name.removeprefix(inside + "/"), content) for name, content in members if name.startswith(inside + "/"))
    write_tar(target, sorted((name, content) for name, content in below if matches(name, source.include)))


def from_installed(source: Installed, target: Path) -> None:
    """Writes the file, or the deterministic tar of the chosen files, of an installed package to `target`.

    The package is not imported. Raises UnavailableError.
    """
    try:
        path = Path(str(distribution(source.package).locate_file(source.path)))
    except PackageNotFoundError:
        raise UnavailableError(f"{source.package} is not installed") from None
    if not (path.is_dir() if source.include else path.is_file()):
        raise UnavailableError(f"{source.package} does not carry {source.path}; version {source.version} does")
    if not source.include:
        shutil.copyfile(path, target)
        return
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    chosen = sorted(name for name in files if matches(name, source.include))
    write_tar(target, ((name, files[name].read_bytes()) for name in chosen))


def _sdist(source: Sdist, work: Path) -> Path:
    """The source archive, downloaded by pip (so that the user's index and proxy count) and checked against its hash."""
    archive = work / f"{source.package}-{source.version}.tar.gz"
    if archive.is_file() and sha256_file(archive) == source.sha256:
        return archive
    with tempfile.TemporaryDirectory(dir=work, prefix="pip.") as folder:
        requirement = Path(folder, "requirement.txt")
        requirement.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8")
        # pip asks even a package that it only downloads for its metadata, and old setup.py files need old setuptools.
        constraint = Path(folder, "constraint.txt")
        constraint.write_text("setuptools<81\n", encoding="utf-8")
        run(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-binary", ":all:",
            "--retries", "1", "--timeout", "10", "--dest", folder, "--requirement", requirement,
            cwd=work,
            # Before pip 25.3 the first reaches the environment that setup.py runs in, from then on the second.
            variables={"PIP_CONSTRAINT": str(constraint), "PIP_BUILD_CONSTRAINT": str(constraint)},
        )  # fmt: skip
        downloaded = Path(folder, archive.name)
        if not downloaded.is_file():
            raise UnavailableError(f"pip brought no {archive.name}")
        downloaded.replace(archive)
    return archive
