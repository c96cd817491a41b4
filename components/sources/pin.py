"""data.dvc pins the raw data, an entry a dataset: its version, and whether a folder is what its entry says.

No stage depends on data.dvc through DVC, which would ask for every dataset before any stage may run: the stage
`versions` reads each dataset's entry, and what it writes is what the other stages depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.errors import UserError
from components.files import sha256_file, write_text
from components.sources.catalogue import Profile, declared, packages_of, raw_folder, select
from components.sources.command import run
from components.sources.errors import UnavailableError
from components.sources.installed import check_installed, packages_version

PIN = "data.dvc"
NAMED = 5
"""Files named in an error before it says how many more."""


def dataset_version(root: Path, dataset: str, profile: Profile) -> str:
    """The hash that DVC gave a dataset's folder, or that of its packages' versions where it is made of packages.

    Raises UserError when data.dvc holds none.
    """
    if packages := packages_of(dataset):
        return packages_version(packages)
    folder = raw_folder(dataset, profile).as_posix()
    version = entries(root / PIN).get(folder)
    if version is None:
        raise UserError(
            f"{root / PIN} has no entry for {folder}: the data has no version; git has it, or "
            f"`python -m components accept-data {dataset}` makes it"
        )
    return version


def entries(pin: Path) -> dict[str, str]:
    """Folder -> version of every dataset that a pin names. Raises UserError where it is missing or no pin."""
    return {str(out["path"]): str(out["md5"]) for out in _outs(pin)}


def check_pin(root: Path, dataset: str, profile: Profile) -> None:
    """Raises UserError that names the files of a dataset that are changed, missing or extra against its entry.

    Of a dataset that is made of packages: the one that is missing, or is installed in another version.
    """
    if packages := packages_of(dataset):
        check_installed(dataset, packages)
        return
    pinned, folder = dataset_version(root, dataset, profile), root / raw_folder(dataset, profile)
    found = listing(folder)
    if digest(found) == pinned:
        return
    expected = _cached_listing(root, pinned)
    if expected is None:
        # A clone whose cache has never held this version: the declared hashes know the files just as well.
        expected = {file.path: file.sha256 for file in select(declared(), dataset, profile)}
        found = {name: sha256_file(folder / name) for name in found}
    differences = _differences(expected, found) or f"sources.toml is not what {PIN} pins"
    raise UserError(
        f"{folder}/ is not what {PIN} pins: {differences}; `python -m components fetch` brings missing files "
        f"(remove changed and extra ones first), `python -m components accept-data {dataset}` takes it as a new version"
    )


def is_pinned(root: Path, dataset: str, profile: Profile) -> bool:
    """Whether a dataset's folder holds what its entry says, and nothing else; no where there is no entry."""
    pinned = entries(root / PIN).get(raw_folder(dataset, profile).as_posix()) if (root / PIN).is_file() else None
    return pinned is not None and digest(listing(root / raw_folder(dataset, profile))) == pinned


def accept_data(root: Path, dataset: str, profile: Profile) -> str:
    """Pins a dataset's folder as it is now; the other entries stay. Returns its version, which waits for a git commit.

    Raises UserError when the folder is empty, and for a dataset that is made of packages.
    """
    if packages := packages_of(dataset):
        raise UserError(
            f"{dataset} has no files: it is {_spelled(packages)}; declare other versions in "
            "components/sources/sources.toml"
        )
    folder = raw_folder(dataset, profile)
    files = listing(root / folder)
    if not files:
        raise UserError(f"{root / folder}/ holds no file: nothing to pin; run `python -m components fetch` first")
    version = digest(files)
    size = sum((root / folder / name).stat().st_size for name in files)
    others = [out for out in (_outs(root / PIN) if (root / PIN).is_file() else []) if out["path"] != folder.as_posix()]
    entry = {"md5": version, "size": size, "nfiles": len(files), "hash": "md5", "path": folder.as_posix()}
    write_pin(root, [*others, entry])
    return version


