"""Makes the lock again: `make lock`.

requirements.lock pins everything that any platform installs, with the hashes of all files of each version.
requirements-cuda.lock pins what torch needs of CUDA: on Linux only, and only for the package index's build of torch.
Where PIP_FIND_LINKS is a folder with a CPU build of torch, that file's hash is accepted beside the index's.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from components.errors import UserError
from components.settings import project_root
from infra.docker.requirements import BUILD, CUDA, LOCK, pins

COMMAND = (
    *("uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal", "--python-version", "3.11", "--quiet"),
    *("--generate-hashes", "--no-emit-index-url", "--no-emit-package", "pip"),  # every environment has pip already
    *("--custom-compile-command", "make lock", "--output-file"),
)
OF_CUDA = re.compile(r"(nvidia|cuda)-|triton$")
HASH = re.compile(r" \\\n +--hash=sha256:[0-9a-f]{64}(?: +# .*)?")


def lock(root: Path, builds: Path | None) -> None:
    """Writes both locks. builds: a folder with builds of pinned versions (`torch-2.13.0+cpu-...whl`), if there is one.

    Versions stay where they still fit; hashes are all asked for again. A build's hash stays while its version does.
    Raises UserError when uv fails.
    """
    before = {path: path.read_text() if path.exists() else "" for path in (root / LOCK, root / CUDA)}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / LOCK
        made.write_text("\n".join(HASH.sub("", text) for text in before.values()))
        done = subprocess.run([*COMMAND, str(made)], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"uv found no versions that fit together:\n{done.stderr.strip()}")
        found = pins(made)
        header = made.read_text().partition("\n" + next(iter(found)))[0]
    of_torch = {"torch"}
    while more := {name for name, pin in found.items() if OF_CUDA.match(name) and pin.needed_by <= of_torch} - of_torch:
        of_torch |= more
    hashes = {match["file"]: match["hash"] for match in BUILD.finditer(before[root / LOCK])}
    hashes |= {path.name: _sha256(path) for path in sorted(builds.glob("*+*.whl"))} if builds else {}
    lines = {name: pin.lines for name, pin in found.items()}
    for file, digest in hashes.items():
        name, version = file.split("+")[0].replace("_", "-").rsplit("-", 1)
        if lines.get(name, "").startswith(f"{name}=={version} "):
            hashed, via, whose = lines[name].partition("\n    # via")
            lines[name] = f"{hashed} \\\n    --hash={digest}  # {file}{via}{whose}"
    cuda = of_torch - {"torch"}
    for path, chosen in ((LOCK, set(lines) - cuda), (CUDA, cuda)):
        (root / path).write_text("\n".join([header, *(lines[name] for name in lines if name in chosen), ""]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def main(
    builds: Annotated[Path | None, typer.Option(help="A folder with builds that the package index lacks.")] = None,
) -> None:
    """Makes requirements.lock and requirements-cuda.lock from pyproject.toml."""
    try:
        lock(project_root(), builds if builds and builds.is_dir() else None)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
