"""Commands side by side, each line of their output after its command's name.

`make repro` runs labs that share no stage as several `dvc repro`. DVC holds the lock of the repository all the time but
while a stage's command runs, and reads dvc.lock afresh before it writes it; so two of them are sound where both wait
for the lock, no stage is of both, and `versions`, whose output all stages read, is of neither.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress

import psutil

log = logging.getLogger(__name__)

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ASKED_AGAIN_SECONDS = 20.0
"""What has not ended so long after it was asked to stop is asked again: where a shell was just starting a command, that
command never heard of it, and the shell waits for it."""


def fitting(wanted: int, memory: float) -> int:
    """How many of so many commands this machine runs at once, each on a core and with `memory` GiB; at least one."""
    free = int(psutil.virtual_memory().available / 2**30 / memory)
    return max(1, min(wanted, cores(), free))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class SideBySide:
    """Commands by their names, of which `at_once` run at the same time, in the order given."""

    def __init__(self, commands: Mapping[str, Sequence[str]], at_once: int) -> None:
        self._commands = commands
        self._at_once = at_once
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._stopped = False
        self._asked = 0.0
        self._lock = threading.RLock()  # the handler of a signal may interrupt another one
        self._width = max(map(len, commands))

    def run(self) -> dict[str, int]:
        """The exit code of each. One that fails does not stop the others.

        Raises KeyboardInterrupt once all have ended, where this process was asked to stop; each is then asked, too.
        """
        before = {number: signal.signal(number, lambda *_: self._stop()) for number in STOPPING}
        try:
            with ThreadPoolExecutor(self._at_once) as pool:
                codes = {name: pool.submit(self._one, name) for name in self._commands}
                while wait(codes.values(), timeout=1).not_done:
                    if self._stopped and time.monotonic() - self._asked > ASKED_AGAIN_SECONDS:
                        self._stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._stopped:
            raise KeyboardInterrupt
        return {name: code.result() for name, code in codes.items()}

    def _one(self, name: str) -> int:
        with self._lock:
            if self._stopped:
                return 1
            # In a group of its own: a stage's command is asked to stop with the `dvc` that waits for it.
            process = self._running[name] = subprocess.Popen(
                self._commands[name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
        with process:  # where nobody reads our output any more, nobody reads the command's
            for line in process.stdout or ():
                sys.stdout.write(f"{name:{self._width}} | {line.rstrip()}\n")
                sys.stdout.flush()
        with self._lock:
            del self._running[name]
        code = process.returncode
        if code and not self._stopped:
            log.error("%s failed with exit code %d; what runs beside it goes on", name, code)
        return code

    def _stop(self) -> None:
        with self._lock:
            self._stopped, self._asked = True, time.monotonic()
            for process in self._running.values():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
