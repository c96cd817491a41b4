"""The prepared images as batches, all in memory; an epoch's order depends on (seed, epoch) and, where faces are
resampled, on the model at its start."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from components.datasets.faces.animal_head_reader import boxes, read_heads
from components.datasets.faces.reader import Split, read_split
from components.errors import UserError
from components.labs.faces.params import Train
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.model import Batch
from components.labs.faces.training.resampling import face_weights
from components.training.epochs import Epoch, EpochData, batches_of

log = logging.getLogger(__name__)

VALIDATION_BATCH = 512


class FaceData(EpochData[Batch]):
    """Every epoch shows as many faces as there are, and `negatives_per_face` times as many negatives."""

    def __init__(self, prepared: Path, params: Train) -> None:
        super().__init__()
        self.params = params
        split = read_split(prepared, "train")
        heads = animal_heads(prepared, split, params)
        self.images = np.concatenate([split.images, heads])
        self.labels = np.concatenate([flipped(split.is_face, params), np.zeros(len(heads))]).astype(np.float32)
        self.faces = kept_faces(split, params)
        negative = ~split.is_face & ~split.shows(params.held_out)
        added = np.arange(len(split), len(self.images))
        self.hard = np.concatenate([np.flatnonzero(negative & split.is_hard), added])
        self.easy = np.flatnonzero(negative & ~split.is_hard)
        if params.batch_size > len(self.faces) * (1 + params.negatives_per_face):
            raise UserError(f"{prepared} has {len(self.faces)} training faces, too few for a batch: lower batch_size")
        self._validation = read_split(prepared, "validation", in_memory=True).without(params.held_out)

    def validation_batches(self) -> Epoch[Batch]:
        split = self._validation
        order = np.array_split(np.arange(len(split)), max(1, len(split) // VALIDATION_BATCH))
        return _batches(split.images, split.is_face.astype(np.float32), order)

    def epoch(self, epoch: int) -> Epoch[Batch]:
        return self.drawn(epoch, self._weights(epoch))

    def drawn(self, epoch: int, weights: np.ndarray | None = None) -> Epoch[Batch]:
        """An epoch in which each training face is drawn with probability `weights` (faces,); without, it comes once."""
        draw = np.random.default_rng((self.params.seed, epoch))
        faces = self.faces
        if weights is not None:
            faces = draw.choice(faces, len(faces), p=weights)
        count = max(1, round(len(self.faces) * self.params.negatives_per_face))
        hard = round(count * self.params.hard_share) if len(self.hard) else 0
        chosen = [faces, _taken(self.hard, hard, draw), _taken(self.easy, count - hard, draw)]
        order = draw.permutation(np.concatenate(chosen))
        size = self.params.batch_size
        return _batches(self.images, self.labels, batches_of(order, size, smallest=size))

    def _weights(self, epoch: int) -> np.ndarray | None:
        """None in the first epoch too: the latents of an untrained encoder hold no information about faces."""
        model = self.trainer.lightning_module if self.trainer else None
        if epoch == 0 or self.params.resampling == "none" or not isinstance(model, DebiasingVae):
            return None
        return face_weights(model, self.images, self.faces, self.params)


def _batches(images: np.ndarray, labels: np.ndarray, order: Sequence[np.ndarray]) -> Epoch[Batch]:
    """images (N, S, S, 3) and labels (N,), batch i of them being the rows order[i]."""
    return Epoch(order, lambda _, rows: Batch(torch.from_numpy(images[rows]), torch.from_numpy(labels[rows])))


def animal_heads(prepared: Path, split: Split, params: Train) -> np.ndarray:
    """(N, S, S, 3) uint8: heads of animals, and other face-like places, of the training split's photographs."""
    known = set(split.file[~split.shows(params.held_out)].tolist())
    wanted = {file: found for file, found in boxes("detector").items() if file in known}
    return read_heads(prepared, wanted, split.images.shape[1]).images


def kept_faces(split: Split, params: Train) -> np.ndarray:
    """Rows of the training faces, the skewed group thinned out. Raises UserError when nobody is in that group."""
    faces = np.flatnonzero(split.is_face)
    if not params.skew_group:
        return faces
    group = (split.race[faces] == params.skew_group) | (split.gender[faces] == params.skew_group)
    if not group.any():
        known = sorted({*split.race[faces], *split.gender[faces]} - {""})
        raise UserError(f"no training face is labelled {params.skew_group!r}; labels: {', '.join(known) or 'none'}")
    draw = np.random.default_rng((params.seed, len(faces)))
    members = draw.permutation(faces[group])
    return np.sort(np.concatenate([faces[~group], members[: round(params.skew_keep * len(members))]]))


def flipped(is_face: np.ndarray, params: Train) -> np.ndarray:
    """Labels (N,) bool of which a share is wrong, the same share of faces and of negatives."""
    labels, draw = is_face.copy(), np.random.default_rng((params.seed, 1))
    for value in (True, False):
        rows = draw.permutation(np.flatnonzero(is_face == value))
        labels[rows[: round(params.flipped_labels * len(rows))]] = not value
    return labels


def _taken(rows: np.ndarray, count: int, draw: np.random.Generator) -> np.ndarray:
    """`count` of the rows in random order, none a second time before every one has come once more."""
    if count == 0:
        return rows[:0]
    rounds = [draw.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(rounds)[:count]
