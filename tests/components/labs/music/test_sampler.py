from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bundle import Bundle
from components.datasets.music.abc_notation import check
from components.errors import UserError
from components.labs.music.runtime.sampler import (
    TUNE_END,
    TUNE_START,
    Batch,
    Draft,
    Request,
    State,
    TuneModel,
    Vocabulary,
    generate,
    generate_valid,
    sample_seed,
)

HEADER = "X:7\nT:New\nM:6/8\nL:1/8\nK:G Major\n"
SAME_FIXTURES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "int8")


@pytest.fixture(scope="module")
def float_model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "float")


def requests(count: int) -> st.SearchStrategy[list[Request]]:
    request = st.builds(
        Request,
        seed=st.integers(0, 2**53 - 1),
        start=st.sampled_from(["", "X:1\n", HEADER, "X:1\nT:A long title, of a tune that never was\n"]),
        temperature=st.floats(0.2, 3),
        top_k=st.sampled_from([0, 0, 1, 5, 83, 1000]),
        top_p=st.sampled_from([1.0, 1.0, 0.5, 0.95]),
        max_length=st.integers(60, 150),
    )
    return st.lists(request, min_size=count, max_size=count)


@SAME_FIXTURES
@given(requests(7), st.integers(1, 19), st.integers(0, 6))
def test_a_tune_does_not_depend_on_its_neighbours_or_on_the_steps_per_call(
    model: TuneModel, wanted: list[Request], steps: int, one: int
) -> None:
    alone = generate(model, [wanted[one]], batch=1)
    assert generate(model, wanted, batch=7)[one] == alone[0]
    assert generate(model, wanted, batch=3)[one] == alone[0]  # it joins when others have left
    draft, batch = Draft(wanted[one]), Batch(model)
    batch.join(draft)
    while not draft.finished:
        batch.step(steps)
    assert draft.text == alone[0]


def test_a_tune_is_the_same_in_a_batch_of_thirty_two_that_it_joins_midway(model: TuneModel) -> None:
    wanted = [Request(seed=seed, start=HEADER, max_length=120 + 5 * seed) for seed in range(40)]
    together = generate(model, wanted, batch=32)
    assert [generate(model, [request])[0] for request in wanted[30:]] == together[30:]


def reference(log_probs: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """Cumulative distribution (V,) that the sampler inverts, written as its description reads, in float64."""
    shares = np.exp((log_probs - log_probs.max()) / temperature)
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")[:top_k]
    share_before = np.cumsum(shares[order]) - shares[order]
    kept = order[share_before < top_p * shares[order].sum()] if top_p < 1 else order
    limited = np.where(np.isin(np.arange(len(shares)), kept), shares, 0)
    return np.asarray(np.cumsum(limited) / limited.sum())


@SAME_FIXTURES
@given(
    seed=st.integers(0, 2**32),
    temperature=st.floats(0.125, 5, width=32),
    top_k=st.integers(1, 83),
    top_p=st.floats(0.0625, 1, width=32),
)
def test_the_graph_samples_as_a_plain_reference_does(
    model: TuneModel, float_model: TuneModel, seed: int, temperature: float, top_k: int, top_p: float
) -> None:
    for each in (model, float_model):
        uniforms = np.random.default_rng(seed).random((2, 12), dtype=np.float32)
        last = each.vocabulary.encode("A|")
        temperatures, tops = np.full(2, temperature, np.float32), np.array([top_p, 1], np.float32)
        ids, after = each.sample(each.initial_state(2), last, uniforms, temperatures, np.array([top_k, 83]), tops)

        state, log_probs = each.read(np.column_stack([last, ids[:, :-1]]), each.initial_state(2))
        np.testing.assert_allclose(state.cell, after.cell, atol=1e-5)
        for row, limits in enumerate([(top_k, top_p), (83, 1.0)]):
            for step, chosen in enumerate(ids[row]):
                cumulative = reference(log_probs[row, step].astype(np.float64), temperature, *limits)
                below = cumulative[chosen - 1] if chosen else 0.0
                # Rounding may move a boundary, or who is the last to be kept, by this much.
                inside = below - 1e-4 <= uniforms[row, step] <= cumulative[chosen] + 1e-4
                near_limit = not np.isclose(
                    cumulative, reference(log_probs[row, step], temperature, *_less(limits))
                ).all()
                assert inside or near_limit


def _less(limits: tuple[int, float]) -> tuple[int, float]:
    return limits[0], limits[1] * (1 - 1e-5)


def test_the_likeliest_character_is_always_chosen_with_top_k_of_one(model: TuneModel) -> None:
    first, second = (generate(model, [Request(seed=seed, start=HEADER, top_k=1, max_length=200)]) for seed in (1, 2))
    assert first == second


def test_the_largest_uniform_chooses_a_character_that_is_possible(model: TuneModel) -> None:
    almost_one = np.full((1, 1), np.nextafter(np.float32(1), np.float32(0)))
    for top_k in (1, 3, 83):
        state, last = model.initial_state(1), model.vocabulary.encode(TUNE_START)
        ids, _ = model.sample(
            state, last, almost_one, np.array([0.1], np.float32), np.array([top_k]), np.ones(1, np.float32)
        )
        _, log_probs = model.read(last[None], state)
        assert log_probs[0, 0, ids[0, 0]] >= np.sort(log_probs[0, 0])[-top_k]


def test_reading_a_text_at_once_or_in_pieces_leaves_the_same_state(model: TuneModel) -> None:
    ids = model.vocabulary.encode(HEADER)[None]
    whole, log_probs = model.read(ids, model.initial_state(1))
    state, first = model.read(ids[:, :11], model.initial_state(1))
    state, second = model.read(ids[:, 11:], state)
    np.testing.assert_array_equal(state.hidden, whole.hidden)
    np.testing.assert_array_equal(state.cell, whole.cell)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), log_probs)


