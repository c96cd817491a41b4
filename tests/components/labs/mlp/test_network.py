"""The hand-written network computes what torch would, and asks torch for no derivative."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from components.labs.mlp.training import network as source
from components.labs.mlp.training.network import ACTIVATIONS, GradientDescent, Network, cross_entropy

TOLERANCE = 1e-6
TORCHS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": functional.relu, "sigmoid": torch.sigmoid}

shapes = st.lists(st.integers(1, 12), min_size=2, max_size=6)
activations = st.sampled_from(sorted(ACTIVATIONS))
seeds = st.integers(0, 2**31)


def case(sizes: list[int], activation: str, batch: int, seed: int) -> tuple[Network, torch.Tensor, torch.Tensor]:
    """A network in float64 with biases that are not zero, images and labels."""
    torch.manual_seed(seed)
    network = Network(sizes, activation).double()
    for bias in network.biases:
        bias.normal_()
    return network, torch.randn(batch, sizes[0], dtype=torch.float64), torch.randint(0, sizes[-1], (batch,))


def torchs_logits(network: Network, images: torch.Tensor, activation: str) -> torch.Tensor:
    values = images
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        values = functional.linear(values, weight.T, bias)
        if layer < len(network.weights) - 1:
            values = TORCHS[activation](values)
    return values


@settings(max_examples=150)
@given(sizes=shapes, activation=activations, batch=st.integers(1, 9), seed=seeds)
def test_the_gradients_are_autograds(sizes: list[int], activation: str, batch: int, seed: int) -> None:
    network, images, labels = case(sizes, activation, batch, seed)
    loss, by_weight, by_bias = network.loss_and_gradients(images, labels)
    parameters = [*network.weights, *network.biases]
    for parameter in parameters:
        parameter.requires_grad_()
    expected = functional.cross_entropy(torchs_logits(network, images, activation), labels)
    gradients = torch.autograd.grad(expected, parameters)
    assert abs(float((loss - expected).detach())) < TOLERANCE
    for ours, theirs in zip([*by_weight, *by_bias], gradients, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) < TOLERANCE


@given(sizes=shapes, activation=activations, seed=seeds)
def test_the_logits_are_torchs(sizes: list[int], activation: str, seed: int) -> None:
    network, images, _ = case(sizes, activation, 3, seed)
    assert torch.allclose(network(images), torchs_logits(network, images, activation), atol=1e-12)


@given(scale=st.floats(1, 1e4), seed=seeds)
def test_the_loss_overflows_for_no_logits(scale: float, seed: int) -> None:
    torch.manual_seed(seed)
    logits, labels = torch.randn(5, 10) * scale, torch.randint(0, 10, (5,))
    loss, slope = cross_entropy(logits, labels)
    assert torch.allclose(loss, functional.cross_entropy(logits, labels), rtol=1e-4)
    assert torch.allclose(slope.sum(dim=1), torch.zeros(5), atol=1e-6)


@given(momentum=st.floats(0, 0.99), decay=st.floats(0, 0.1), seed=seeds)
def test_descent_steps_as_torchs(momentum: float, decay: float, seed: int) -> None:
    torch.manual_seed(seed)
    ours = torch.nn.Parameter(torch.randn(3, 4), requires_grad=False)
    theirs = torch.nn.Parameter(ours.clone())
    descent = GradientDescent([{"params": [ours], "weight_decay": decay}], lr=0.1, momentum=momentum)
    reference = torch.optim.SGD([theirs], lr=0.1, momentum=momentum, weight_decay=decay)
    for _ in range(4):
        ours.grad = theirs.grad = torch.randn(3, 4)
        descent.step()
        reference.step()
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_nothing_is_left_to_autograd_or_to_layers() -> None:
    network, images, labels = case([6, 5, 3], "relu", 4, 0)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    with torch.inference_mode():
        network.loss_and_gradients(images, labels)
    names = {
        node.attr for node in ast.walk(ast.parse(Path(source.__file__).read_text())) if isinstance(node, ast.Attribute)
    }
    assert not names & {"backward", "autograd", "functional", "Linear", "ReLU", "Sigmoid", "softmax", "relu", "sigmoid"}


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_values_neither_fade_nor_grow_through_new_layers(activation: str) -> None:
    torch.manual_seed(0)
    deep = Network([256] * 9, activation).layers(torch.randn(200, 256))
    assert 0.3 < float(deep[-2].std() / deep[1].std()) < 3
