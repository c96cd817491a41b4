"""A DVC remote: where outputs of steps are kept for others, and what a clone takes from it in place of training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from components.errors import UserError
from components.labs import with_reference_models
from components.plan import outdated
from components.sources.pin import dvc

log = logging.getLogger(__name__)

LOCK = Path("dvc.lock")
SHARED, LOCAL = "store", "local"
"""Names of the remote that git records, and of one that this machine alone has: options of one name would be merged."""
PULLED = ("export", "evaluate", "audit", "gate")
"""Steps whose outputs the gate and the promotion read, and the gate's own verdict: once made again, DVC knows it."""


def configure(url: str, endpoint_url: str = "", local: bool = False) -> str:
    """Makes the address the DVC remote, and returns the file that says so. Nothing is asked of it yet.

    url: s3://bucket/path, or a folder. endpoint_url: of an S3 store that is not Amazon's. local: on this machine only,
    where git does not see it. What comes from a remote is compared with the hashes in dvc.lock.
    Raises UserError for an address with a user or a password in it, which the file would give to everybody.
    """
    if any("@" in urlsplit(address).netloc for address in (url, endpoint_url)):
        raise UserError(
            "the address has a user or a password in it, which git would record: leave them out, and give them as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in ~/.aws/credentials"
        )
    if not local and _default()[0] == LOCAL:
        raise UserError(
            ".dvc/config.local names a remote for this machine, which goes before: change it with --local, or take it "
            "away with `dvc remote remove --local local`"
        )
    name, level = (LOCAL, ["--local"]) if local else (SHARED, [])
    dvc(Path(), "remote", "add", "--quiet", *level, "--force", "--default", name, url)
    dvc(Path(), "remote", "modify", "--quiet", *level, name, "verify", "true")
    if endpoint_url:
        dvc(Path(), "remote", "modify", "--quiet", *level, name, "endpointurl", endpoint_url)
    return ".dvc/config.local" if local else ".dvc/config"


def configured() -> str:
    """The address of the remote that `dvc push` and `dvc pull` take, "" where there is none."""
    return _default()[1]


def pull(names: Sequence[str], params: Path, build: Path) -> tuple[str, ...]:
    """Brings what the gate and the promotion of these labs read, in the versions that dvc.lock names.

    names: by default all that dvc.lock has. Returns the labs, each after those that it is measured with.
    Raises UserError where dvc.lock does not name a lab's outputs, there is no remote, or it does not have them.
    """
    stages = _stages()
    made = tuple(stage.removeprefix("promote@") for stage in stages if stage.startswith("promote@"))
    wanted = dict.fromkeys(name for each in names or made for name in with_reference_models(each))
    for name in wanted:
        if f"gate@{name}" not in stages:
            there = f"has {', '.join(made)}" if made else "is of no lab yet"
            raise UserError(f"{LOCK} {there}, and nothing of {name}: `make repro LAB={name}` makes it")
    if not wanted:
        raise UserError(f"{LOCK} is of no lab yet: `make repro` makes models, and git keeps what it says of them")
    remote = configured()
    if not remote:
        raise UserError("there is no DVC remote to pull from: `make remote URL=s3://bucket/path` names it")
    targets = [stage for name in wanted for step in PULLED if (stage := f"{step}@{name}") in stages]
    log.info("pulling %s from %s", ", ".join(wanted), remote)
    try:
        dvc(Path(), "pull", *targets)
    except UserError as error:
        if "missing-files" not in str(error):
            raise
        raise UserError(
            f"{remote} does not have all that {LOCK} names of {', '.join(wanted)}: `dvc push` brings it there from "
            "where it was made"
        ) from None
    for line in outdated(tuple(wanted), params, build):
        log.warning("%s: what was pulled is older; `make repro` makes it anew", line)
    return tuple(wanted)


def _default() -> tuple[str, str]:
    """Name and address of the remote in use, both "" where there is none."""
    # Levels follow each other, the machine's own last. (`remote list` wraps a long address.)
    found = dict(line.split("=", 1) for line in dvc(Path(), "config", "--list").splitlines() if "=" in line)
    name = found.get("core.remote", "")
    return name, found.get(f"remote.{name}.url", "")


def _stages() -> dict[str, Any]:
    """The stages of dvc.lock, by name. Raises UserError."""
    try:
        stages: dict[str, Any] = yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"]
    except FileNotFoundError:
        raise UserError(f"there is no {LOCK}: `make repro` makes it, and git keeps it") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise UserError(f"{LOCK} cannot be read: restore it from git") from None
    return stages
