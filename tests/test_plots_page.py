"""`dvc plots show` makes a page that draws its plots with no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.html_pages import loads

PROJECT = Path(__file__).resolve().parent.parent
DVC_YAML = """
plots:
  - a curve:
      x: step
      y: {curve.csv: [train_bits_per_char, val_bits_per_char]}
  - another lab curve:
      x: step
      y: {nowhere/curve.csv: [train_loss, val_loss]}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small project with this project's DVC settings."""
    folder = tmp_path_factory.mktemp("plots")
    if not (PROJECT / ".dvc" / "plots" / "page.html").exists():
        pytest.skip("no page for plots: `make environment` makes it")
    (folder / ".dvc" / "plots").mkdir(parents=True)
    shutil.copy(PROJECT / ".dvc" / "config", folder / ".dvc" / "config")
    shutil.copy(PROJECT / ".dvc" / "plots" / "page.html", folder / ".dvc" / "plots" / "page.html")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    rows = (f"{step},{3 - step / 100},{3.2 - step / 100}\n" for step in range(0, 200, 20))
    (folder / "curve.csv").write_text("step,train_bits_per_char,val_bits_per_char\n" + "".join(rows))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["dvc", "plots", "show"], cwd=folder, check=True, capture_output=True, env=_environment())
    return folder / "dvc_plots" / "index.html"


def test_the_page_loads_nothing(page: Path) -> None:
    html = page.read_text()
    assert "vegaEmbed('#" in html
    assert loads(html) == []


def test_the_page_draws_in_a_browser_that_is_offline_and_names_what_has_no_data(page: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: `make system` installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=120_000)
        context = browser.new_context(offline=True)
        context.set_default_timeout(120_000)
        tab = context.new_page()
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page.as_uri())
        tab.wait_for_selector("canvas.marks, svg.marks")
        plots = tab.locator("canvas.marks, svg.marks")
        shown, frames, box = plots.count(), tab.locator(".vega-embed").count(), plots.first.bounding_box()
        text = tab.inner_text("body")
        browser.close()
    assert not errors
    assert shown == frames == 1
    assert text.rstrip().endswith("No data yet: another lab curve")
    assert box is not None
    assert box["width"] > 200
    assert box["height"] > 100


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
