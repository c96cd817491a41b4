"""The clients of the soak: those that want tunes, and those that read slowly or never, leave, or never finish."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

SEEDS = 100
"""Different tunes that are asked for, again and again: each must be the same every time."""
CHARACTERS = 300
PATIENCE = 300.0
"""Seconds in which a tune must have been answered, however often its client has to come back."""
SLOW_BYTES, SLOW_SECONDS = 65536, 0.25
"""What a slow client reads at a time, and how long it waits then."""
TUNE = "X:1\nT:Long\nM:4/4\nL:1/8\nQ:1/4=120\nK:C\n" + "CDEF GABc|" * 120
"""Four minutes."""
EXPECTED = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError, TimeoutError)
"""What a client sees of a server that is killed."""


@dataclass
class Crowd:
    """addresses: of the replica that nobody touches, and of the one that is killed."""

    addresses: list[str]
    clients: int
    outcomes: Counter[str] = field(default_factory=Counter)
    tunes: dict[int, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    """Seconds of each tune from the first time it was asked for."""
    probed: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """All of them until the time is over; what was asked for until then is still answered."""
        self._until = time.monotonic() + seconds
        self._seeds = count()
        # A new connection each time: one that idles may be closed by the server at the moment it is used again.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(PATIENCE)) as self._session:
            await asyncio.gather(
                *(self._want_tunes() for _ in range(self.clients)),
                *(self._read_slowly() for _ in range(2)),
                *(self._leave() for _ in range(4)),
                *(self._never_read() for _ in range(4)),
                *(self._never_finish() for _ in range(8)),
                self._probe(),
            )

    def counts(self) -> dict[str, Any]:
        waited, probed = sorted(self.waited), sorted(self.probed)
        return {
            **{name: self.outcomes[name] for name in NAMES},
            "wrong": len(self.wrong),
            "wrong_answers": self.wrong[:5],
            "tune_seconds": {f"p{part}": waited[len(waited) * part // 100] for part in (50, 99)} if waited else {},
            "slowest_probe_seconds": probed[-1] if probed else None,
        }

    @property
    def _over(self) -> bool:
        return time.monotonic() > self._until

    async def _want_tunes(self) -> None:
        while not self._over:
            seed = next(self._seeds) % SEEDS
            asked = time.monotonic()
            while not await self._tune(seed):
                if time.monotonic() - asked > PATIENCE:
                    self.outcomes["lost"] += 1
                    break
            else:
                self.outcomes["answered"] += 1
                self.waited.append(time.monotonic() - asked)

    async def _tune(self, seed: int) -> bool:
        """Whether it was answered; else its client is to come back."""
        address = random.choice(self.addresses)  # noqa: S311 - chooses a replica
        body = {"seed": seed, "max_length": CHARACTERS}
        try:
            async with self._session.post(f"{address}/generate", json=body) as answer:
                if answer.status in (429, 503):
                    self.outcomes[f"told to come back ({answer.status})"] += 1
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                    return False
                found = await answer.json()
                text = found["tunes"][0]["abc"] if answer.status == 200 else found["detail"]
                if answer.status not in (200, 422) or self.tunes.setdefault(seed, text) != text:
                    self.wrong.append(f"{answer.status} for seed {seed}: {text}")
                return True
        except EXPECTED:
            self.outcomes["connections broken by a kill"] += 1
            if address == self.addresses[0]:
                self.wrong.append("the untouched replica broke a connection")
            await asyncio.sleep(0.5)
            return False

    async def _read_slowly(self) -> None:
        while not self._over:
            async with self._session.post(f"{self.addresses[0]}/tunes/wav", json={"abc": TUNE}) as answer:
                if answer.status != 200:
                    await asyncio.sleep(1)
                    continue
                read = 0
                with contextlib.suppress(*EXPECTED):
                    async for piece in answer.content.iter_chunked(SLOW_BYTES):
                        read += len(piece)
                        await asyncio.sleep(SLOW_SECONDS)
                whole = read == int(answer.headers["content-length"])
                self.outcomes["read slowly and whole" if whole else "cut_short"] += 1

    async def _leave(self) -> None:
        """In the middle of a stream."""
        while not self._over:
            with contextlib.suppress(*EXPECTED):
                address = random.choice(self.addresses)  # noqa: S311 - chooses a replica
                async with self._session.post(f"{address}/stream", json={"valid_only": False}) as answer:
                    await answer.content.readline()
                    self.outcomes["left" if answer.status == 200 else "streams told to come back"] += 1
                    answer.close()
            await asyncio.sleep(1)

    async def _never_read(self) -> None:
        while not self._over:
            await self._hold(b"GET /tunes/wav?abc=" + TUNE[:1500].replace("\n", "%0A").replace(" ", "%20").encode())

    async def _never_finish(self) -> None:
        while not self._over:
            await self._hold(b"GET /info", end=b"")

    async def _hold(self, begin: bytes, end: bytes = b"\r\n\r\n") -> None:
        """A connection on which a request, or a part of one, is sent and nothing is read for half a minute."""
        with contextlib.suppress(OSError):
            host, port = self.addresses[0].removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.write(begin + b" HTTP/1.1\r\nHost: x" + end)
            self.outcomes["never read" if end else "never finished"] += 1
            await asyncio.sleep(min(30.0, max(0.0, self._until - time.monotonic())))
            writer.close()

    async def _probe(self) -> None:
        """As kubelet does, each on a connection of its own."""
        while not self._over:
            for path in ("/livez", "/readyz"):
                asked = time.monotonic()
                async with aiohttp.ClientSession() as session:
                    try:
                        async with session.get(self.addresses[0] + path) as answer:
                            self.outcomes["failed_probes"] += answer.status != 200
                    except EXPECTED:
                        self.outcomes["failed_probes"] += 1
                self.probed.append(time.monotonic() - asked)
            await asyncio.sleep(1)


NAMES = (
    *("answered", "lost", "told to come back (429)", "told to come back (503)", "connections broken by a kill"),
    *("read slowly and whole", "cut_short", "left", "streams told to come back", "never read", "never finished"),
    "failed_probes",
)
