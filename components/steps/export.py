"""Write a trained model as a bundle: what everything after training reads."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.bundle import Manifest, write_bundle
from components.config import LabParams
from components.errors import UserError, one_line
from components.files import output_folder
from components.labs import Inputs, Lab
from components.records import Provenance

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


def export(lab: Lab, params: LabParams, made_from: Provenance, inputs: Inputs, trained: Path, out: Path) -> Manifest:
    """Loads `trained`/model.ckpt into the lab's model and lands its bundle, with the parity report, at `out`.

    Raises UserError when the checkpoint is missing, damaged or of other parameters, or parity fails; the old `out`
    then stays.
    """
    module = lab.untrained(inputs, params.train)
    _load(module, trained / "model.ckpt")
    module.eval()
    with output_folder(out) as folder:
        spec = lab.export(module, inputs, folder, params.export)
        manifest = write_bundle(folder, lab.name, spec, made_from)
    log.info("exported %s: %s, digest %s", lab.name, ", ".join(manifest.graphs), manifest.digest[:12])
    return manifest


def _load(module: nn.Module, checkpoint: Path) -> None:
    import torch

    try:
        content: dict[str, Any] = torch.load(checkpoint, weights_only=True, map_location="cpu")
        weights = content["state_dict"]
    except FileNotFoundError:
        raise UserError(f"{checkpoint} is missing: run the step train first") from None
    except (pickle.UnpicklingError, EOFError, OSError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"{checkpoint} is not a checkpoint of the step train ({one_line(error)}): train again"
        ) from None
    try:
        module.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(
            f"{checkpoint} does not fit the model of these parameters ({one_line(error)}): train again"
        ) from None
