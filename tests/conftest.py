"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import gc
import logging
import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # sums in another order make other models; the suite's processes fill the cores

if TYPE_CHECKING:
    from components.bundle import Bundle
    from components.labs.faces.params import Train
    from components.labs.faces.training.model import FaceClassifier

# Machines are busy: slow is not wrong. The same examples each time, so that what passes here passes elsewhere; others
# with --hypothesis-profile=explore.
hypothesis.settings.register_profile(
    "here", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("explore", hypothesis.settings.get_profile("here"), derandomize=False)
hypothesis.settings.load_profile("here")

PROJECT = Path(__file__).resolve().parent.parent
GARBAGE_THRESHOLDS = 100_000, 50, 100
"""New objects after which Python looks for cycles, and how often it also looks through the older two generations."""
OVERFIT_STEPS = 500
OVERFIT_TUNES = {"C": 3, "6/8": 2, "3/4": 1}
"""How many tunes of which metre the model of `music_bundle` learns by heart."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.schedule import slow_files_first

    slow_files_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for garbage seldom, and never in what is imported and collected: it costs up to a quarter of an import."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.schedule import make

    return make(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `--numprocesses=auto`: one more than there are cores, since some tests wait for a server or a browser."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope="session", autouse=True)
def _keys_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is signed with the key of whoever runs the tests, and nothing that they signed is trusted."""
    from components.settings import settings
    from components.signing_keys import PRIVATE, make_key

    folder = tmp_path_factory.mktemp("keys")
    make_key(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNING_KEY", str(folder / PRIVATE))
        patch.setenv("SIGNING_PUBLIC_KEYS", str(folder))
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _no_log_handler_outlives_a_test() -> Iterator[None]:
    """A command in the test's own process sets up logging to a standard error that is closed with the test."""
    yield
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


@pytest.fixture(scope="session")
def raw_data() -> Path:
    """The folder of the fetched tunes."""
    from components.datasets.music.raw import FILE
    from tests.music_data import RAW

    if not (RAW / FILE).exists():
        pytest.skip("no tunes: `make data` fetches them")
    return RAW


@pytest.fixture(scope="session")
def prepared_music(raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All real tunes, as the step prepare leaves them."""
    from components.datasets.music.prepare import prepare
    from tests.music_data import ALL
    from tests.shared import made_once

    return made_once(tmp_path_factory, "prepared_music", lambda folder: prepare(raw_data, folder, ALL))


@pytest.fixture(scope="session")
def overfitted_tunes(prepared_music: Path) -> list[str]:
    """The shortest valid tune of each of some keys and metres."""
    from components.datasets.music.abc_notation import check
    from components.datasets.music.reader import read_texts

    tunes = sorted(read_texts(prepared_music, "train"), key=len)
    found: dict[str, dict[str, str]] = {metre: {} for metre in OVERFIT_TUNES}
    for tune in tunes:
        headers = dict(line.split(":", 1) for line in tune.split("\n")[:6] if line[1:2] == ":")
        if headers.get("M") in found and not check(tune):
            found[headers["M"]].setdefault(headers["K"], tune)
    return [tune for metre, count in OVERFIT_TUNES.items() for tune in list(found[metre].values())[:count]]


@pytest.fixture(scope="session")
def music_bundle(prepared_music: Path, overfitted_tunes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small music model that knows a few tunes by heart under any number and title (ten seconds).

    Most of what it writes at temperature 1 in the metres and keys that it knows is valid ABC.
    """
    from tests.shared import made_once

    return (
        made_once(
            tmp_path_factory,
            "music_bundle",
            lambda folder: _write_music_bundle(folder / "music", prepared_music, overfitted_tunes),
        )
        / "music"
    )


def _write_music_bundle(folder: Path, prepared_music: Path, overfitted_tunes: list[str]) -> None:
    import torch

    from components.bundle import write_bundle
    from components.datasets.music.abc_notation import parse_tune
    from components.datasets.music.form import coded_form
    from components.datasets.music.reader import TUNE_END
    from components.labs.music.export.bundle import export
    from components.labs.music.params import Export, Train
    from components.labs.music.runtime.conditioning import Options
    from components.labs.music.training.augment import with_codes
    from components.labs.music.training.model import MusicModel, read_vocabulary, to_batches
    from components.records import Provenance
    from tests.face_data import section

    # Its own numbers throughout, so that other defaults do not make it another model.
    sizes = {"hidden_size": 128, "layers": 1, "embedding_size": 32, "attention_heads": 4, "attention_window": 256}
    small = section(
        Train, "music", "train", **sizes, input_dropout=0.1, output_dropout=0.5, weight_drop=0.15, form_share=0.6
    )
    torch.manual_seed(0)
    model = MusicModel.create(prepared_music, small).eval()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=OVERFIT_STEPS)
    draw = random.Random(0)  # noqa: S311 - chooses titles
    forms = [coded_form(parse_tune(tune), tune) for tune in overfitted_tunes]
    for _ in range(OVERFIT_STEPS):
        tunes = [_with_another_title(tune, draw) + TUNE_END for tune in overfitted_tunes]
        if draw.random() < small.form_share:
            tunes = [with_codes(tune, form) if form else tune for tune, form in zip(tunes, forms, strict=True)]
        batch = to_batches(tunes, read_vocabulary(prepared_music), len(tunes))[0]
        loss = model.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()

    folder.mkdir()
    spec = export(model, prepared_music, folder, section(Export, "music", "export"))
    spec.spec["forms"] = Options.of_tunes(overfitted_tunes, 1).forms  # of the tunes that it knows, not of all
    made_here = Provenance(
        git_commit="0" * 40,
        git_dirty=False,
        data_version="0" * 32,
        data_profile="course",
        params_hash="0" * 64,
        code_hash="0" * 64,
    )
    write_bundle(folder, "music", spec, made_here)


def _with_another_title(tune: str, draw: random.Random) -> str:
    title = "".join(draw.choices("abcdefghijklmnopqrstuvwxyzABCDEF '", k=draw.randint(3, 8)))
    return f"X:{draw.randint(1, 400)}\nT:{title}\n{tune[tune.index('M:') :]}"


@pytest.fixture(scope="session")
def prepared_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred real faces and crops of photographs, as the step prepare leaves them."""
    from tests.face_data import write_prepared
    from tests.shared import made_once

    return made_once(tmp_path_factory, "prepared_faces", write_prepared)


@pytest.fixture(scope="session")
def train_params() -> Train:
    """Parameters of a small face model."""
    from components.labs.faces.params import Train
    from tests.face_data import section

    small = {"widths": [16, 32, 32], "hidden_size": 48, "latent_dim": 12}
    return section(Train, "faces", "train", negatives_per_face=1.0, batch_size=32, **small)


@pytest.fixture(scope="session")
def trained(prepared_faces: Path, train_params: Train, tmp_path_factory: pytest.TempPathFactory) -> FaceClassifier:
    import torch

    from components.labs.faces.training.batches import FaceData
    from components.labs.faces.training.model import FaceClassifier
    from tests.face_model import fitted
    from tests.shared import made_once

    def write_weights(folder: Path) -> None:
        torch.manual_seed(0)
        model = fitted(FaceClassifier(train_params), FaceData(prepared_faces, train_params))
        torch.save(model.state_dict(), folder / "weights.pt")

    model = FaceClassifier(train_params)
    folder = made_once(tmp_path_factory, "trained_faces", write_weights)
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return model.eval()


@pytest.fixture(scope="session")
def faces_bundle(trained: FaceClassifier, prepared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a small face model; most of the audit faces it finds."""
    from components.bundle import Bundle
    from tests.face_model import bundle_of
    from tests.shared import made_once

    def write(folder: Path) -> None:
        bundle_of(trained, prepared_faces, folder)

    return Bundle.open(made_once(tmp_path_factory, "faces_bundle", write))
