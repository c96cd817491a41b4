"""What an image installs, as pinned and hashed lines of the lock: `pip install --no-deps --require-hashes` takes them.

    python infra/docker/requirements.py --flavour cpu serve > requirements.txt

Needs nothing but Python 3.11, since it runs in the bare base image. The lock says of each package which others need it
(`# via`); an image gets what its extras name and all that these need. The lock names onnxruntime-gpu where there can be
a GPU; an image for CPUs has plain onnxruntime, which is 300 MB smaller. The two must never be installed together.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK, CUDA = "requirements.lock", "requirements-cuda.lock"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==\S+.*(?:\n[ ].*)*", re.MULTILINE)
"""A package's lines: its version, its hashes, and who needs it."""
BUILD = re.compile(r"--hash=(?P<hash>sha256:[0-9a-f]{64}) +# (?P<file>\S+\.whl)")
"""A file that the package index does not have: the lock has its name after its hash."""
VIA = re.compile(r"^ +# (?:via|  ) *(?P<name>[A-Za-z0-9._-]+)", re.MULTILINE)
ONNXRUNTIME = {"cpu": "onnxruntime", "gpu": "onnxruntime-gpu"}


@dataclass(frozen=True)
class Pin:
    """lines: as the lock has them. needed_by: names of packages."""

    lines: str
    needed_by: frozenset[str]


def requirements(extras: Iterable[str], flavour: str, beside: Iterable[str] = (), root: Path = ROOT) -> dict[str, str]:
    """Lines of each package that the extras need, and of the project's own ones unless flavour is "none".

    beside: extras that are installed already, whose packages are left out.
    Raises SystemExit naming an extra that there is not, or a package that the lock does not pin.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    known = project["optional-dependencies"]
    for extra in (*extras, *beside):
        if extra not in known:
            raise SystemExit(f"error: pyproject.toml has no extra '{extra}': it has {', '.join(known)}")
    wanted = [_name(line) for extra in extras for line in known[extra]]
    if flavour != "none":
        wanted += [_name(line) for line in project["dependencies"]]
    found = packages(wanted, root)
    chosen = ONNXRUNTIME.get(flavour)
    lines = {name: text for name, text in found.items() if name == chosen or name not in ONNXRUNTIME.values()}
    if chosen:  # the lock's marker says where the other flavour is not
        lines[chosen] = re.sub(r" ; [^\n\\]*", " ", lines[chosen], count=1)
    there = requirements(beside, "cpu", root=root) if beside else {}
    return {name: text for name, text in lines.items() if name not in there}


def packages(names: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Lines of these packages and of all that they need. Raises SystemExit naming one that the lock does not pin."""
    lock = pins(root / LOCK)
    chosen = set(names)
    if missing := sorted(chosen - set(lock)):
        raise SystemExit(f"error: {LOCK} does not pin {', '.join(missing)}: `make lock`")
    while more := {name for name, pin in lock.items() if pin.needed_by & chosen} - chosen:
        chosen |= more
    return {name: lock[name].lines for name in lock if name in chosen}


def pins(lock: Path) -> dict[str, Pin]:
    """By name, what a lock pins, in its order."""
    return {
        _name(found[0]): Pin(found[0], frozenset(_name(via) for via in VIA.findall(found[0])))
        for found in PIN.finditer(lock.read_text())
    }


def with_builds(lines: str, folder: Path | None) -> str:
    """The lines; or the one build alone that they name and this Python can take from the folder.

    pip would prefer the package index's file, whose hash it knows before it has read the file.
    """
    here = f"-cp{sys.version_info.major}{sys.version_info.minor}-"
    for found in BUILD.finditer(lines):
        file = found["file"]
        if folder and (folder / file).is_file() and here in file and platform.machine() in file:
            name, version, *_ = file.split("-")
            return f"{name}=={version} --hash={found['hash']}"
    return lines


def cuda(root: Path = ROOT) -> str:
    """The lock of CUDA's libraries where this Python's torch asks for them, as the package index's for Linux does."""
    try:
        asked = requires("torch") or []
    except PackageNotFoundError:
        asked = []
    return (root / CUDA).read_text() if any(_name(line).startswith(("cuda-", "nvidia-")) for line in asked) else ""


def _name(line: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower())


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what an image installs, with hashes.")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml")
    parser.add_argument(
        "--flavour", choices=[*ONNXRUNTIME, "none"], default="cpu", help="of onnxruntime; none: the extras alone"
    )
    parser.add_argument("--beside", default="", help="extras, in one word, whose packages are installed already")
    parser.add_argument("--all", action="store_true", help="print the whole lock")
    parser.add_argument("--builds", type=Path, help="a folder whose files go before the package index's")
    parser.add_argument("--package", help="print this package and what it needs instead")
    parser.add_argument("--cuda", action="store_true", help="print what the installed torch needs of CUDA instead")
    arguments = parser.parse_args()
    if arguments.cuda:
        sys.stdout.write(cuda())
        return
    if arguments.all:
        lines = {name: pin.lines for name, pin in pins(ROOT / LOCK).items()}
    elif arguments.package:
        lines = packages([arguments.package])
    else:
        lines = requirements(arguments.extras, arguments.flavour, arguments.beside.split())
    print("\n".join(with_builds(text, arguments.builds) for text in lines.values()))  # noqa: T201 - its output is a file


if __name__ == "__main__":
    main()
