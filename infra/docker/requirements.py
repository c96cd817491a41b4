"""What an image installs: the locked versions of some extras, onnxruntime in the flavour asked for.

    python infra/docker/requirements.py --flavour cpu serve > requirements.txt

Needs nothing but Python 3.11, since it runs in the bare base image. The lock pins all extras together; an image takes
what its own extras need (`pip install --requirement`) in the lock's versions (`--constraint`). The lock names
onnxruntime-gpu where there can be a GPU; an image for CPUs has plain onnxruntime, which is 300 MB smaller. The two must
never be installed together.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"[A-Za-z0-9._-]+")
ONNXRUNTIME = {"cpu": "onnxruntime", "gpu": "onnxruntime-gpu"}


def requirements(extras: list[str], flavour: str, root: Path = ROOT) -> list[str]:
    """Requirement lines of the extras, with the project's own unless flavour is "none".

    Raises SystemExit naming an extra that there is not.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    known = project["optional-dependencies"]
    for extra in extras:
        if extra not in known:
            raise SystemExit(f"error: pyproject.toml has no extra '{extra}': it has {', '.join(known)}")
    lines = [line for extra in extras for line in known[extra]]
    if flavour == "none":
        return lines
    lines += project["dependencies"]
    version = _onnxruntime_version(root)
    return [line for line in lines if _name(line) not in ONNXRUNTIME.values()] + [f"{ONNXRUNTIME[flavour]}=={version}"]


def constraints(root: Path = ROOT) -> list[str]:
    """The lock's pins without onnxruntime, whose flavour the image chooses."""
    return [pin for pin in _pins(root) if _name(pin) not in ONNXRUNTIME.values()]


def _onnxruntime_version(root: Path) -> str:
    for pin in _pins(root):
        if _name(pin) in ONNXRUNTIME.values():
            return pin.split(";")[0].split("==")[1].strip()
    raise SystemExit("error: requirements.lock does not pin onnxruntime: `make lock`")


def _pins(root: Path) -> list[str]:
    return [line for line in (root / "requirements.lock").read_text().splitlines() if NAME.match(line)]


def _name(line: str) -> str:
    found = NAME.match(line)
    return found[0].lower() if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what an image installs.")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml")
    parser.add_argument(
        "--flavour", choices=[*ONNXRUNTIME, "none"], default="cpu", help="of onnxruntime; none: the extras alone"
    )
    parser.add_argument("--constraints", action="store_true", help="print the lock's pins instead")
    arguments = parser.parse_args()
    lines = constraints() if arguments.constraints else requirements(arguments.extras, arguments.flavour)
    print("\n".join(lines))  # noqa: T201 - its output is a file


if __name__ == "__main__":
    main()
