"""What Great Expectations found, as one HTML page that needs nothing else.

Its own Data Docs load Bootstrap, jQuery, Vega and icons from six content networks and copy 4 MB of tutorial pictures
and fonts. Here its sections are put on a page with a small stylesheet, without scripts: it opens offline, in 30 kB.
"""

from __future__ import annotations

import copy
import html
import re
from typing import Any

import numpy as np

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c22; --good: #2a7; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
h4, h5, h6, .h6 { font-size: 1rem; font-weight: 600; margin: 1.2rem 0 .3rem; }
.ge-section { border-top: 1px solid var(--line); padding: .5rem 0; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; }
th:first-child:not(:nth-last-child(2)) { width: 4rem; }
th:last-child { width: 14rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
.badge { border: 1px solid var(--line); border-radius: .3rem; padding: 0 .3rem; }
.fa-check-circle::before { content: "\\2713"; color: var(--good); font-weight: bold; }
.fa-times::before { content: "\\2717"; color: var(--bad); font-weight: bold; }
.fa-exclamation-triangle::before { content: "!"; color: var(--bad); font-weight: bold; }
.text-danger { color: var(--bad); }
ul { margin: 0; padding-left: 1.2rem; }
"""

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
    title = html.escape(result.suite_name)
    body = _LINK.sub("", _UNUSED.sub("", sections)) + _notes(suite)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'unsafe-inline'\"><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}: {'met' if result.success else 'NOT met'}</h1>\n{body}</body></html>\n"
    )


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
    """Why each expectation is there: the suite says it, Great Expectations' page does not."""
    items = "".join(
        f"<li><b>{html.escape(item['kwargs'].get('column', 'the table'))}</b>: {html.escape(item['notes'])}</li>"
        for item in suite["expectations"]
        if item.get("notes")
    )
    return f'<div class="ge-section"><h4>Why</h4><ul>{items}</ul></div>'