@pytest.mark.parametrize("length", [0, 1, 2, 30, 1023, 1024, 1025, 5000])
def test_a_start_may_have_any_length(model: TuneModel, length: int) -> None:
    start = ("X:1\n" + "ABcd|" * 1000)[:length]
    text = generate(model, [Request(seed=3, start=start, max_length=length + 20)])[0]
    assert text.startswith(start.rstrip("\n"))
    assert len(text) <= length + 20


def test_an_unknown_character_in_a_start_is_named_with_its_place(model: TuneModel) -> None:
    with pytest.raises(UserError, match=r"'é' \(U\+00E9\), line 2, column 4: leave it out; it knows !\"#") as error:
        generate(model, [Request(seed=1, start="X:1\nT:Né\n")])
    assert "\n" not in str(error.value)


@given(st.text(alphabet="abc|:\n", max_size=50))
def test_a_vocabulary_decodes_what_it_encoded(text: str) -> None:
    vocabulary = Vocabulary("\n:abc|")
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("temperature", 1e9),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("top_p", float("nan")),
        ("max_length", 0),
        ("seed", -1),
    ],
)
def test_a_request_out_of_range_names_the_field(field: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{field} is .*: it must be from"):
        replace(Request(seed=1), **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("start", ["\n", "X:1\n\n", "X:1\n\nK:D\n"])
def test_a_start_that_ends_the_tune_is_refused(start: str) -> None:
    with pytest.raises(UserError, match="empty line"):
        Request(seed=1, start=start)


def test_a_start_that_leaves_nothing_to_write_is_refused() -> None:
    with pytest.raises(UserError, match="start has 6 characters: max_length must be more, not 6"):
        Request(seed=1, start="abcdef", max_length=6)


@given(st.lists(st.text(alphabet="ab\n", max_size=6), max_size=10), st.integers(1, 30))
def test_a_draft_ends_at_the_first_empty_line_or_at_its_length(blocks: list[str], length: int) -> None:
    draft = Draft(Request(seed=1, max_length=length))
    taken = "".join(draft.extend(block) for block in blocks)
    everything = "".join(blocks)
    assert taken == draft.written == everything[: len(taken)]
    assert len(taken) <= length
    assert TUNE_END not in (TUNE_START + taken)[:-1]
    assert draft.ended == (TUNE_START + taken).endswith(TUNE_END)
    assert draft.finished or taken == everything


def test_a_drafts_random_numbers_do_not_depend_on_how_many_are_drawn_at_once() -> None:
    one, other = Draft(Request(seed=5)), Draft(Request(seed=5))
    np.testing.assert_array_equal(one.uniforms(21), np.concatenate([other.uniforms(n) for n in (1, 8, 5, 7)]))
    assert one.uniforms(1) != Draft(Request(seed=sample_seed(5, 0, 1))).uniforms(1)


def test_invalid_tunes_are_written_again_and_the_same_seeds_give_the_same_tunes(model: TuneModel) -> None:
    wanted = [Request(seed=seed, start=HEADER, max_length=400, temperature=1.6) for seed in range(12)]
    tunes = generate_valid(model, wanted, attempts=20)
    assert all(not tune.problems and not check(tune.text) for tune in tunes)
    assert {tune.attempts for tune in tunes} > {1}, "some first attempt must fail, or this tests nothing"
    assert generate_valid(model, wanted[4:6], attempts=20, batch=1) == tunes[4:6]


def test_a_tune_that_never_becomes_valid_says_why(model: TuneModel) -> None:
    (tune,) = generate_valid(model, [Request(seed=1, start="X:1\nK:H\n", max_length=30)], attempts=2)
    assert tune.problems
    assert tune.attempts == 2


def test_rows_of_a_state_are_taken_and_stacked() -> None:
    state = State(*(np.arange(6.0).reshape(3, 2) + 10 * part for part in range(4)))
    swapped = State.stack([state.rows([2]), state.rows(slice(0, 2))])
    np.testing.assert_array_equal(swapped.hidden, [[4, 5], [0, 1], [2, 3]])
    np.testing.assert_array_equal(swapped.past, [[34, 35], [30, 31], [32, 33]])
    assert len(state) == 3


def test_a_variant_that_the_bundle_lacks_is_an_error_that_names_those_it_has(music_bundle: Path) -> None:
    with pytest.raises(UserError, match="no variant 'int4': it has int8, float"):
        TuneModel.load(Bundle.open(music_bundle), "int4")


def test_it_says_where_it_runs(model: TuneModel) -> None:
    assert model.providers == ["CPUExecutionProvider"]
