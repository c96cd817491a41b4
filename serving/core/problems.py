"""Answers other than 200: RFC 9457 problems that say what was wrong and, for a field, which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from components.errors import shown

NO_SNIFF = (b"x-content-type-options", b"nosniff")
"""A header of every answer: a browser takes it for what its media type says, and for nothing else."""
INTERNAL = "internal error: the server's log has it under this request id"
"""All that a client is told of a defect."""
NAMED = 5
"""Wrong fields that a refusal names, at most: an untrusted body may hold thousands."""


class RefusalError(Exception):
    """A request that is refused. errors: wrong fields, each with what is wrong with it."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[tuple[str, str]] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def response(self, request_id: str) -> Response:
        problem = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": field, "reason": reason} for field, reason in self.errors],
            "request_id": request_id,
        }
        return Response(json.dumps(problem), self.status, self.headers, media_type="application/problem+json")


class FullError(Exception):
    """As much work is waiting as may wait."""


class DrainingError(Exception):
    """The server finishes what it has and takes nothing new."""


class BrokenError(Exception):
    """What does the work has failed: this process will do no more."""


REFUSED = (RefusalError, HTTPException, FullError, DrainingError, BrokenError, TimeoutError)
"""What `as_refusal` knows."""


def as_refusal(error: Exception, retry_after: int) -> RefusalError:
    """What a client is told of an error. Raises the error again where it is none of REFUSED."""
    match error:
        case RefusalError():
            return error
        case HTTPException():
            return RefusalError(error.status_code, error.detail, headers=dict(error.headers or {}))
        case FullError():
            return busy(429, "every place is taken: come back later", retry_after)
        case DrainingError():
            return busy(503, "the server is shutting down", retry_after)
        case BrokenError():
            return busy(503, "the server can do no more work and waits to be restarted", retry_after)
        case TimeoutError():
            return busy(503, "it took too long: the server is busy", retry_after)
    raise error


def busy(status: int, detail: str, retry_after: int) -> RefusalError:
    """retry_after: seconds that the client is told to wait."""
    return RefusalError(status, detail, headers={"retry-after": str(retry_after)})


def invalid(error: ValidationError) -> RefusalError:
    """400 where the body is not JSON, else 422 that names the first wrong fields."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:NAMED]
    if found[0]["type"] == "json_invalid":
        return RefusalError(400, f"the body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}")
    return wrong_fields([(".".join(map(str, one["loc"])) or "body", one["msg"]) for one in found])


def wrong_fields(errors: Sequence[tuple[str, str]]) -> RefusalError:
    """422. errors: each field and what is wrong with it; the first NAMED of them are said."""
    errors = errors[:NAMED]
    return RefusalError(422, "; ".join(f"{shown(field)}: {reason}" for field, reason in errors), errors)
