"""What Great Expectations found, as a page of the reports' kind.

Its own Data Docs load Bootstrap, jQuery, Vega and icons from six content networks and copy 4 MB of tutorial pictures
and fonts. Here its sections stand on a page of 30 kB without scripts, which opens offline.
"""

from __future__ import annotations

import copy
import html
import re
from typing import Any

import numpy as np

from components.report.page import page

STYLE = """
h4, h5, h6, .h6 { font-size: 1rem; font-weight: 600; margin: 1.2rem 0 .3rem }
.ge-section { border-top: 1px solid var(--line); padding: .5rem 0 } table { width: 100% }
th:first-child:not(:nth-last-child(2)) { width: 4rem } th:last-child { width: 14rem }
.badge { border: 1px solid var(--line); border-radius: .3rem; padding: 0 .3rem }
.fa-check-circle::before { content: "\\2713"; color: var(--pass); font-weight: bold }
.fa-times::before { content: "\\2717"; color: var(--fail); font-weight: bold }
.fa-exclamation-triangle::before { content: "!"; color: var(--fail); font-weight: bold }
.text-danger { color: var(--fail) } ul { margin: 0; padding-left: 1.2rem }
"""
"""For the classes that Great Expectations gives its elements."""

_UNUSED = re.compile(r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>", re.DOTALL)
_LINK = re.compile(r"</?a\b[^>]*>")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def render(suite: dict[str, Any], result: Any) -> str:
    """The page for a suite and its ExpectationSuiteValidationResult. The same result gives the same bytes."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    shown = copy.deepcopy(result)
    for item in shown.results:
        item.result = _escaped(item.result)
    document = ValidationResultsPageRenderer().render(shown)
    # The overview folds away when and how the data was read.
    overview = document.sections[0]
    overview.content_blocks = [block for block in overview.content_blocks if block.content_block_type != "collapse"]
    view: Any = DefaultJinjaSectionView()
    sections = "".join(
        view.render({"section": section.to_json_dict(), "section_loop": {"index": index}})
        for index, section in enumerate(document.sections, start=1)
    )
    for number, uuid in enumerate(dict.fromkeys(_UUID.findall(sections))):
        sections = sections.replace(uuid, f"id{number}")
    title = f"{result.suite_name}: {'met' if result.success else 'NOT met'}"
    return page(title, [_LINK.sub("", _UNUSED.sub("", sections)), _notes(suite)], STYLE)


def _escaped(value: Any) -> Any:
    """Great Expectations puts offending values into its tables as they are: a tune's "<" would be markup."""
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()  # it fails to write numpy's numbers, a column's mean for one
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _notes(suite: dict[str, Any]) -> str:
    """The reason for each expectation, which the suite gives and Great Expectations' page leaves out."""
    items = "".join(
        f"<li><b>{html.escape(item['kwargs'].get('column', 'the table'))}</b>: {html.escape(item['notes'])}</li>"
        for item in suite["expectations"]
        if item.get("notes")
    )
    return f'<div class="ge-section"><h4>Why</h4><ul>{items}</ul></div>'
