"""The music model and its batches: an LSTM with attention over its past, a character at a time through whole tunes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.datasets.music.reader import TUNE_END, TUNE_START, read_added, read_forms, read_texts
from components.errors import UserError
from components.files import read_json
from components.labs.music.params import Train
from components.labs.music.training.attention import Attention
from components.labs.music.training.augment import GIVEN, Augmentation
from components.labs.music.training.optimizer import MuonAdamW
from components.training.epochs import EpochData
from components.training.lr_schedule import with_one_cycle

State = tuple[Tensor, Tensor, Tensor, Tensor]
"""The LSTM's h and c, each (layers, B, hidden_size) float; and the keys and the ids of the P characters read so far,
(B, P, attention_size) float and (B, P) int64."""

IGNORED = -100  # target of padding, skipped by the loss


class Batch(NamedTuple):
    """Whole tunes of about one length, padded at the end."""

    inputs: Tensor
    """(B, T) int64: TUNE_START, then the tune, perhaps with the codes of its form."""
    targets: Tensor
    """(B, T) int64: the character that follows each input, IGNORED beyond the tune's end, and where codes follow:
    they are given, and nothing that the model is to write."""


class MusicModel(pl.LightningModule):
    """Embedding, LSTM layers, a linear layer to the logits of the next character, and what attention adds to them."""

    monitor = "val_bits_per_char"

    def __init__(self, vocabulary: Sequence[str], params: Train) -> None:
        super().__init__()
        self.params = params
        size = len(vocabulary)
        self.embedding = nn.Embedding(size, params.embedding_size)
        self.lstm = nn.LSTM(params.embedding_size, params.hidden_size, params.layers, batch_first=True)
        self.decoder = nn.Linear(params.hidden_size, size)
        self.attention = Attention(size, params)
        self._initialise()

    @classmethod
    def create(cls, prepared: Path, params: Train) -> Self:
        """A new model for the vocabulary of a prepared folder."""
        return cls(read_vocabulary(prepared), params)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, vocabulary) of the character after each of ids (B, T), and the memory after the last one.

        Without a state each row starts as a tune does, from zeros.
        """
        own, found, state = self._read(ids, self.initial_state(len(ids)) if state is None else state)
        return own + found, state

    def _read(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """As forward, but the logits are in two parts: the LSTM's own, and what attention adds to them."""
        read = locked_dropout(self.embedding(ids), self.params.input_dropout, self.training)
        h, c, keys, past = state
        hidden, (h, c) = self._layer_by_layer(read, h, c) if self.training else self.lstm(read, (h, c))
        hidden = locked_dropout(hidden, self.params.output_dropout, self.training)
        found, keys, past = self.attention(hidden, ids, keys, past)
        return self.decoder(hidden), found, (h, c, keys, past)

    def initial_state(self, batch: int) -> State:
        """The state before a tune's first character."""
        weight = self.decoder.weight
        zeros = weight.new_zeros(self.params.layers, batch, self.params.hidden_size)
        keys = weight.new_zeros(batch, 0, self.params.attention_size)
        return zeros, zeros, keys, torch.zeros(batch, 0, dtype=torch.int64, device=weight.device)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of the prediction, and of the LSTM's alone: else it leaves to attention what it must count itself."""
        own, found, _ = self._read(batch.inputs, self.initial_state(len(batch.inputs)))
        loss = cross_entropy(own + found, batch.targets)
        characters = int((batch.targets != IGNORED).sum())
        self.log(
            "train_bits_per_char", loss.detach() / math.log(2), on_step=False, on_epoch=True, batch_size=characters
        )
        return loss + self.params.auxiliary_loss * cross_entropy(own, batch.targets)

    def validation_step(self, batch: Batch, index: int) -> None:
        logits, _ = self(batch.inputs)
        bits = cross_entropy(logits, batch.targets) / math.log(2)
        self.log(self.monitor, bits, batch_size=int((batch.targets != IGNORED).sum()))

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[-1]["lr"])

    def configure_optimizers(self) -> Any:
        """Muon for the LSTM's matrices, AdamW for the rest."""
        params = self.params
        matrices = [weight for name, weight in self.lstm.named_parameters() if name.startswith("weight")]
        biases = [bias for name, bias in self.lstm.named_parameters() if name.startswith("bias")]
        optimizer = MuonAdamW(
            [
                {
                    "params": matrices,
                    "muon": True,
                    "lr": params.muon_learning_rate,
                    "momentum": params.muon_momentum,
                    "weight_decay": params.weight_decay,
                },
                {"params": [self.decoder.weight, *self.attention.parameters()], "weight_decay": params.weight_decay},
                {"params": [self.embedding.weight, self.decoder.bias, *biases], "weight_decay": 0.0},
            ],
            dtype=torch.bfloat16 if "bf16" in str(self.trainer.precision) else torch.float32,
            lr=params.learning_rate,
            betas=params.betas,
        )
        return with_one_cycle(optimizer, self.trainer, params.warmup)

    def _layer_by_layer(self, read: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As self.lstm, with what it does not have: locked dropout between the layers, and weight drop.

        Weight drop (Merity et al. 2017) drops recurrent weights, the same ones for a whole batch.
        """
        hs, cs = [], []
        for layer, (of_input, recurrent, *biases) in enumerate(self.lstm.all_weights):
            if layer > 0:
                read = locked_dropout(read, self.params.hidden_dropout, self.training)
            first = (h[layer : layer + 1], c[layer : layer + 1])
            weights = [of_input, functional.dropout(recurrent, self.params.weight_drop), *biases]
            read, after_h, after_c = torch.lstm(read, first, weights, True, 1, 0.0, True, False, True)
            hs.append(after_h)
            cs.append(after_c)
        return read, (torch.cat(hs), torch.cat(cs))

    def _initialise(self) -> None:
        """Orthogonal recurrent matrices, one a gate, and forget gates that start open: memory lasts from the outset."""
        size = self.params.hidden_size
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_hh"):
                for gate in weight.data.chunk(4):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias"):
                nn.init.zeros_(weight)
            if name.startswith("bias_ih"):
                nn.init.ones_(weight.data[size : 2 * size])  # gates lie in the order i, f, g, o


class MusicData(EpochData[Batch]):
    """Prepared tunes in batches, augmented."""

    def __init__(self, prepared: Path, params: Train) -> None:
        super().__init__()
        self.params = params
        self.vocabulary = read_vocabulary(prepared)
        self.train, self.validation = read_texts(prepared, "train"), read_texts(prepared, "validation")
        self.added = read_added(prepared) if params.collections_share else []
        self.augmentation = Augmentation(self.train, self.vocabulary, params, self.added, read_forms(prepared))

    def validation_batches(self) -> list[Batch]:
        return evaluation_batches(self.validation, self.vocabulary)

    def epoch(self, epoch: int) -> list[Batch]:
        """Training tunes, augmented, in batches of tunes of about one length, in random order.

        The share that is of the collections falls linearly to zero, so that what is learned last is the lab's own.
        """
        draw = random.Random(f"{self.params.seed}/{epoch}")  # noqa: S311
        size = round(self.params.epoch_size * len(self.train))
        share = self.params.collections_share * max(
            0.0, 1 - epoch / (self.params.collections_until * self.params.max_epochs)
        )
        added = round(size * share) if self.added else 0
        chosen = taken(range(len(self.train)), size - added, draw)
        chosen += taken(range(len(self.train), len(self.train) + len(self.added)), added, draw)
        tunes = [self.augmentation.draw(index, draw) + TUNE_END for index in chosen]
        noise = self.params.length_noise
        tunes.sort(key=lambda tune: len(tune) * draw.uniform(1 - noise, 1 + noise))
        batches = to_batches(tunes, self.vocabulary, self.params.batch_size)
        draw.shuffle(batches)
        return batches


def taken(indices: Sequence[int], count: int, draw: random.Random) -> list[int]:
    """So many of the indices: all of them as often as they fit, and others at random."""
    times, rest = divmod(count, len(indices)) if count else (0, 0)
    return [*indices] * times + draw.sample(indices, rest)


def locked_dropout(values: Tensor, probability: float, training: bool) -> Tensor:
    """Dropout of values (B, T, F) with one mask for all T steps of a row (Gal and Ghahramani 2016)."""
    if not training or probability == 0:
        return values
    return values * functional.dropout(values.new_ones(values.shape[0], 1, values.shape[2]), probability)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean nats per target that is not IGNORED. logits (B, T, V) of any float type, targets (B, T)."""
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)


