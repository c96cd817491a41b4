"""What is installed, and what is known against it: `python -m infra.supply_chain --help`, `make audit`.

pip-audit asks an advisory service about all that the locks pin. A vulnerability passes only while advisories.toml
names it. cyclonedx-bom writes the bills of materials: Python packages, not those of an image's base.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from components.errors import UserError
from components.settings import project_root
from infra.docker.requirements import CUDA, LOCK
from infra.images import IMAGES, locked

ADVISORIES = Path("infra", "advisories.toml")
app = typer.Typer(add_completion=False, no_args_is_help=True)


class Exempt(BaseModel):
    """A vulnerability that is known and let pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    package: str
    reason: str
    until: date
    """Its last day."""


def exceptions(path: Path) -> list[Exempt]:
    """Raises UserError naming what cannot be read."""
    try:
        return [Exempt(**entry) for entry in tomllib.loads(path.read_text()).get("exception", [])]
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UserError(f"{path.name}: {' '.join(str(error).split())}") from None


def judged(dependencies: Sequence[dict[str, Any]], exempt: Sequence[Exempt], today: date) -> list[str]:
    """One line a vulnerability that no exception lets pass, and one an exception whose day is over.

    dependencies: as pip-audit's JSON has them. Raises UserError when any of them was not audited.
    """
    if skipped := [entry["name"] for entry in dependencies if "vulns" not in entry]:
        raise UserError(
            f"{len(skipped)} of {len(dependencies)} packages were not audited, the first is {skipped[0]}: "
            "the advisory service does not answer for them"
        )
    over = [one for one in exempt if one.until < today]
    passed = {(one.package, one.id) for one in exempt if one not in over}
    found = [
        f"{entry['name']} {entry['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for entry in dependencies
        for flaw in entry["vulns"]
        if not passed & {(entry["name"], name) for name in (flaw["id"], *flaw["aliases"])}
    ]
    return [*found, *(f"the exception for {one.id} of {one.package} ended on {one.until}" for one in over)]


@app.command()
def audit(
    service: Annotated[Literal["osv", "pypi"], typer.Option(help="Whom pip-audit asks.")] = "osv",
    osv_url: Annotated[str | None, typer.Option(help="Address of a mirror of OSV's queries.")] = None,
    exempt: Annotated[Path | None, typer.Option(help=f"By default {ADVISORIES}.")] = None,
) -> None:
    """Fails with 1 on a known vulnerability or an exception that is over, with 2 where nobody could be asked."""
    root = project_root()
    try:
        known = exceptions(exempt or root / ADVISORIES)
        found = judged(_asked(root, service, osv_url), known, datetime.now(UTC).date())
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    for line in found:
        typer.echo(f"error: {line}", err=True)
    if found:
        raise typer.Exit(1)
    typer.echo(f"no known vulnerability, with {len(known)} exceptions")


@app.command()
def sbom(into: Annotated[Path, typer.Option(help="A folder.")] = Path("build", "sbom")) -> None:
    """Writes a CycloneDX bill of materials for the environment, and one for each image as the locks have it."""
    root = project_root()
    into.mkdir(parents=True, exist_ok=True)
    try:
        _cyclonedx(into / "environment.cdx.json", "environment", sys.executable, root=root)
        written: dict[str, Path] = {}
        for name in IMAGES:
            text, path = locked(name, root), into / f"{name}.cdx.json"
            if text in written:  # most images that serve hold the same packages
                shutil.copyfile(written[text], path)
            else:
                _cyclonedx(path, "requirements", "-", root=root, text=text)
            written[text] = path
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(f"{len(IMAGES) + 1} bills of materials in {into}")


def _asked(root: Path, service: str, osv_url: str | None) -> list[dict[str, Any]]:
    """What pip-audit found, each package with its vulnerabilities. Raises UserError."""
    locks = [word for name in (LOCK, CUDA) for word in ("--requirement", str(root / name))]
    words = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json", "-s", service)
    done = _run("pip_audit", *words, *(["--osv-url", osv_url] if osv_url else []), *locks)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"nothing was audited: pip-audit could not ask the service {service}: {last[-300:]}") from None
    return found


def _cyclonedx(path: Path, *what: str, root: Path, text: str | None = None) -> None:
    options = ("--pyproject", str(root / "pyproject.toml"), "--output-reproducible", "--no-validate")  # tests validate
    done = _run("cyclonedx_py", *what, *options, "--output-file", str(path), text=text)
    if done.returncode != 0:
        raise UserError(f"{path.name} was not written: {' '.join(done.stderr.split())[-300:]}")


def _run(module: str, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words], input=text, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    app()
