"""Capabilities of this machine's processor."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
DOT_PRODUCTS = {"avx512_vnni", "avx_vnni"}
"""x86 instructions that sum products of bytes in 32 bits; without them two at a time are summed in 16."""


@cache
def sums_bytes_exactly() -> bool:
    """Whether onnxruntime's kernels for uint8 x int8 are exact here; no on an unknown processor: slower, not wrong."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        return bool(DOT_PRODUCTS & set(CPUINFO.read_text().split()))
    except OSError:
        return False
