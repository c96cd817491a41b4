"""Parts that every report has: the model's identity, its variants, its limitations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from components.bundle import Manifest
from components.report.page import bullets, section, table


def about(manifest: Manifest, served: str, **rows: str) -> str:
    """A table of the model's digest, data, code and served variant; `rows`: further ones, HTML by their heading."""
    made = manifest.provenance
    warning = "" if made.data_profile == "course" else " <strong>(the small starter data, not the course's)</strong>"
    lines = {
        "model digest": f"<code>{manifest.digest}</code>",
        "data": f"profile {escape(made.data_profile)}{warning}, version <code>{escape(made.data_version)}</code>",
        "code": f"commit <code>{escape(made.git_commit)}</code>{' with changes' if made.git_dirty else ''}",
        "variant that is served": escape(served),
        **{name.replace("_", " "): html for name, html in rows.items()},
    }
    return table(lines.items())


def variants(measured: Mapping[str, Mapping[str, float]], digits: int = 4) -> str:
    """The metrics of each variant, by variant and metric."""
    names = list(next(iter(measured.values())))
    rows = (
        (escape(variant), *(f"{values[name]:.{digits}f}" for name in names)) for variant, values in measured.items()
    )
    return section("Variants", table(rows, ["variant", *(escape(name.replace("_", " ")) for name in names)]))


def limitations(sentences: Iterable[str]) -> str:
    return section("Limitations", bullets(sentences))
