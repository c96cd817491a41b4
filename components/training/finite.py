"""Whether a model's weights are numbers."""

from __future__ import annotations

from torch import nn

from components.errors import UserError


def check_finite(model: nn.Module) -> None:
    """Raises UserError when a weight or a buffer is NaN or infinite: such a model does not recover."""
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise UserError("the model has weights that are not numbers: training diverged; lower its learning rate")
