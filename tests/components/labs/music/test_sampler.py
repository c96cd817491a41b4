from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bundle import Bundle, BundleSpec, write_bundle
from components.datasets.music.reader import TUNE_END, TUNE_START
from components.errors import UserError
from components.labs.music.runtime.history import History
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import TuneRequest, sample_seed
from components.labs.music.runtime.sampler import Batch, generate, padded
from components.labs.music.runtime.tune import Tune
from components.labs.music.runtime.vocabulary import Vocabulary

HEADER = "X:7\nT:New\nM:6/8\nL:1/8\nK:G Major\n"
SAME_FIXTURES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "int8")


@pytest.fixture(scope="module")
def float_model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "float")


def starting(seed: int, start: str = HEADER, **settings: float) -> TuneRequest:
    """A request of a tune that begins like this."""
    return TuneRequest(seed=seed, forced={0: start} if start else {}, **settings)  # type: ignore[arg-type]


def requests(count: int) -> st.SearchStrategy[list[TuneRequest]]:
    request = st.builds(
        starting,
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
    model: TuneModel, wanted: list[TuneRequest], steps: int, one: int
) -> None:
    alone = generate(model, [wanted[one]], batch=1)
    assert generate(model, wanted, batch=7)[one] == alone[0]
    assert generate(model, wanted, batch=3)[one] == alone[0]  # it joins when others have left
    tune, batch = Tune(wanted[one], model), Batch[Tune](model)
    batch.join(tune)
    while len(batch):
        batch.step(steps)
    assert tune.finished
    assert tune.sample == alone[0]


def test_a_tune_is_the_same_in_a_batch_of_thirty_two_that_it_joins_midway(model: TuneModel) -> None:
    wanted = [starting(seed, max_length=120 + 5 * seed) for seed in range(40)]
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
        before = each.initial_state(2)
        ids, steps = each.sample(before, last, uniforms, temperatures, np.array([top_k, 83]), tops)

        state, log_probs = each.read(np.column_stack([last, ids[:, :-1]]), before)
        np.testing.assert_allclose(state.cell, steps.after(before).cell, atol=1e-5)
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
    first, second = (generate(model, [starting(seed, top_k=1, max_length=200)]) for seed in (1, 2))
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


@SAME_FIXTURES
@given(
    seed=st.integers(0, 2**32),
    pieces=st.lists(st.lists(st.text(alphabet="ab|: ", max_size=6), max_size=4), min_size=2, max_size=2),
)
def test_a_call_writes_what_it_is_given_at_once_and_in_place_of_bar_lines(
    model: TuneModel, seed: int, pieces: list[list[str]]
) -> None:
    """As one character a call does, where what was chosen is replaced by hand."""
    vocabulary, nothing = model.vocabulary, len(model.vocabulary)
    rows = [[number for piece in row for number in (*vocabulary.encode(piece), nothing)] for row in pieces]
    given_text = padded([np.array(row, np.int64) for row in rows], nothing)
    uniforms = np.random.default_rng(seed).random((2, 16), dtype=np.float32)
    limits = (np.ones(2, np.float32), np.full(2, nothing), np.ones(2, np.float32))
    state, last = model.initial_state(2), vocabulary.encode("A|")
    together_ids, _ = model.sample(state, last, uniforms, *limits, given_text)

    places, giving = [0, 0], [True, True]
    for step in range(16):
        chosen, steps = model.sample(state, last, uniforms[:, step : step + 1], *limits)
        state, last = steps.after(state), chosen[:, 0]
        for row in range(2):
            if giving[row] or vocabulary.decode(last[row : row + 1]) in "|:":
                following = rows[row][places[row]] if places[row] < len(rows[row]) else nothing
                places[row], giving[row] = places[row] + 1, following != nothing
                last[row] = following if giving[row] else last[row]
        np.testing.assert_array_equal(together_ids[:, step], last)


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
    text = generate(model, [starting(3, start, max_length=20)])[0].text
    assert text.startswith(start.rstrip("\n"))
    assert len(text) <= length + 20


