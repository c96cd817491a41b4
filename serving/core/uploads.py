"""Files as they are sent: one as the whole body, or files of a form. They are held in memory, never on disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.core.parsing import media_type, whole_body
from serving.core.problems import RefusalError

FORM = "multipart/form-data"
PIECE_BYTES = 65536


@dataclass(frozen=True)
class FileKind:
    """What is asked for, and a file's name as an example, for refusals."""

    name: str
    example: str

    @property
    def hint(self) -> str:
        return f"send the file itself (curl: -F file=@{self.example}, or --data-binary @{self.example})"


PICTURE = FileKind("picture", "photo.jpg")


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # the body is in memory and bounded already: Starlette's own would write it to a file


async def one_file(request: Request, kind: FileKind) -> bytes:
    """The body, or the only file of a form. Raises RefusalError (400, 422)."""
    if media_type(request) != FORM:
        return await whole_body(request)
    ((_, content),) = await _files(request, 1, kind)
    return content


async def one_picture(request: Request) -> bytes:
    """As `one_file`."""
    return await one_file(request, PICTURE)


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


async def _files(request: Request, most: int, kind: FileKind = PICTURE) -> list[tuple[str, bytes]]:
    try:
        stream = _pieces(await whole_body(request))
        form = await _InMemory(request.headers, stream, max_files=most, max_fields=most).parse()
    except MultiPartException as error:
        if "Too many" in error.message:
            raise RefusalError(422, f"at most {most} {kind.name}{'s' if most > 1 else ''} here") from None
        raise RefusalError(400, f"the form can't be read: {error.message}") from None
    files = []
    for name, part in form.multi_items():
        if not isinstance(part, UploadFile):  # BentoML's own file fields would fetch an address sent here
            raise RefusalError(
                422, f"a field of the form is text, and no address is fetched: {kind.hint}", [(name, kind.hint)]
            )
        files.append((name, await part.read()))
        await part.close()
    if not files:
        raise RefusalError(400, f"there is no {kind.name} in the form: {kind.hint}")
    return files
