"""Muon: what its steps are, and that a group without it is AdamW's."""

import copy
from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.labs.music.training.optimizer import MuonAdamW, orthogonal


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000))
def test_muon_turns_a_gradient_into_equal_steps_in_all_its_directions(rows: int, columns: int, seed: int) -> None:
    gradient = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, values, right = torch.linalg.svd(gradient, full_matrices=False)
    values = values.clamp(min=0.1 * float(values[0]))  # the iteration's five rounds reach a tenth of the largest
    step = orthogonal(left @ values.diag() @ right)
    along = left.T @ step @ right.T
    assert torch.all((along.diagonal() > 0.5) & (along.diagonal() < 1.5))
    assert torch.allclose(along, along.diagonal().diag(), atol=1e-3)


def weights() -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix and a bias with gradients."""
    torch.manual_seed(0)
    matrix, bias = torch.randn(6, 4, requires_grad=True), torch.randn(4, requires_grad=True)
    matrix.grad, bias.grad = torch.randn(6, 4), torch.randn(4)
    return matrix, bias


def test_a_group_without_muon_takes_the_step_of_adamw() -> None:
    steps = []
    optimizers: tuple[Callable[[torch.Tensor], torch.optim.Optimizer], ...] = (
        lambda bias: MuonAdamW([{"params": [bias]}], dtype=torch.float32, lr=0.1, betas=(0.9, 0.99)),
        lambda bias: torch.optim.AdamW([bias], lr=0.1, betas=(0.9, 0.99)),
    )
    for optimizer in optimizers:
        _, bias = weights()
        optimizer(bias).step()
        steps.append(bias.detach())
    assert torch.equal(*steps)


def test_the_length_of_a_muon_step_is_the_learning_rate_whatever_the_gradients() -> None:
    lengths = []
    for scale in (1e-3, 1e3):
        matrix, _ = weights()
        before = matrix.detach().clone()
        assert matrix.grad is not None
        matrix.grad *= scale
        group = {"params": [matrix], "muon": True, "lr": 0.02, "momentum": 0.95, "weight_decay": 0.0}
        MuonAdamW([group], dtype=torch.float32, lr=1.0).step()
        lengths.append(float((matrix.detach() - before).norm()))
    torch.testing.assert_close(lengths[0], lengths[1], rtol=1e-3, atol=0)
    assert 0.5 < lengths[0] / (0.02 * (6 / 4) ** 0.5 * 4**0.5) < 1.5


def test_a_stopped_muon_goes_on_as_if_it_had_not_been() -> None:
    def optimizer(matrix: torch.Tensor) -> MuonAdamW:
        group = {"params": [matrix], "muon": True, "lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
        return MuonAdamW([group], dtype=torch.float32, lr=1.0)

    matrix, _ = weights()
    gradient = matrix.grad
    running = optimizer(matrix)
    running.step()
    saved, state = matrix.detach().clone().requires_grad_(), copy.deepcopy(running.state_dict())
    resumed = optimizer(saved)
    resumed.load_state_dict(state)
    for weight, each in ((matrix, running), (saved, resumed)):
        weight.grad = gradient
        each.step()
    assert torch.equal(matrix, saved)
