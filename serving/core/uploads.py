"""Pictures as they are sent: one as the whole body, or files of a form. They are held in memory, never on disk."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.core.parsing import media_type
from serving.core.problems import RefusalError

FORM = "multipart/form-data"
HINT = "send the file itself (curl: -F file=@photo.jpg, or --data-binary @photo.jpg)"


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # the body is in memory and bounded already: Starlette's own would write it to a file


async def one_picture(request: Request) -> bytes:
    """The body, or the only file of a form. Raises RefusalError (400, 422)."""
    if media_type(request) != FORM:
        return await request.body()
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


async def _files(request: Request, most: int) -> list[tuple[str, bytes]]:
    try:
        form = await _InMemory(request.headers, request.stream(), max_files=most, max_fields=most).parse()
    except MultiPartException as error:
        if "Too many" in error.message:
            raise RefusalError(422, f"at most {most} picture{'s' if most > 1 else ''} here") from None
        raise RefusalError(400, f"the form can't be read: {error.message}") from None
    files = []
    for name, part in form.multi_items():
        if not isinstance(part, UploadFile):  # BentoML's own file fields would fetch an address sent here
            raise RefusalError(422, f"a field of the form is text, and no address is fetched: {HINT}", [(name, HINT)])
        files.append((name, await part.read()))
    if not files:
        raise RefusalError(400, f"there is no picture in the form: {HINT}")
    return files