def bits_per_char(model: nn.Module, tunes: Iterable[str], vocabulary: Sequence[str]) -> float:
    """Mean -log2 of the probability of every character of the tunes, each read from its start."""
    bits = characters = 0.0
    with torch.inference_mode():
        for batch in evaluation_batches(tunes, vocabulary):
            count = int((batch.targets != IGNORED).sum())
            bits += float(cross_entropy(model(batch.inputs)[0], batch.targets)) / math.log(2) * count
            characters += count
    return bits / characters


def evaluation_batches(tunes: Iterable[str], vocabulary: Sequence[str], size: int = 32) -> list[Batch]:
    """Every character of every tune once, as bits per character count them: without TUNE_END."""
    return to_batches(sorted(tunes, key=len), vocabulary, size)


def to_batches(tunes: Sequence[str], vocabulary: Sequence[str], size: int) -> list[Batch]:
    """Tunes in their order, `size` to a batch. What stands between two GIVEN is no target."""
    index = {character: number for number, character in enumerate(vocabulary)}
    ids, targets = [], []
    for tune in tunes:
        pieces = tune.split(GIVEN)
        text = "".join(pieces)
        given = torch.tensor([place % 2 == 1 for place, piece in enumerate(pieces) for _ in piece], dtype=torch.bool)
        ids.append(torch.tensor([index[character] for character in TUNE_START + text]))
        targets.append(ids[-1][1:].masked_fill(given, IGNORED))
    pad = nn.utils.rnn.pad_sequence
    return [
        Batch(
            pad([row[:-1] for row in ids[first : first + size]], batch_first=True, padding_value=index[TUNE_START]),
            pad(targets[first : first + size], batch_first=True, padding_value=IGNORED),
        )
        for first in range(0, len(ids), size)
    ]


def read_vocabulary(prepared: Path) -> list[str]:
    """The model's characters. Raises UserError when prepare has not run, or its file is damaged."""
    vocabulary = read_json(prepared / "vocabulary.json")
    if not isinstance(vocabulary, list) or not all(isinstance(character, str) for character in vocabulary):
        raise UserError(f"{prepared / 'vocabulary.json'} is not a list of characters: run the step prepare again")
    return vocabulary