def test_an_unknown_character_in_a_start_is_named_with_its_place(model: TuneModel) -> None:
    with pytest.raises(UserError, match=r"'é' \(U\+00E9\), line 2, column 4: leave it out; it knows !\"#") as error:
        generate(model, [starting(1, "X:1\nT:Né\n")])
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
        replace(TuneRequest(seed=1), **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["\n", "X:1\n\n", "X:1\n\nK:D\n"])
def test_forced_text_that_ends_the_tune_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="line 2 holds an empty line"):
        TuneRequest(seed=1, forced={2: text})


def test_max_length_counts_what_the_model_writes_and_not_what_is_forced(model: TuneModel) -> None:
    forced = {0: HEADER[:2], 2: "M:6/8\n", 4: "K:G Major\nAB"}
    for length in (1, 7, 33, 34, 100):
        sample = generate(model, [TuneRequest(seed=1, temperature=0.5, max_length=length, forced=forced)])[0]
        there = sum(len(text) for text in forced.values() if text in sample.text)
        assert not sample.ended
        assert len(sample.text) == length + there
    assert there == sum(map(len, forced.values()))


def test_a_tune_ends_at_the_first_empty_line_or_at_its_length(model: TuneModel) -> None:
    @given(st.lists(st.text(alphabet="ab\n", min_size=1, max_size=6), max_size=10), st.integers(1, 30))
    def check(blocks: list[str], length: int) -> None:
        tune = Tune(TuneRequest(seed=1, max_length=length), model)
        for block in blocks:
            if not tune.take(model.vocabulary.encode(block)):
                break
        everything = "".join(blocks)
        end = (TUNE_START + everything[:length]).find(TUNE_END)
        assert tune.ended == (end >= 0)
        assert tune.sample.text == (everything[:end].rstrip("\n") if tune.ended else everything[:length])
        assert tune.finished == (tune.ended or len(everything) >= length)

    check()


@pytest.mark.parametrize("cut", range(1, 12))
def test_the_end_is_found_wherever_a_block_is_cut(model: TuneModel, cut: int) -> None:
    """A tune's text, fed in blocks of every length, ends at its empty line and forgets what follows."""
    ids = model.vocabulary.encode("X:1\nK:C\nabc|\n\nX:2\nT:next")
    tune = Tune(TuneRequest(seed=0, max_length=100), model)
    for first in range(0, len(ids), cut):
        if not tune.take(ids[first : first + cut]):
            break
    assert tune.ended
    assert tune.sample.text == "X:1\nK:C\nabc|"


def test_new_text_adds_up_to_the_tune(model: TuneModel) -> None:
    tune = Tune(TuneRequest(seed=0, max_length=9, forced={0: "X:1\n", 2: "K:C\n"}), model)
    pieces = [tune.new_text()]
    tune.to_read(len(tune.unread))
    for block in ("T:a\nzzz", "K:C\nabc", "d|"):
        tune.take(model.vocabulary.encode(block))
        pieces.append(tune.new_text())
    assert pieces == ["X:1\n", "T:a\nK:C\n", "abc", "d|"]
    assert tune.sample.text == "X:1\nT:a\nK:C\nabcd|"
    assert tune.finished
    assert not tune.ended


def test_forced_text_is_in_the_tune_wherever_a_call_ends(model: TuneModel) -> None:
    request = TuneRequest(seed=9, temperature=0.5, max_length=200, forced={1: "T:a\n", 3: "M:C\n", 5: "K:G Major\n"})
    expected = generate(model, [request])[0]
    lines = expected.text.split("\n")
    assert (lines[1], lines[3], lines[5]) == ("T:a", "M:C", "K:G Major")
    for steps, read_chars in ((1, 1), (3, 2), (50, 7)):
        tune, batch = Tune(request, model), Batch[Tune](model, read_chars)
        batch.join(tune)
        while len(batch):
            batch.step(steps)
        assert tune.sample == expected


