"""Logs as JSON, a line an event. What a user sent is never in them: no body, no query, no tune."""

import json
import logging
import sys
import warnings
from datetime import UTC, datetime

from components.redaction import redacted


class JsonFormatter(logging.Formatter):
    """time, level, logger and message, then whatever `extra={"fields": {...}}` adds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, ensure_ascii=False))


def configure(level: str) -> None:
    """Sends every log of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # it warns of each damaged tag, and a file may have thousands
    # RequestGuard logs each request; the server's own line would repeat it, with the query in it.
    for name in ("uvicorn.access", "bentoml"):
        logging.getLogger(name).setLevel(logging.WARNING)
