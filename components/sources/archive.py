"""The deterministic tar that many small files become, and readers that trust no archive: nothing is unpacked."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from components.errors import UserError

MAX_BYTES = 1 << 30
"""Bytes of all members together: ten times the largest declared archive."""
MAX_MEMBERS = 100_000


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Writes (name, content) pairs so that the same files always make the same bytes.

    USTAR, uncompressed, time 0, owner 0 without a name, mode 0644. Members must come sorted by name (ValueError).
    """
    previous = ""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            if name <= previous:
                raise ValueError(f"members must be sorted and unique: {name!r} comes after {previous!r}")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content))
            previous = name


def read_tar(path: Path, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each regular file, in the archive's order; folders are passed over.

    Plain or gzipped. Raises UserError, before a byte of the offending member is read, on a name that leaves the
    folder, a link, a device or another special file, a name that comes twice, more than `max_members` members or
    more than `max_bytes` bytes; and on a damaged archive.
    """
    names: set[str] = set()
    total = 0
    try:
        with _opened(path, max_bytes) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for count, member in enumerate(tar, start=1):
                total += member.size
                _refuse(path, member, names)
                if count > max_members:
                    raise UserError(f"{path} has more than {max_members} members: refused")
                if total > max_bytes:
                    raise UserError(f"{path} unpacks to more than {max_bytes} bytes: refused")
                names.add(member.name)
                content = tar.extractfile(member)
                if content is not None:
                    yield member.name, content.read()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `python -m components fetch`") from None
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise UserError(f"{path} is not a whole tar archive: {error}") from None


def read_gzip(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of one gzipped file. Raises UserError for a damaged one, and for more than `max_bytes` bytes."""
    try:
        with gzip.open(path) as file:
            content = file.read(max_bytes + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{path} is not a whole gzip file: fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run the step fetch") from None
    if len(content) > max_bytes:
        raise UserError(f"{path} unpacks to more than {max_bytes} bytes: refused")
    return content


class _Bounded:
    """A file that ends in an error instead of going on for ever: a few kB of gzip can hold a header of gigabytes."""

    def __init__(self, path: Path, file: IO[bytes], max_bytes: int) -> None:
        self._path, self._file, self._left = path, file, 2 * max_bytes + (1 << 20)  # room for headers and padding

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise UserError(f"{self._path} unpacks to more than the bound allows: refused")
        return content


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        plain = gzip.GzipFile(fileobj=file) if gzipped else file
        yield cast(IO[bytes], _Bounded(path, cast(IO[bytes], plain), max_bytes))


def _refuse(path: Path, member: tarfile.TarInfo, names: set[str]) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name or len(member.name) > 255:
        raise UserError(f"{path}: member {member.name!r} is no name inside the folder: refused")
    if not member.isdir() and (member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse()):
        raise UserError(f"{path}: member {member.name!r} is a link, a device or another special file: refused")
    if member.name in names:
        raise UserError(f"{path}: member {member.name!r} comes twice: refused")
