"""A report is one page that loads nothing, and text that stands on it is text."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.report.charts import Line, Row, curves, intervals
from components.report.csv_table import write_csv
from components.report.model import about, limitations, variants
from components.report.page import bullets, data_address, figure, image, page, section, table, thumbnails
from components.report.pictures import save_png, sheet
from components.report.plots import bars, canvas, lines, svg
from tests.components import bundles
from tests.html_pages import loads

HOSTILE = '<script>alert("x")</script>'


def test_a_page_loads_nothing_and_shows_hostile_text_as_text() -> None:
    address = data_address(b"\x89PNG", "png")
    whole = page(
        HOSTILE,
        [
            section(HOSTILE, bullets([HOSTILE])),
            figure(HOSTILE, image(address, HOSTILE)),
            thumbnails([(address, HOSTILE)]),
            limitations([HOSTILE]),
            intervals([Row(HOSTILE, 0.5, 0.4, 0.6, HOSTILE)], [Line(0.5, HOSTILE)]),
            curves([0.1, 0.2], {HOSTILE: [0.5, 0.6]}, HOSTILE),
        ],
    )
    assert "<script" not in whole
    assert [found for found in loads(whole) if found != address] == []
    assert whole.count("&lt;script&gt;") == whole.count("alert(") >= 12
    assert "default-src 'none'" in whole


def test_a_plot_is_one_element_that_loads_nothing_and_repeats_to_the_byte() -> None:
    def drawn() -> list[str]:
        axes = (figure_of := canvas(2, 2)).add_subplot()
        axes.plot([1, 2])
        return [
            svg(figure_of, "one"),
            lines([1, 2], {"a": [1, 2]}, "x", "y", {}),
            bars(["G Major", "D Major"], {"a": [0.5, 0.5], "b": [0.1, 0.9]}, "key", "share", {"a": "#fff"}),
        ]

    for plot in drawn():
        assert plot.startswith("<svg")
        assert loads(plot) == []
    assert drawn() == drawn()


@pytest.mark.parametrize("cell", ["0.95", "81.2 %", "1 of 20", "5.0 to 6.1", "+1.2", "0.99 (0.97 to 1.00)", "3 / 40"])
def test_numbers_are_set_as_numbers(cell: str) -> None:
    assert f"<td class=number>{cell}</td>" in table([("a", cell)], ("", "b"))
    assert "<th class=number>b</th>" in table([("a", cell)], ("", "b"))


@pytest.mark.parametrize("cell", ["13 of 92 wrong", "160 photographs", "", "too few", "<code>12ab</code>"])
def test_sentences_are_not(cell: str) -> None:
    assert f"<td>{cell}</td>" in table([("a", cell)], ("", "b"))


def test_a_table_without_rows_keeps_its_head() -> None:
    assert "<th>a</th><th>b</th>" in table([], ("a", "b"))


def test_what_is_said_of_the_model_names_it_and_warns_of_starter_data(tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "course")
    text = about(bundle.manifest, "int8", measured_with="digits")
    for expected in (bundle.digest, "profile course", "int8", "<th>measured with</th><td>digits</td>"):
        assert expected in text
    assert "starter" not in text
    provenance = bundles.PROVENANCE.model_copy(update={"data_profile": "starter", "git_dirty": True})
    starter = about(bundles.write(tmp_path / "starter", provenance=provenance).manifest, "int8")
    assert "small starter data" in starter
    assert "with changes" in starter
    assert "<td class=number>0.9500</td>" in variants({"int8": {"accuracy": 0.95}})


def test_a_sheet_fills_its_last_row_with_white_and_is_written_as_it_is(tmp_path: Path) -> None:
    for channels in (1, 3):
        pictures = np.arange(5 * 2 * 3 * channels, dtype=np.uint8).reshape(5, 2, 3, channels)
        found = sheet(pictures, 2)
        assert found.shape == (6, 6, channels)
        assert (found[2:4, 3:] == pictures[3]).all()
        assert (found[4:, 3:] == 255).all()
        save_png(tmp_path / "sheet.png", found)
        assert (np.asarray(Image.open(tmp_path / "sheet.png")).reshape(found.shape) == found).all()


def test_columns_become_csv_and_must_be_equally_long(tmp_path: Path) -> None:
    write_csv(tmp_path / "plots" / "a.csv", {"name": ["x,y", "z"], "share": np.array([0.25, 1.0]), "n": range(2)})
    with (tmp_path / "plots" / "a.csv").open() as file:
        assert list(csv.reader(file)) == [["name", "share", "n"], ["x,y", "0.25", "0"], ["z", "1.0", "1"]]
    with pytest.raises(ValueError, match="shorter"):
        write_csv(tmp_path / "b.csv", {"a": [1, 2], "b": [1]})
