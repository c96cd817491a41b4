"""The published weights of EfficientNet-Lite0 load exactly, and our network computes what the published one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from components.errors import UserError
from components.labs.transfer.training.backbones import PUBLISHED
from components.labs.transfer.training.efficientnet import DEVIATION, MEAN, EfficientNetLite0, load_state
from tests.components.labs.transfer.made import weights

State = dict[str, Any]


@pytest.fixture(scope="module")
def published() -> State:
    state: State = torch.load(weights()["efficientnet_lite0"] / PUBLISHED, weights_only=True)
    return state


@pytest.mark.parametrize("size", [64, 224])
def test_its_logits_are_those_of_the_published_network(published: State, size: int) -> None:
    ours, theirs = EfficientNetLite0().eval(), EfficientNet.from_name("efficientnet-lite0").eval()
    load_state(ours, published, "the file")
    theirs.load_state_dict(published)
    pictures = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits = ours(pictures) @ published["_fc.weight"].T + published["_fc.bias"]
        expected = theirs((pictures - MEAN) / DEVIATION)
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("_blocks.3._bn2.bias"),
            r"no state file of EfficientNet-Lite0: it has no blocks\.3\.project\.norm\.bias",
        ),
        (lambda state: state | {"_blocks.3._se_reduce.weight": torch.zeros(1)}, r"there is no blocks\.3\._se_reduce"),
        (
            lambda state: state | {"_conv_stem.weight": torch.zeros(32, 1, 3, 3)},
            r"is \(32, 1, 3, 3\), not \(32, 3, 3, 3\)",
        ),
        (lambda state: state | {"_conv_stem.weight": "text"}, r"stem\.convolution\.weight is \(\)"),
    ],
)
def test_a_state_of_another_network_is_named(published: State, change: Callable[[State], State], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_state(EfficientNetLite0(), change(published), "the file")