def test_a_start_may_be_read_in_another_spelling_than_it_has(model: TuneModel) -> None:
    plain, other = "X:1\nT:A\nM:C\nL:1/8\nK:A Dorian\n", "X: 1\nT:A\nR:reel\nM:C\nL:1/8\nK:Ador\n"
    request = TuneRequest(seed=1, max_length=300, forced={0: plain})
    one, two = generate(model, [request, replace(request, forced={0: other}, read_as={0: plain})])
    assert one.text.startswith(plain)
    assert two.text == other + one.text.removeprefix(plain)


def test_a_tunes_random_numbers_do_not_depend_on_how_many_are_drawn_at_once(model: TuneModel) -> None:
    long = np.random.Generator(np.random.PCG64(5)).random(5000, dtype=np.float32)
    tune = Tune(TuneRequest(seed=5, max_length=5000), model)
    letter, position = model.vocabulary.encode("a"), 0
    for count in (1, 8, 255, 3, 600, 2000):
        np.testing.assert_array_equal(tune.uniforms(count), long[position : position + count])
        tune.take(np.repeat(letter, count - count // 3))  # the rest is thrown away, and its numbers are used again
        position += count - count // 3
    assert tune.uniforms(1) != Tune(TuneRequest(seed=sample_seed(5, 1)), model).uniforms(1)


def test_a_history_that_goes_back_is_as_if_the_rest_had_not_been_read(model: TuneModel) -> None:
    """Over more characters than the attention sees, read and sampled, in calls of several lengths."""
    draw = np.random.default_rng(0)
    history, beside = History(model.initial_state(1)), History(model.initial_state(1))
    start = model.vocabulary.encode(HEADER + "ABcd|" * 70)
    state, _ = model.read(start[None], History.together([history]))
    history.add_read(start, state)
    text, last = list(start), model.vocabulary.encode("A")[0]
    for count, kept in ((1, 1), (16, 0), (16, 5), (40, 40), (3, 2)):
        uniforms = draw.random((2, count), dtype=np.float32)
        ones = np.ones(2, np.float32)
        ids, steps = model.sample(
            History.together([beside, history]), np.array([last, last]), uniforms, ones, np.full(2, 83), ones
        )
        place = history.after(steps, 1, kept)
        history.add(steps, 1)
        history.go_back(place)
        text += [last, *ids[1, :-1]][:kept]
        last = ids[1, kept - 1] if kept else last
    expected, _ = model.read(np.array([text]), model.initial_state(1))
    found = History.together([history])
    for name, values in expected.named().items():
        if name == "keys":  # sums of floats, in other groups
            np.testing.assert_allclose(found.named()[name], values, atol=1e-5)
        else:
            np.testing.assert_array_equal(found.named()[name], values, err_msg=name)


def test_a_bundle_of_an_older_version_says_that_it_must_be_exported_again(music_bundle: Path, tmp_path: Path) -> None:
    given = Bundle.open(music_bundle)
    graphs = given.manifest.graphs.items()
    paths = {name: Path(shutil.copy(music_bundle / graph.file, tmp_path)) for name, graph in graphs}
    model = onnx.load(paths["int8_sample"])
    (text,) = (value for value in model.graph.input if value.name == "given")
    model.graph.input.remove(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([[len(given.spec["vocabulary"])]]), "given"))
    onnx.save(model, paths["int8_sample"])
    write_bundle(tmp_path, "music", BundleSpec(paths, given.spec), given.manifest.provenance)
    with pytest.raises(UserError, match="an older version exported it; export the model again"):
        TuneModel.load(Bundle.open(tmp_path), "int8")


def test_a_variant_that_the_bundle_lacks_is_an_error_that_names_those_it_has(music_bundle: Path) -> None:
    with pytest.raises(UserError, match="no variant 'int4': it has int8, float"):
        TuneModel.load(Bundle.open(music_bundle), "int4")


def test_it_says_where_it_runs(model: TuneModel) -> None:
    assert model.providers == ["CPUExecutionProvider"]
