"""The music model: what it computes, what it learns from, and that an epoch depends on (seed, epoch) only."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from components.datasets.music.reader import TUNE_END, TUNE_START, read_texts, read_tunes
from components.errors import UserError
from components.labs.music.params import Train
from components.labs.music.training.augment import field, kind
from components.labs.music.training.model import (
    IGNORED,
    MusicData,
    MusicModel,
    bits_per_char,
    cross_entropy,
    read_vocabulary,
    to_batches,
)
from components.labs.music.training.transpose import pitches
from tests.face_data import section

SMALL = {
    "hidden_size": 32,
    "embedding_size": 16,
    "batch_size": 64,
    "max_epochs": 2,
    "precision": "32-true",
    "epoch_size": 1.0,
    "collections_share": 0.0,
}


@pytest.fixture(scope="module")
def params() -> Train:
    return section(Train, "music", "train", **SMALL)


@pytest.fixture(scope="module")
def data(prepared_music: Path, params: Train) -> MusicData:
    return MusicData(prepared_music, params)


def new_model(prepared: Path, params: Train, **changes: object) -> MusicModel:
    torch.manual_seed(0)
    return MusicModel.create(prepared, params.model_copy(update=changes))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_reading_in_pieces_with_the_state_carried_equals_reading_at_once(
    prepared_music: Path, params: Train, layers: int
) -> None:
    model = new_model(prepared_music, params, layers=layers, attention_lag=4, attention_window=30).eval()
    ids = torch.randint(0, 83, (3, 40))
    whole, whole_state = model(ids)
    assert whole.shape == (3, 40, 83)
    assert whole_state[0].shape == whole_state[1].shape == (layers, 3, 32)
    pieces, state = [], None
    for piece in ids.split([1, 20, 19], dim=1):
        logits, state = model(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)
    torch.testing.assert_close(state, whole_state)


@pytest.mark.parametrize("layers", [1, 3])
def test_training_without_dropout_computes_what_evaluation_does(
    prepared_music: Path, params: Train, layers: int
) -> None:
    none = {"input_dropout": 0.0, "hidden_dropout": 0.0, "output_dropout": 0.0, "weight_drop": 0.0}
    model = new_model(prepared_music, params, layers=layers, **none)
    ids = torch.randint(0, 83, (2, 10))
    trained, state = model.train()(ids)
    evaluated, same_state = model.eval()(ids)
    torch.testing.assert_close(trained, evaluated)
    torch.testing.assert_close(state, same_state)


def test_a_prediction_depends_on_nothing_that_comes_later(prepared_music: Path, params: Train) -> None:
    model = new_model(prepared_music, params, attention_lag=2).eval()
    ids = torch.randint(0, 83, (1, 50))
    other = ids.clone()
    other[:, 30:] = (other[:, 30:] + 1) % 83
    torch.testing.assert_close(model(ids)[0][:, :30], model(other)[0][:, :30])
    assert not torch.allclose(model(ids)[0][:, 30], model(other)[0][:, 30])


def test_a_missing_or_damaged_vocabulary_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vocabulary\.json is missing"):
        read_vocabulary(tmp_path)
    (tmp_path / "vocabulary.json").write_text("5")
    with pytest.raises(UserError, match=r"vocabulary\.json is not a list of characters: run the step prepare again"):
        read_vocabulary(tmp_path)


def test_bits_per_char_counts_every_character_of_a_tune_and_nothing_else(prepared_music: Path, params: Train) -> None:
    vocabulary = read_vocabulary(prepared_music)
    model = new_model(prepared_music, params).eval()
    tunes = read_texts(prepared_music, "validation")[:40]
    bits = 0.0
    for tune in tunes:
        ids = torch.tensor([vocabulary.index(character) for character in TUNE_START + tune])
        with torch.inference_mode():
            logits, _ = model(ids[None, :-1])
        bits -= float(logits[0].log_softmax(-1).gather(1, ids[1:, None]).sum()) / math.log(2)
    expected = bits / sum(map(len, tunes))
    assert bits_per_char(model, tunes, vocabulary) == pytest.approx(expected, rel=1e-5)


def test_it_learns_one_batch_by_heart(prepared_music: Path, params: Train) -> None:
    vocabulary = read_vocabulary(prepared_music)
    changes = {
        "hidden_size": 128,
        "embedding_size": 32,
        "output_dropout": 0.0,
        "input_dropout": 0.0,
        "weight_drop": 0.0,
    }
    model = new_model(prepared_music, params, **changes)
    tunes = sorted(read_texts(prepared_music, "train"), key=len)[20:24]
    batch = to_batches([tune + TUNE_END for tune in tunes], vocabulary, 4)[0]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        loss = cross_entropy(model(batch.inputs)[0], batch.targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert bits_per_char(model.eval(), tunes, vocabulary) < 0.1
    likeliest = model(batch.inputs)[0].argmax(-1)
    read = batch.targets != IGNORED
    assert (likeliest == batch.targets)[read].float().mean() > 0.98


def test_padding_changes_no_loss(prepared_music: Path, params: Train) -> None:
    vocabulary = read_vocabulary(prepared_music)
    model = new_model(prepared_music, params).eval()
    tunes = read_texts(prepared_music, "train")[:5]
    nats = characters = 0.0
    for tune in tunes:
        batch = to_batches([tune + TUNE_END], vocabulary, 1)[0]
        nats += cross_entropy(model(batch.inputs)[0], batch.targets).item() * batch.targets.numel()
        characters += batch.targets.numel()
    together = to_batches([tune + TUNE_END for tune in tunes], vocabulary, 5)[0]
    assert (together.targets == IGNORED).any()
    assert float(cross_entropy(model(together.inputs)[0], together.targets)) == pytest.approx(
        nats / characters, rel=1e-5
    )


def test_an_epoch_depends_on_the_seed_and_its_number_only(prepared_music: Path, params: Train, data: MusicData) -> None:
    torch.manual_seed(99)
    again = MusicData(prepared_music, params).epoch(3)
    first = data.epoch(3)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, again, strict=True))
    other_seed = MusicData(prepared_music, params.model_copy(update={"seed": params.seed + 1}))
    for other in (data.epoch(4), other_seed.epoch(3)):
        assert not all(a.inputs.equal(b.inputs) for a, b in zip(first, other, strict=True))


def test_an_epoch_shows_every_training_tune_once_in_a_form_it_could_have(data: MusicData) -> None:
    shown = []
    for batch in data.epoch(0):
        for row in batch.targets:
            text = "".join(data.vocabulary[index] for index in row[row != IGNORED])
            assert text.endswith(TUNE_END)
            shown.append(text.removesuffix(TUNE_END))
    assert len(shown) == len(data.train)
    assert sorted(map(kind, shown)) == sorted(map(kind, data.train))
    assert sorted(len(pitches(tune)) for tune in shown) == sorted(len(pitches(tune)) for tune in data.train)
    assert {field(tune, "K") for tune in shown} <= {field(tune, "K") for tune in data.train}
    assert len(set(shown) & set(data.train)) < len(shown) / 2


def test_held_out_tunes_are_never_trained_on(prepared_music: Path, data: MusicData) -> None:
    held_out = {*read_texts(prepared_music, "test"), *read_texts(prepared_music, "validation")}
    assert not held_out & set(data.train)
    every = {tune for index in range(len(data.train)) for tune in data.augmentation.variants_of(index)}
    assert len(every) > len(data.train)
    assert not held_out & every


@pytest.fixture(scope="module")
def with_added(prepared_music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared tunes with a hundred of a printed collection."""
    folder = tmp_path_factory.mktemp("added")
    rows = read_tunes(prepared_music)
    copies = [row for row in rows if row["split"] == "train"][:100]
    added = [
        {**row, "id": f"on{row['id']}", "collection": "oneills", "text": row["text"].replace("id:dc-", "id:on-")}
        for row in copies
    ]
    (folder / "tunes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *added]))
    (folder / "vocabulary.json").write_bytes((prepared_music / "vocabulary.json").read_bytes())
    return folder


def printed_and_own(data: MusicData, epoch: int) -> tuple[int, int]:
    """Tunes of printed collections and of the lab's own in an epoch."""
    codes = "".join(data.vocabulary)
    texts = [
        "".join(codes[index] for index in row[row != IGNORED]) for batch in data.epoch(epoch) for row in batch.targets
    ]
    printed = sum("id:on-" in text for text in texts)
    return printed, len(texts) - printed


def test_printed_tunes_are_read_less_and_less_and_the_labs_own_last(with_added: Path, params: Train) -> None:
    changes = {"collections_share": 0.5, "collections_until": 0.5, "epoch_size": 2.0, "max_epochs": 8}
    data = MusicData(with_added, params.model_copy(update=changes))
    shown = [printed_and_own(data, epoch) for epoch in range(8)]
    assert shown == [(630, 630), (472, 788), (315, 945), (158, 1102)] + 4 * [(0, 1260)]
    assert len(data.train) == 630


def test_without_a_share_printed_tunes_change_nothing(with_added: Path, prepared_music: Path, params: Train) -> None:
    off = params.model_copy(update={"collections_share": 0.0, "epoch_size": 1.0})
    batches = zip(MusicData(with_added, off).epoch(1), MusicData(prepared_music, off).epoch(1), strict=True)
    assert all(one.inputs.equal(other.inputs) for one, other in batches)


def test_training_lowers_bits_per_char_and_logs_them(prepared_music: Path, params: Train, tmp_path: Path) -> None:
    model = new_model(prepared_music, params, learning_rate=0.01)
    before = bits_per_char(model.eval(), read_texts(prepared_music, "validation"), read_vocabulary(prepared_music))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=1.0,
        default_root_dir=tmp_path,
    )
    trainer.fit(model.train(), MusicData(prepared_music, params))
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert set(logged) == {"train_bits_per_char", "val_bits_per_char", "learning_rate"}
    assert logged["val_bits_per_char"] < before - 1
    after = bits_per_char(model.eval(), read_texts(prepared_music, "validation"), read_vocabulary(prepared_music))
    assert logged["val_bits_per_char"] == pytest.approx(after, rel=1e-4)


def test_the_auxiliary_loss_is_of_the_lstm_alone(prepared_music: Path, params: Train, data: MusicData) -> None:
    batch = data.epoch(0)[0]
    with_it, without = (
        float(new_model(prepared_music, params, auxiliary_loss=weight).eval().training_step(batch, 0).detach())
        for weight in (0.5, 0.0)
    )
    model = new_model(prepared_music, params).eval()
    with torch.no_grad():
        model.attention.output.weight.zero_()  # nothing that attention finds is added
        alone = float(cross_entropy(model(batch.inputs)[0], batch.targets))
    assert with_it == pytest.approx(without + 0.5 * alone, rel=1e-5)
