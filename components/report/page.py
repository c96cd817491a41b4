"""The HTML page of every report: one stylesheet, and helpers for its content. A page loads nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --text: #1f2933; --muted: #52606d; --line: #d9e2ec; --panel: #f0f4f8;
  --pass: #1a7f4b; --wait: #b7791f; --fail: #c53030; --mark: #2b6cb0 }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7eb; --muted: #9aa5b1; --line: #3e4c59; --panel: #1f2933;
  --pass: #68d391; --wait: #f6ad55; --fail: #fc8181; --mark: #63b3ed } body { background: #12181d } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: var(--text) }
h2 { margin-top: 2.5rem } .note, .note code { color: var(--muted); font-size: .92rem }
table { border-collapse: collapse; margin: 1rem 0; max-width: 100% } .wide { overflow-x: auto }
td, th { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td { font-variant-numeric: tabular-nums } .number { text-align: right } td.number { white-space: nowrap }
td code { overflow-wrap: anywhere } pre { background: var(--panel); padding: 1rem; overflow-x: auto }
mark { background: #f9c6cc; color: #1f2933 } summary { cursor: pointer; font-weight: 600; margin: 1rem 0 }
figure { margin: 1.5rem 0 } figcaption { font-weight: 600; margin-bottom: .3rem } .plot svg { background: #fff }
figure svg, figure img { max-width: 100%; height: auto; border-radius: .4rem }
.pixels img { image-rendering: pixelated }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 0 1.5rem }
.pairs figure svg, .pixels img { width: 100% }
.thumbnails { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .8rem; margin: 1rem 0 }
.thumbnails figure { margin: 0 } .thumbnails img { width: 100% }
.thumbnails figcaption { font-weight: 400; font-size: .8rem; line-height: 1.3; margin: 0 }
.verdict { border: 3px solid; border-radius: .6rem; padding: .2rem 1.2rem; margin: 1.5rem 0 }
.verdict strong { font-size: 2.4rem } .verdict p:not(:first-child) { color: var(--text) }
.PASS { color: var(--pass) } .INSUFFICIENT, .WAIVED { color: var(--wait) } .FAIL { color: var(--fail) }
"""
"""Classes named after verdicts give them their colours."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content Security Policy: a browser refuses anything that a page would load."""

NUMBER = re.compile(r"[+-]?\d(?:[\d.,:%/()+\s-]|to|of|points|few)*")
"""A table's cell that is set as a number: digits, intervals and counts, no sentence."""


def page(title: str, sections: Iterable[str], style: str = "") -> str:
    """The whole page. title: text. sections: HTML. style: rules beside STYLE."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{''.join(sections)}</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading (text) and its content (HTML)."""
    return f"<h2>{escape(title)}</h2>{''.join(parts)}"


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Cells are HTML already. Without a head the first cell of each row is the row's heading."""
    body = [tuple(row) for row in rows]
    lines = "".join(
        f"<tr>{_cell(first) if head else f'<th>{first}</th>'}{''.join(map(_cell, others))}</tr>"
        for first, *others in body
    )
    columns = zip(*body, strict=True) if body else ((),) * len(head)
    titles = "".join(f"<th{_number(*column)}>{title}</th>" for title, column in zip(head, columns, strict=False))
    header = f"<tr>{titles}</tr>" if head else ""
    return f'<div class="wide"><table>{header}{lines}</table></div>'


def _cell(cell: str) -> str:
    return f"<td{_number(cell)}>{cell}</td>"


def _number(*cells: str) -> str:
    return " class=number" if cells and all(map(NUMBER.fullmatch, cells)) else ""


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences (text)."""
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def note(html: str) -> str:
    return f'<p class="note">{html}</p>'


def figure(caption: str, content: str, kind: str = "plot") -> str:
    """caption: text. content: an SVG or an <img>. kind: "plot" for one with a white background, "pixels" for small
    pictures that are enlarged without smoothing."""
    return f'<figure class="{kind}"><figcaption>{escape(caption)}</figcaption>{content}</figure>'


def thumbnails(pictures: Iterable[tuple[str, str]]) -> str:
    """Small pictures side by side: (an address as of `data_address`, caption)."""
    items = (
        f"<figure>{image(address, caption)}<figcaption>{escape(caption)}</figcaption></figure>"
        for address, caption in pictures
    )
    return f'<div class="thumbnails">{"".join(items)}</div>'


def image(address: str, caption: str) -> str:
    return f'<img alt="{escape(caption)}" src="{address}">'


def data_address(content: bytes, kind: str) -> str:
    """A picture file as an address that holds it. kind: "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
