"""A tiny base, a prepared dataset, and the bundle of adapters that are noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.bundle import Bundle
from tests.chat_model import make_bundle, write_gguf, write_prepared


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def bundle(base_folder: Path, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "chat", base_folder, prepared)
