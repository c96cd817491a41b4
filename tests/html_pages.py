"""What a page would load, by a parser rather than by a pattern: scripts hold words that look like elements."""

import re
from html.parser import HTMLParser

ADDRESSES = ("src", "srcset", "href", "xlink:href", "data", "action", "poster")


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.in_style = tag == "style"
        self.found += [value or "" for name, value in attributes if name in ADDRESSES]
        self.found += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attributes))

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.found += re.findall(r"@import[^;]*|url\([^)]*\)", data)


def loads(html: str) -> list[str]:
    """Every address in the elements of a page but those within the page itself (#...)."""
    parser = _Loads()
    parser.feed(html)
    return [address for address in parser.found if not address.startswith("#")]
