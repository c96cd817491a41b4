"""Memory and time that photographs of phones take: `python -m benchmarks.picture_memory`.

Each picture (gradients and noise) is read as the faces API reads it, in a process of its own. Memory is how much the
process's largest resident size grows after the file has been read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from components.config import PictureLimits
from components.labs import find
from components.params import load
from serving.core.pictures import decode, open_picture
from serving.core.problems import RefusalError

RESULTS = Path(__file__).parent / "results" / "picture_memory.json"
SIZES = {24: (5712, 4284), 48: (8064, 6048), 108: (12000, 9000), 200: (16320, 12240)}
"""Sizes of the photographs, by megapixels."""
LEAST = 224
"""Pixels a side that a model wants to see."""
Write = Callable[[Image.Image, Path], None]
FILES: dict[str, tuple[int, Write]] = {
    "48 MP JPEG": (48, lambda image, path: image.save(path, "JPEG", quality=90)),
    "48 MP JPEG, progressive": (48, lambda image, path: image.save(path, "JPEG", quality=90, progressive=True)),
    "108 MP JPEG": (108, lambda image, path: image.save(path, "JPEG", quality=88)),
    "200 MP JPEG": (200, lambda image, path: image.save(path, "JPEG", quality=75)),
    "48 MP HEIC": (48, lambda image, path: _save_heic(image, path)),
    "24 MP HEIC": (24, lambda image, path: _save_heic(image, path)),
    "24 MP AVIF": (24, lambda image, path: image.save(path, "AVIF", quality=60, speed=10)),
    "24 MP PNG": (24, lambda image, path: image.save(path, "PNG", compress_level=1)),
    "24 MP PNG, transparent": (24, lambda image, path: image.convert("RGBA").save(path, "PNG", compress_level=1)),
    "24 MP TIFF": (24, lambda image, path: image.save(path, "TIFF", compression="tiff_lzw")),
    "48 MP PNG": (48, lambda image, path: image.save(path, "PNG", compress_level=1)),
}


def photograph(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (height // 64 + 2, width // 64 + 2, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.fromarray(draw.integers(0, 256, (512, 512, 3), dtype=np.uint8))
    for left in range(0, width, 512):
        for top in range(0, height, 512):
            box = (left, top, min(left + 512, width), min(top + 512, height))
            part = image.crop(box)
            image.paste(Image.blend(part, grain.crop((0, 0, *part.size)), 0.05), box)
    return image


def _save_heic(image: Image.Image, path: Path) -> None:
    """In tiles of 512 x 512, as iPhones write it."""
    pillow_heif.from_pillow(image).save(path, quality=30, tile_size=512, enc_params={"preset": "ultrafast"})


def read(path: Path) -> None:
    """Prints what it took, as JSON."""
    limits = load(find("faces"), Path("params.yaml")).serve
    assert isinstance(limits, PictureLimits)
    content = path.read_bytes()
    before, started = _peak_bytes(), time.process_time()
    try:
        picture = open_picture(content, limits)
        answer = "{} x {}".format(*decode(picture, (LEAST, LEAST)).size)
    except RefusalError as refusal:
        answer = str(refusal.status)
    seconds = time.process_time() - started
    print(json.dumps({"bytes": len(content), "answer": answer, "peak": _peak_bytes() - before, "seconds": seconds}))


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph"
        for name, (megapixels, write) in FILES.items():
            write(photograph(*SIZES[megapixels]), path)
            command = [sys.executable, "-m", "benchmarks.picture_memory", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[name] = found = json.loads(done.stdout)
            size, peak = (found[key] / 1e6 for key in ("bytes", "peak"))
            print(
                f"| {name} | {size:.1f} MB | {found['answer']} | {peak:.0f} MB | {found['seconds']:.2f} s |", flush=True
            )
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    read(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
