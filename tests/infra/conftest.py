"""What the tests of images, manifests and the local stack share."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.components.conftest import empty_database, workplace
from tests.serving.conftest import promoted_bundle

__all__ = ["empty_database", "promoted_bundle", "workplace"]

NOT_RUN: list[pytest.Item] = []


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    NOT_RUN.extend(item for item in items if item.get_closest_marker("containers"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if NOT_RUN and "not containers" in config.option.markexpr:
        terminalreporter.write_line(
            f"NOT RUN: {len(NOT_RUN)} tests of container images; `make test-containers` runs them",
            yellow=True,
            bold=True,
        )
