"""Who may ask, and how often: API keys, and for each client a token bucket.

Both are off unless SERVE_API_KEYS names a file of a line a key: `<client>=<SHA-256 of the key, in hexadecimal>`. It is
read again when it changes, so that keys are added and withdrawn without a restart. Keys are drawn by this module, with
256 bits: nobody guesses one, and a slow hash would protect no better.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from components.errors import UserError
from components.settings import settings
from serving.core.problems import RefusalError, busy

if TYPE_CHECKING:
    from components.config import Limits

log = logging.getLogger(__name__)

LINE = re.compile(r"([A-Za-z0-9._-]{1,64})=([0-9a-f]{64})")
CHALLENGE = 'Bearer, Basic realm="API key"'
"""A browser asks its user for the key, and sends it as a password."""


class Access:
    """The keys of a file, and the buckets of their clients."""

    def __init__(self, path: Path, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """rate: requests a second that a client may go on with; burst: requests at once. Raises UserError."""
        self._path = path
        self._version = _version(path)
        self._clients = read_keys(path)
        self._rate, self._burst = rate, burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """The tokens that each client had, and when."""

    @classmethod
    def of(cls, limits: Limits) -> Self | None:
        """As the environment says; None: everybody may ask. Raises UserError."""
        path = settings().serve_api_keys
        return cls(Path(path), limits.client_rate, limits.client_burst) if path else None

    def client(self, headers: Mapping[bytes, bytes]) -> str:
        """The name of the client whose key is sent. Raises RefusalError (401)."""
        self._read_again()
        key = _key(headers)
        found = self._clients.get(hashlib.sha256(key).hexdigest()) if key else None
        if not found:
            raise RefusalError(401, "an API key is needed, as a bearer token", headers={"www-authenticate": CHALLENGE})
        return found

    def take(self, client: str) -> None:
        """Takes a token of the client's. Raises RefusalError (429)."""
        now = self._clock()
        tokens, since = self._buckets.get(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + self._rate * (now - since))
        if tokens < 1:
            seconds = math.ceil((1 - tokens) / self._rate)
            raise busy(429, f"more than {self._rate:g} requests a second: come back later", seconds)
        self._buckets[client] = tokens - 1, now

    def _read_again(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._clients = read_keys(self._path)
            log.info("API keys were read again", extra={"fields": {"clients": len(set(self._clients.values()))}})
        except UserError as error:
            log.error("the API keys before go on counting: %s", error)


def read_keys(path: Path) -> dict[str, str]:
    """The client of each key's hash. Raises UserError that names the line, and never what is on it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"the API keys in {path} cannot be read: is SERVE_API_KEYS right?") from None
    clients = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if not found:
            raise UserError(f"{path}, line {number}: write <client>=<SHA-256 of its key>")
        clients[found[2]] = found[1]
    return clients


def draw(client: Annotated[str, typer.Argument(help="Name of whoever gets the key.")]) -> None:
    """Draws a key: the first line is the client's, the second belongs into the file of SERVE_API_KEYS."""
    key = secrets.token_urlsafe(32)
    line = f"{client}={hashlib.sha256(key.encode()).hexdigest()}"
    if not LINE.fullmatch(line):
        typer.echo(f"error: {client!r} is no name: write letters, digits, '.', '_' and '-'", err=True)
        raise typer.Exit(2)
    typer.echo(f"{key}\n{line}")


def _key(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(given, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _version(path: Path) -> tuple[int, ...]:
    """Changes with the file, also where it is a link of Kubernetes' that is moved to another."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


if __name__ == "__main__":
    typer.run(draw)
