"""One file over HTTP, in seconds or not at all: a partial file is continued, and is trusted by nobody."""

import functools
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.sources.errors import UnavailableError

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
ATTEMPTS = 3


def download(url: str, part: Path, size: int | None = None) -> None:
    """Downloads `url` to `part`; what an earlier call left there is continued where the server can do that.

    The caller checks the content: the server may have sent anything, though never more than `size` bytes.
    Raises UnavailableError when the server can't be reached, has no such file, or breaks off ATTEMPTS times.
    """
    import requests  # imported late: 0.2 s

    reachable(url)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _continue(url, part, size)
        except requests.HTTPError as error:
            if error.response.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()  # whole already, or not of this file: start over, the hash will tell
            elif error.response.status_code < 500 or attempt == ATTEMPTS:
                raise UnavailableError(f"{url} answered {error.response.status_code}") from None
        except requests.RequestException as error:
            if attempt == ATTEMPTS:
                raise UnavailableError(f"{url} broke off {ATTEMPTS} times: {_reason(error)}") from None
    raise UnavailableError(f"{url} refused to send the file whole")


@functools.cache
def _probe(server: str) -> str | None:
    """None when the server answers anything at all, else why it does not. Asked once a process, so that many files
    at an unreachable address cost one wait."""
    import requests

    try:
        requests.head(server, timeout=CONNECT_SECONDS)
    except requests.RequestException as error:
        return _reason(error)
    return None


def reachable(url: str) -> None:
    """Raises UnavailableError when the server of `url` does not answer within CONNECT_SECONDS."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise UnavailableError(f"{url} is not an http address")
    if problem := _probe(f"{parts.scheme}://{parts.netloc}"):
        raise UnavailableError(f"{parts.scheme}://{parts.netloc} cannot be reached ({problem})")


def _continue(url: str, part: Path, size: int | None) -> None:
    import pooch

    with part.open("ab") as file:
        start = file.tell()

        def start_over_unless_continued(response: Any, **_: Any) -> None:
            if response.status_code == 200:
                file.truncate(0)

        downloader = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(),
            chunk_size=1 << 16,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            # Bytes as they are stored: a server that compresses on the way would break offsets.
            headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {}),
            hooks={"response": start_over_unless_continued},
        )
        downloader(url, _Bounded(url, file, size), None)


class _Bounded:
    """The file being written; a server that sends more than was declared is cut off."""

    def __init__(self, url: str, file: Any, size: int | None) -> None:
        self._url, self._file, self._size = url, file, size

    def write(self, content: bytes) -> None:
        self._file.write(content)
        if self._size is not None and self._file.tell() > self._size:
            raise UnavailableError(f"{self._url} sends more than the declared {self._size} bytes")

    def flush(self) -> None:
        self._file.flush()


def _reason(error: Exception) -> str:
    """The innermost cause, without the library's wrapping and addresses in memory."""
    text = str(error.args[0] if error.args else error)
    for known in ("Name or service not known", "Temporary failure in name resolution", "Connection refused"):
        if known in text:
            return known.lower()
    if "timed out" in text or "Timeout" in type(error).__name__:
        return "timed out"
    return type(error).__name__
