"""Checkpoints that a kill or a full disk leaves whole: the old one or the new one."""

from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from components.errors import one_line
from components.files import write_bytes

log = logging.getLogger(__name__)

DAMAGED = (RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError)
"""What torch.load raises for a file that is not whole."""


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes by rename. Raises UserError when the disk is full: torch.save would raise a RuntimeError."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The checkpoint on the CPU; None, and a warning, where the file is damaged; None where there is none."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except DAMAGED as error:
        log.warning("%s is damaged and is left out: %s", path, one_line(error))
        return None
    return content


class Checkpoints(TorchCheckpointIO):
    """Lightning's own writes into TMPDIR and moves from there, which to another file system is a copy."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        write_checkpoint(Path(path), checkpoint)
