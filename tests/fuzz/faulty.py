"""A target with every fault that a campaign must find."""

from __future__ import annotations

import os
import signal
from functools import cached_property

from components.errors import UserError
from serving.core.problems import RefusalError
from tests.fuzz.targets import POD_BYTES, Target

FAULTS = ("nothing", "refused", "raises", "500", "two lines", "dies", "loops", "memory", "nothing")


class Faulty(Target):
    seconds = 3  # of the processor: ten times what the fault of memory takes, which a busy machine lengthens

    @cached_property
    def seeds(self) -> list[bytes]:
        return [b""]

    def input(self, seed: int, index: int) -> bytes:
        return FAULTS[index].encode()

    def use(self, content: bytes) -> None:
        match content.decode():
            case "refused":
                raise UserError("no")
            case "raises":
                raise KeyError("a defect")
            case "500":
                raise RefusalError(500, "no")
            case "two lines":
                raise UserError("no\nand no")
            case "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "loops":
                while True:
                    pass
            case "memory":
                os.urandom(1) * POD_BYTES  # drawn, so that the compiler does not make it
            case "waits":
                signal.pause()
