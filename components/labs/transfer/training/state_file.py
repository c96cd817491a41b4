"""A state file of pretrained weights that a user names: its hash is checked, and only tensors are read."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from components.errors import UserError
from components.files import sha256_file
from components.sources.download import download
from components.sources.errors import UnavailableError

log = logging.getLogger(__name__)


def read_state(address: str, sha256: str, folder: Path) -> dict[str, Any]:
    """The state file at a path or an http address; what is downloaded is kept in `folder` under its hash.

    Raises UserError when it cannot be had, its hash is another, or it is no file of tensors.
    """
    path = Path(address)
    if address.startswith(("http://", "https://")):
        path = _downloaded(address, sha256, folder)
    elif not path.is_file():
        raise UserError(f"transfer.train.weights: there is no file {address}")
    if (found := sha256_file(path)) != sha256:
        raise UserError(f"{path} has the sha256 {found}, not {sha256} as transfer.train.sha256 says: it is not used")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is no file of tensors ({' '.join(str(error).split())[:100]})") from None
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__}, not tensors by name")
    return state


def _downloaded(address: str, sha256: str, folder: Path) -> Path:
    path = folder / f"{sha256}.pth"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        log.info("downloading %s", address)
        try:
            download(address, part)
        except UnavailableError as error:
            raise UserError(f"transfer.train.weights: {error}") from None
        if (found := sha256_file(part)) != sha256:
            part.unlink()
            raise UserError(
                f"{address} has the sha256 {found}, not {sha256} as transfer.train.sha256 says: it is not used"
            )
        part.rename(path)
    return path
