"""Builds the container images: `python -m infra.images --help`.

An image is a Dockerfile of infra/docker, a target and build arguments; this spells them out. With `--stage` the wheels
are brought to infra/docker/staged first and the build itself uses no network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from components.apis import apis, extras_of
from components.errors import UserError
from components.provenance import git_state
from components.settings import settings
from infra.docker.requirements import CUDA, requirements, with_builds

PROJECT = Path(__file__).resolve().parent.parent
BASE = "python:3.11-slim"
PYTHON = (3, 11)
"""The images'. Staged wheels are made by the Python that stages them."""


@dataclass(frozen=True)
class Image:
    """How one image is built. extras: of pyproject.toml, for staging."""

    dockerfile: str
    extras: tuple[str, ...]
    target: str | None = None
    arguments: dict[str, str] = field(default_factory=dict)


IMAGES = {
    "training": Image("training", ("train", "games", "chat", "remote", "cluster")),
    "tracking": Image("tracking", ("tracking",)),
    "fetch": Image("serving", ("serve", "fetch"), "fetch"),
    **{
        api: Image("serving", (*extras_of(api), "fetch"), "serving", {"API": api, "EXTRAS": " ".join(extras_of(api))})
        for api in apis()
    },
}


def tag(name: str, version: str) -> str:
    return f"labs-{name}:{version}"


def stage(names: Sequence[str], project: Path = PROJECT, flavour: str = "cpu") -> None:
    """Brings what the images install to infra/docker/staged: files that the lock has, and the page's scripts.

    Raises UserError when this is another Python than the images', or pip fails.
    """
    if sys.version_info[:2] != PYTHON:
        raise UserError(f"stage with Python {'.'.join(map(str, PYTHON))}: the wheels are for the images' Python")
    staged = project / "infra" / "docker" / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    extras = sorted({extra for name in names for extra in IMAGES[name].extras})
    (staged / "requirements.txt").write_text(_lines(extras, flavour, project))
    # What comes as source only stays so: the image builds it from the file whose hash the lock has.
    words = ("--quiet", "--require-hashes", "--no-deps", "--no-build-isolation", "--dest", str(staged / "wheels"))
    _run(sys.executable, "-m", "pip", "download", *words, "-r", str(staged / "requirements.txt"), cwd=project)
    scripts = PROJECT / "serving" / "page" / "node_modules"
    if scripts.is_dir():
        shutil.copytree(scripts, staged / "node_modules")


def build(
    name: str,
    version: str,
    base: str = BASE,
    flavour: str = "cpu",
    project: Path = PROJECT,
    offline: bool = False,
    options: Sequence[str] = (),
) -> str:
    """Builds one image and returns its name and tag. Raises UserError when it can't be built."""
    image = IMAGES[name]
    commit, dirty = git_state(project)
    arguments = {"BASE_IMAGE": base, "GIT_COMMIT": f"{commit}-dirty" if dirty else commit, **image.arguments}
    if image.dockerfile != "tracking":
        arguments["FLAVOUR"] = flavour
    if offline:
        arguments["OFFLINE"] = "1"
        options = [*options, "--network", "none"]
    _run(
        *("docker", "build", "--file", f"infra/docker/{image.dockerfile}.Dockerfile", "--tag", tag(name, version)),
        *(["--target", image.target] if image.target else []),
        *(word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")),
        *options,
        ".",
        cwd=project,
    )
    return tag(name, version)


def locked(name: str, project: Path = PROJECT, flavour: str = "cpu") -> str:
    """The lines of the locks that an image installs."""
    image = IMAGES[name]
    extras = image.arguments["EXTRAS"].split() if "EXTRAS" in image.arguments else image.extras
    return _lines(extras, "none" if image.dockerfile == "tracking" else flavour, project)


def _lines(extras: Sequence[str], flavour: str, project: Path) -> str:
    """With CUDA's libraries where torch is the package index's."""
    builds = settings().pip_find_links
    lines = {name: with_builds(text, builds) for name, text in requirements(extras, flavour, root=project).items()}
    if "torch" in lines and "+cpu" not in lines["torch"].split()[0]:
        lines[CUDA] = (project / CUDA).read_text()
    return "\n".join([*lines.values(), ""])


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, check=False)
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed here") from None
    if done.returncode != 0:
        raise UserError(f"`{' '.join(command[:2])} ...` failed: see above")


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]...", help=f"Of {', '.join(IMAGES)}.")] = None,
    version: Annotated[str, typer.Option(help="The tag.")] = "dev",
    base: Annotated[str, typer.Option(help="Any image with Python 3.11 and its venv module.")] = BASE,
    flavour: Annotated[str, typer.Option(help="Of onnxruntime: cpu, or gpu on a base with CUDA.")] = "cpu",
    offline: Annotated[bool, typer.Option("--stage", help="Bring the wheels first, build without a network.")] = False,
) -> None:
    """Builds images as labs-<IMAGE>:<version>, by default all of them."""
    chosen = names or list(IMAGES)
    try:
        unknown = [name for name in chosen if name not in IMAGES]
        if unknown:
            raise UserError(f"there is no image '{unknown[0]}': {', '.join(IMAGES)}")
        if offline:
            stage(chosen, flavour=flavour)
        for name in chosen:
            typer.echo(build(name, version, base, flavour, offline=offline))
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
