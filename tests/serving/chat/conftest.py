"""A chat server whose adapters are noise: what it says is nonsense, and for a seed always the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.bundle import Bundle
from tests.chat_model import make_bundle, write_gguf, write_prepared
from tests.serving.servers import Server, serving


@pytest.fixture(scope="session")
def chat_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("chat")
    return make_bundle(folder / "chat", write_gguf(folder / "base"), write_prepared(folder / "prepared"))


@pytest.fixture(scope="session")
def chat_server(chat_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving("chat", chat_bundle.folder, folder, "--allow-unpromoted", slots=2, waiting=2) as running:
        yield running
