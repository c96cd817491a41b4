"""What a request says, checked against a type: its JSON body, or its query."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from serving.core.problems import RefusalError, invalid, wrong_fields

ModelT = TypeVar("ModelT", bound=BaseModel)

JSON = "application/json"


def media_type(request: Request) -> str:
    """Media type of the body, in small letters and without parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def whole_body(request: Request) -> bytes:
    """The body. RequestGuard hands it over in one piece, of which Starlette's own `body` makes a copy."""
    pieces = [piece async for piece in request.stream() if piece]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def json_body(request: Request, model: type[ModelT]) -> ModelT:
    """The body. Raises RefusalError: 415 not announced as JSON, 400 not JSON, 422 naming the first wrong fields."""
    if media_type(request) != JSON:
        raise RefusalError(415, f"the body must be JSON, with content-type: {JSON}")
    try:
        return model.model_validate_json(await whole_body(request))
    except ValidationError as error:
        raise invalid(error) from None


def query(request: Request, model: type[ModelT]) -> ModelT:
    """The query. Raises RefusalError (422) that names the wrong fields, and those given more than once."""
    given = request.query_params.multi_items()
    times = Counter(name for name, _ in given)
    if again := [(name, "given more than once") for name, number in times.items() if number > 1]:
        raise wrong_fields(again)
    try:
        return model.model_validate_strings(dict(given))
    except ValidationError as error:
        raise invalid(error) from None
