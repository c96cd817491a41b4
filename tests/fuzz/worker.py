"""Feeds inputs to a target in a process of its own:

    python -m tests.fuzz.worker <target> <folder> <seed> <first> <end>

With a file in place of the three numbers, the file is the only input.

A line on standard output says what became of each input. What takes too much time of the processor kills the process
(SIGPROF), wherever it hangs; so does what takes far too much memory.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fuzz.faulty import Faulty
from tests.fuzz.requests import Requests
from tests.fuzz.targets import POD_BYTES, Bundles, MidiFiles, Params, Pictures, Target, Tunes, peak_bytes

TARGETS: dict[str, type[Target]] = {
    **{"pictures": Pictures, "tunes": Tunes, "midi": MidiFiles, "params": Params, "bundles": Bundles},
    **{"music requests": Requests, "digits requests": Requests},
    "faulty": Faulty,
}
HARD_BYTES = 8 * 2**30
"""Address space, so that no input takes the machine down."""


def judge(target: Target, content: bytes) -> dict[str, str]:
    """What became of an input: {"outcome": "answered"}, "refused", or "failed" with what was wrong in `fault`."""
    Path("/proc/self/clear_refs").write_text("5")  # the next peak is counted from here
    signal.setitimer(signal.ITIMER_PROF, target.seconds)
    try:
        answered = target.check(content)
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        return {"outcome": "failed", "fault": traceback.format_exc()}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if (peak := peak_bytes("self")) > POD_BYTES:
        return {"outcome": "failed", "fault": f"it took {peak:,} bytes of memory"}
    return {"outcome": "answered" if answered else "refused"}


def inputs(target: Target, which: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Each input and its number. which: a file; or a seed, the first input and the one after the last."""
    if len(which) == 1:
        yield 0, Path(which[0]).read_bytes()
        return
    seed, first, end = map(int, which)
    for index in range(first, end):
        yield index, target.input(seed, index)


def main() -> None:
    target = TARGETS[sys.argv[1]](Path(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_AS, (HARD_BYTES, HARD_BYTES))
    report = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no report
    for index, content in inputs(target, sys.argv[3:]):
        found = judge(target, content)
        report.write(json.dumps({"index": index, **found}) + "\n")
        if "of memory" in found.get("fault", ""):
            return  # some of it may be kept: the next input gets a process of its own


if __name__ == "__main__":
    main()
