"""data.dvc pins the raw data: whether a data folder is what its pin says, and taking a new version on purpose.

`dvc repro` rewrites data.dvc without a word when the files under it differ, so this is asked before it runs.
"""

import hashlib
import json
import sys
from pathlib import Path

from components.errors import UserError
from components.files import sha256_file
from components.provenance import data_version
from components.sources.catalogue import FOLDERS, declared, select
from components.sources.command import run
from components.sources.errors import UnavailableError
from components.sources.fetch import WORKSHOP

NAMED = 5
"""Files named in an error before it says how many more."""


def check_pin(root: Path, folder: str) -> None:
    """Raises UserError that names the files of root/folder that are changed, missing or extra against folder.dvc."""
    pinned = data_version(root / f"{folder}.dvc")
    found = listing(root / folder)
    if digest(found) == pinned:
        return
    expected = _cached_listing(root, pinned)
    if expected is None:
        # A clone whose cache has never held this version: the declared hashes know the files just as well.
        expected = _declared_listing(folder)
        found = {name: sha256_file(root / folder / name) for name in found}
    differences = _differences(expected, found) or f"sources.toml is not what {folder}.dvc pins"
    raise UserError(
        f"{folder}/ is not what {folder}.dvc pins: {differences}; `python -m components fetch` brings missing files "
        f"(remove changed and extra ones first), `python -m components accept-data` takes {folder}/ as a new version"
    )


def is_pinned(root: Path, folder: str) -> bool:
    """Whether root/folder holds what its pin says, and nothing else; no when there is no pin."""
    return (root / f"{folder}.dvc").is_file() and digest(listing(root / folder)) == data_version(root / f"{folder}.dvc")


def accept_data(root: Path, folder: str) -> str:
    """Pins root/folder as it is now: rewrites folder.dvc. Returns the new digest; the change waits for a git commit.

    Raises UserError when the folder is empty or DVC fails.
    """
    if not listing(root / folder):
        raise UserError(f"{folder}/ holds no file: nothing to pin; run `python -m components fetch` first")
    dvc(root, "add", "--quiet", folder)
    return data_version(root / f"{folder}.dvc")


def cache_pinned(root: Path, folder: str) -> None:
    """Puts a folder that matches its pin into DVC's cache, so that `dvc status` has nothing to say about it."""
    if (root / ".dvc").is_dir() and _cached_listing(root, data_version(root / f"{folder}.dvc")) is None:
        dvc(root, "commit", "--quiet", "--force", f"{folder}.dvc")


def listing(folder: Path) -> dict[str, str]:
    """Path below the folder -> MD5 (DVC's hash; not used against attackers), sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: _md5(path) for name, path in sorted(names.items()) if not name.startswith(f"{WORKSHOP}/")}


def digest(files: dict[str, str]) -> str:
    """A folder's hash as DVC writes it: of the JSON list of its files."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in files.items()]
    return hashlib.md5(json.dumps(entries).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _cached_listing(root: Path, pinned: str) -> dict[str, str] | None:
    path = root / ".dvc" / "cache" / "files" / "md5" / pinned[:2] / pinned[2:]
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError):
        return None


def _declared_listing(folder: str) -> dict[str, str]:
    profile = next(profile for profile, name in FOLDERS.items() if name == folder)
    return {file.location: file.sha256 for file in select(declared(), profile)}


def _differences(expected: dict[str, str], found: dict[str, str]) -> str:
    groups = {
        "changed": [name for name in expected if name in found and found[name] != expected[name]],
        "missing": [name for name in expected if name not in found],
        "extra": [name for name in found if name not in expected],
    }
    return "; ".join(f"{word} {_some(names)}" for word, names in groups.items() if names)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def dvc(root: Path, *arguments: str) -> None:
    """Runs DVC in a folder, with its caches closed to others. Raises UserError with what DVC said."""
    root = root.resolve()
    program = (sys.executable, "-m", "dvc")
    quiet = {"DVC_NO_ANALYTICS": "1"}
    site = root / ".dvc" / "tmp" / "site"
    local = root / ".dvc" / "config.local"
    setting = f"site_cache_dir = {site}"
    try:
        for private in (root / ".dvc" / "cache", site.parent, site):
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
            private.chmod(0o700)
        # DVC pickles its state, by default into a folder that everybody on the machine may write to.
        lines = local.read_text(encoding="utf-8").splitlines() if local.is_file() else []
        if setting not in map(str.strip, lines):
            run(*program, "config", "--local", "core.site_cache_dir", str(site), cwd=root, variables=quiet)
        run(*program, *arguments, cwd=root, variables=quiet)
    except UnavailableError as error:
        raise UserError(f"dvc {' '.join(arguments)} failed: {error}") from None
    except OSError as error:
        raise UserError(f"cannot prepare {root / '.dvc'}: {error.strerror}") from None
