"""Pictures as they are sent: one as the whole body, or files of a form. They are held in memory, never on disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.core.parsing import media_type, whole_body
from serving.core.problems import RefusalError

FORM = "multipart/form-data"
PIECE_BYTES = 65536
HINT = "send the file itself (curl: -F file=@photo.jpg, or --data-binary @photo.jpg)"


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # the body is in memory and bounded already: Starlette's own would write it to a file


async def one_picture(request: Request) -> bytes:
    """The body, or the only file of a form. Raises RefusalError (400, 422)."""
    if media_type(request) != FORM:
        return await whole_body(request)
    ((_, content),) = await _files(request, 1)
    return content


async def several_pictures(request: Request, most: int) -> list[bytes]:
    """The files of a form, in order. Raises RefusalError (400, 415, 422)."""
    if media_type(request) != FORM:
        raise RefusalError(415, f"several pictures are sent as {FORM}: curl -F file=@a.jpg -F file=@b.jpg")
    return [content for _, content in await _files(request, most)]


async def named_pictures(request: Request, most: int) -> list[tuple[str, bytes]]:
    """The files of a form, each with its field's name, in order. Raises RefusalError (400, 415, 422)."""
    if media_type(request) != FORM:
        raise RefusalError(415, f"named pictures are sent as {FORM}: curl -F cat=@a.jpg -F cat=@b.jpg -F dog=@c.jpg")
    return await _files(request, most)


async def _pieces(body: bytes) -> AsyncGenerator[bytes]:
    """The parser keeps copies of all that it is given at once."""
    view = memoryview(body)
    for at in range(0, len(body), PIECE_BYTES):
        yield bytes(view[at : at + PIECE_BYTES])


async def _files(request: Request, most: int) -> list[tuple[str, bytes]]:
    try:
        stream = _pieces(await whole_body(request))
        form = await _InMemory(request.headers, stream, max_files=most, max_fields=most).parse()
    except MultiPartException as error:
        if "Too many" in error.message:
            raise RefusalError(422, f"at most {most} picture{'s' if most > 1 else ''} here") from None
        raise RefusalError(400, f"the form can't be read: {error.message}") from None
    files = []
    for name, part in form.multi_items():
        if not isinstance(part, UploadFile):  # BentoML's own file fields would fetch an address sent here
            raise RefusalError(422, f"a field of the form is text, and no address is fetched: {HINT}", [(name, HINT)])
        files.append((name, await part.read()))
        await part.close()
    if not files:
        raise RefusalError(400, f"there is no picture in the form: {HINT}")
    return files
