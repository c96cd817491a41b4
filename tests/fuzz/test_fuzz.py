"""`make fuzz`: thousands of mutated inputs, each of which is answered or refused in one line.

No traceback, no 5xx, no hang, no crash, no more memory than a pod has. What breaks this is kept in build/fuzz.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from components.files import write_json
from components.settings import project_root
from tests.fuzz.campaign import run, worked
from tests.serving.servers import Server

KEPT = project_root() / "build" / "fuzz"
SHARES = {
    **{"pictures": 0.3, "tunes": 0.15, "midi": 0.15, "params": 0.1, "bundles": 0.1},
    **{"music requests": 0.1, "digits requests": 0.1},
}
"""Share of the inputs that each target gets."""

pytestmark = pytest.mark.fuzz


@pytest.mark.parametrize("target", ["pictures", "tunes", "midi", "params"])
def test_files_are_answered_or_refused(target: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    fuzz(target, tmp_path, pytestconfig)


def test_changed_bundles_are_refused_or_served_as_unpromoted(bundles: Path, pytestconfig: pytest.Config) -> None:
    fuzz("bundles", bundles, pytestconfig)


def test_requests_to_the_music_api_are_answered_or_refused(
    music_requests: tuple[Path, Server], pytestconfig: pytest.Config
) -> None:
    fuzz_server("music requests", *music_requests, pytestconfig)


def test_requests_to_the_digits_api_are_answered_or_refused(
    digits_requests: tuple[Path, Server], pytestconfig: pytest.Config
) -> None:
    fuzz_server("digits requests", *digits_requests, pytestconfig)


def fuzz_server(target: str, folder: Path, server: Server, config: pytest.Config) -> None:
    fuzz(target, folder, config)
    assert server.client.get("/readyz").status_code == 200
    assert "request failed" not in server.log()
    assert "Traceback" not in server.log()


def fuzz(target: str, folder: Path, config: pytest.Config) -> None:
    if replay := config.getoption("--fuzz-replay"):
        (found,) = worked(target, folder, str(Path(replay).resolve()))
        assert found["outcome"] != "failed", found["fault"]
        return
    seed, count = config.getoption("--fuzz-seed"), round(SHARES[target] * config.getoption("--fuzz-count"))
    campaign = run(target, folder, seed, count, KEPT)
    write_json(KEPT / f"{target.replace(' ', '_')}.json", {"seed": seed, "inputs": count, **campaign.outcomes})
    assert not campaign.faults, f"{len(campaign.faults)} faults:\n\n" + "\n\n".join(campaign.faults[:20])
