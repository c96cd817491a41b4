"""The rounds of DAgger as epochs: an epoch drives on fresh tracks, and then shows batches of all rounds so far."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.datasets.driving.game_reader import Racing, racing
from components.labs.driving.params import Train
from components.labs.driving.training.collection import Drive, Rollouts, collect
from components.training.epochs import Epoch, EpochData, epoch_seed, generator

if TYPE_CHECKING:
    from components.datasets.environments.reader import Environment

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """pictures: (B, 2, 42, 48) uint8.  readings: (B, 2, 9).  actions: (B, 3), the expert's."""

    pictures: Tensor
    readings: Tensor
    actions: Tensor


class DaggerData(EpochData[Any]):
    """Training batches of the aggregated rounds; validation batches are seeds of tracks (1,) to drive on.

    The rounds are part of the checkpoint: they were driven by networks that are no more.
    """

    def __init__(self, environment: Environment, params: Train, drive: Callable[[], Drive] | None = None) -> None:
        """drive: returns who drives; None is the network that the trainer trains."""
        super().__init__()
        self.environment, self.params = environment, params
        self.rounds: list[Rollouts] = []
        self._drive = drive or self._trained

    def epoch(self, epoch: int) -> Epoch[Any]:
        if epoch >= self.params.rounds:  # the model drives itself: a batch is the number of an update
            return Epoch(range(self.params.updates_of(epoch)), lambda index, _: torch.tensor(index))
        if len(self.rounds) == epoch:
            self.rounds.append(self._collect(epoch))
        rounds, seed, params = self.rounds[: epoch + 1], epoch_seed(self.params.seed, epoch), self.params
        firsts = np.cumsum([0, *(len(rollouts.actions) for rollouts in rounds)]).tolist()
        together = Rollouts(
            *(
                torch.cat(parts)
                for parts in zip(*(shifted(*pair) for pair in zip(rounds, firsts, strict=False)), strict=True)
            )
        )

        def make(index: int, _: int) -> Batch:
            draw = generator(seed + 1 + index)
            newest = round(params.batch_size * params.newest_share) if epoch else 0
            rows = torch.cat(
                [
                    torch.randint(firsts[-1], (params.batch_size - newest,), generator=draw),
                    torch.randint(firsts[-2], firsts[-1], (newest,), generator=draw),
                ]
            )
            pairs = torch.stack([together.before[rows], rows], dim=1)
            return Batch(together.pictures[pairs], together.readings[pairs], together.actions[rows])

        return Epoch(range(params.updates_of(epoch)), make)

    def racing(self) -> Racing:
        """A new game with the time limit of the dataset."""
        return racing(self.environment)

    def validation_batches(self) -> list[Tensor]:
        return [
            torch.tensor([self.environment.seed("validation", index)]) for index in range(self.params.validation_tracks)
        ]

    def _collect(self, epoch: int) -> Rollouts:
        params, seed = self.params, epoch_seed(self.params.seed, epoch)
        first, last = self.environment.seeds["train"]
        draw = np.random.default_rng(seed)
        count = params.student_tracks if epoch else params.expert_tracks
        seeds = draw.integers(first, last + 1, count).tolist()
        log.info("round %d of %d: driving on %d tracks", epoch + 1, params.max_epochs, count)
        share = params.expert_share if epoch == 1 else 0.0
        found = collect(self.racing(), seeds, params, draw, self._drive() if epoch else None, share)
        log.info("round %d of %d: mean return %.1f", epoch + 1, params.max_epochs, float(found.returns.mean()))
        return found

    def _trained(self) -> Drive:
        module: Any = self.trainer.lightning_module if self.trainer else None
        drive: Drive = module.drive
        return drive

    def state_dict(self) -> dict[str, Any]:
        """Tensors only; pictures, most of it, are compressed."""
        return {"rounds": [{**rollouts._asdict(), "pictures": _packed(rollouts.pictures)} for rollouts in self.rounds]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rounds = [
            Rollouts(**{**saved, "pictures": _unpacked(saved["pictures"])}) for saved in state_dict["rounds"]
        ]


def shifted(rollouts: Rollouts, first: int) -> Rollouts:
    """Rollouts whose rows begin at `first`."""
    return rollouts._replace(before=rollouts.before + first)


def _packed(pictures: Tensor) -> dict[str, Any]:
    packed = zlib.compress(pictures.contiguous().numpy().tobytes(), 1)
    return {"bytes": torch.frombuffer(bytearray(packed), dtype=torch.uint8), "shape": list(pictures.shape)}


def _unpacked(packed: dict[str, Any]) -> Tensor:
    content = bytearray(zlib.decompress(packed["bytes"].numpy().tobytes()))
    return torch.frombuffer(content, dtype=torch.uint8).view(packed["shape"])
