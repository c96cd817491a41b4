"""A bento of an API with its promoted bundle inside: `python -m infra.bento music`.

For those who deploy with BentoML's own tools. The bento is built from a folder made for it, which holds the code, the
bundle and the locked requirements: BentoML copies everything that lies below the folder it builds from.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import yaml

from components.apis import api_of, extras_of, served_labs
from components.errors import UserError
from infra.docker.requirements import requirements
from infra.images import PROJECT
from serving.core.bundles import open_bundle

SOURCES = ("components", "serving", "params.yaml", "pyproject.toml", "LICENSE", "NOTICE")

# Variables of a bento's own description count in its container only; this counts under `bentoml serve` too.
ENTRY = """import os
from pathlib import Path

os.environ.setdefault("SERVE_BUNDLE", str(Path(__file__).resolve().parent / "bundle"))

from serving.{api}.service import service  # noqa: E402, F401
"""


def build(lab: str, reference: str) -> str:
    """Builds into BentoML's store and returns the bento's tag, <lab>:<start of the model's digest>.

    Raises UserError when the bundle is not promoted or is damaged, or BentoML fails.
    """
    with tempfile.TemporaryDirectory(prefix="bento-") as temporary, open_bundle(reference, (lab,), False) as served:
        folder = Path(temporary)
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        for name in SOURCES:
            if (PROJECT / name).is_dir():
                shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
            else:
                shutil.copy2(PROJECT / name, folder)
        shutil.copytree(served.bundle.folder, folder / "bundle")
        (folder / "service.py").write_text(ENTRY.format(api=api_of(lab)))
        # As in the image: pinned, hashed, and plain onnxruntime.
        lines = requirements(extras_of(api_of(lab)), "cpu")
        (folder / "requirements.txt").write_text("\n".join([*lines.values(), ""]))
        digest = served.bundle.digest
        description = {
            "name": lab,
            "service": "service:service",
            "labels": {"model_digest": digest, "git_commit": served.bundle.manifest.provenance.git_commit},
            "include": ["*"],
            "python": {"requirements_txt": "./requirements.txt", "lock_packages": False},
        }
        (folder / "bentofile.yaml").write_text(yaml.safe_dump(description))
        words = [sys.executable, "-m", "bentoml", "build", "--version", digest[:12], "--output", "tag", str(folder)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"bentoml build failed: {' '.join(done.stderr.split())[-500:]}")
    return f"{lab}:{digest[:12]}"


def main(
    lab: Annotated[str, typer.Argument(metavar="LAB", help=f"One of: {', '.join(served_labs())}.")],
    bundle: Annotated[str | None, typer.Option(help="A promoted bundle: a folder or models:/LAB@champion.")] = None,
) -> None:
    """Builds a bento of an API and the model it serves; `bentoml serve <tag>` runs it."""
    try:
        api_of(lab)
        typer.echo(build(lab, bundle or f"models:/{lab}@champion"))
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