def write_pin(root: Path, outs: Iterable[dict[str, Any]]) -> None:
    """Writes data.dvc. frozen: `dvc repro` must neither check nor rewrite it, it is changed on purpose only."""
    content = {"frozen": True, "outs": sorted(outs, key=lambda out: str(out["path"]))}
    write_text(root / PIN, yaml.safe_dump(content, sort_keys=False))


def cache_pinned(root: Path) -> None:
    """Puts the datasets that are here, as they are pinned, into DVC's cache, so that `dvc push` has them.

    In a repository of its own below .dvc/tmp, of links to them: `dvc commit` refuses a pin of which any entry is not
    here, and most machines have no starter data.
    """
    if not (root / ".dvc").is_dir():
        return
    here = [out for out in _outs(root / PIN) if digest(listing(root / out["path"])) == out["md5"]]
    if all(_cached_listing(root, out["md5"]) for out in here):
        return
    work = root.resolve() / ".dvc" / "tmp" / "cache_pinned"
    shutil.rmtree(work, ignore_errors=True)
    for out in here:
        shutil.copytree(root / out["path"], work / out["path"], copy_function=_link)
    cache = root.resolve() / ".dvc" / "cache"
    config = f"[core]\n    no_scm = true\n    analytics = false\n[cache]\n    dir = {cache}\n"
    write_text(work / ".dvc" / "config", config)
    write_pin(work, here)
    dvc(work, "commit", "--quiet", "--force", PIN, project=root)
    shutil.rmtree(work, ignore_errors=True)


def _link(source: str, target: str) -> None:
    """A hard link costs nothing; between two file systems there is none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def listing(folder: Path) -> dict[str, str]:
    """Path below the folder -> MD5 (DVC's hash; not used against attackers), sorted by path."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: _md5(path) for name, path in sorted(files.items())}


def digest(files: dict[str, str]) -> str:
    """A folder's hash as DVC writes it: of the JSON list of its files."""
    listed = [{"md5": md5, "relpath": name} for name, md5 in files.items()]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _spelled(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _outs(pin: Path) -> list[dict[str, Any]]:
    try:
        outs: list[dict[str, Any]] = yaml.safe_load(pin.read_text(encoding="utf-8"))["outs"]
        if any(not isinstance(out[key], str) for out in outs for key in ("md5", "path")):
            raise TypeError
    except FileNotFoundError:
        raise UserError(
            f"{pin} is missing: the data has no version; git has it, or `python -m components accept-data` makes it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, IndexError, TypeError):
        raise UserError(f"{pin} is not a DVC pin with an md5 for each entry: restore it from git") from None
    return outs


def _cached_listing(root: Path, pinned: str) -> dict[str, str] | None:
    path = root / ".dvc" / "cache" / "files" / "md5" / pinned[:2] / pinned[2:]
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError):
        return None


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


def dvc(root: Path, *arguments: str, project: Path | None = None) -> str:
    """Runs DVC in a folder, with its caches closed to others, and returns what it prints.

    Raises UserError with what DVC said.

    project: whose caches it uses, by default the folder's own.
    """
    root, home = root.resolve(), (project or root).resolve()
    program, quiet = (sys.executable, "-m", "dvc"), {"DVC_NO_ANALYTICS": "1"}
    site = home / ".dvc" / "tmp" / "site"
    try:
        for private in (home / ".dvc" / "cache", site.parent, site):
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
            private.chmod(0o700)
        for folder in {home, root}:
            # DVC pickles its state, by default into a folder that everybody on the machine may write to.
            local = folder / ".dvc" / "config.local"
            lines = local.read_text(encoding="utf-8").splitlines() if local.is_file() else []
            if f"site_cache_dir = {site}" not in map(str.strip, lines):
                run(*program, "config", "--local", "core.site_cache_dir", str(site), cwd=folder, variables=quiet)
        return run(*program, *arguments, cwd=root, variables=quiet).decode(errors="replace")
    except UnavailableError as error:
        raise UserError(f"dvc {' '.join(arguments)} failed: {error}") from None
    except OSError as error:
        raise UserError(f"cannot prepare {root / '.dvc'}: {error.strerror}") from None
