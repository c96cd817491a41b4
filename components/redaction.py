"""Logins in addresses, such as http://user:password@host, taken out of everything that is logged, stored or shown.

`UserError`, every log and every uncaught error pass here, and so does what is journalled for MLflow.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from types import TracebackType

END = r"\s\"'<>"
USER_INFO = re.compile(
    rf"""(?ix)
    (\b[a-z][a-z0-9+.-]*:)                      # a scheme
    (?: (//) [^{END}/?\#]* @                    # RFC 3986: all before the last @ of the authority
      | (//) [^{END}/?\#@:]+ : (?!\d+/) [^{END}@]* @  # a password with a slash in it, which people write all the same
      | (/)  [^{END}/?\#@:]+ : [^{END}@]* @     # a path that was an address once
    )"""
)


def redacted(text: str) -> str:
    """The text without what stands between `://` and `@`."""
    return USER_INFO.sub(lambda match: match[1] + (match[2] or match[3] or match[4]), text)


class RedactingFormatter(logging.Formatter):
    """Formats as its base does, errors' tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def configure_logging(form: str = "%(levelname)s %(message)s") -> None:
    """Warnings of all to standard error, and errors that nobody expected, too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(form))
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    sys.excepthook = show


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Writes a traceback to standard error, as Python itself does."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))
