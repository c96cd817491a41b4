"""The API that serves a lab: `python -m serving mlp` starts the digits API with the champion of mlp."""

from __future__ import annotations

import os
import sys

import typer

from components.errors import UserError
from components.labs import find
from components.settings import settings
from serving import APIS


def command(lab: str, options: list[str], bundle: str) -> list[str]:
    """bundle: SERVE_BUNDLE, "" for the lab's champion. Raises UserError where there is no such lab or no API for it."""
    find(lab)
    for api, labs in APIS.items():
        if lab in labs:
            champion = [] if bundle or lab == api else ["--bundle", f"models:/{lab}@champion"]
            return [sys.executable, "-m", f"serving.{api}", *champion, *options]
    served = [name for labs in APIS.values() for name in labs]
    raise UserError(f"the lab {lab} has no API; those that have: {', '.join(served)}")


def main() -> None:
    lab, *options = sys.argv[1:] or ["--help"]
    if lab in ("--help", "-h"):
        typer.echo("Usage: python -m serving LAB [OPTIONS]; python -m serving LAB --help lists them.")
        return
    try:
        words = command(lab, options, settings().serve_bundle)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    os.execv(words[0], words)  # noqa: S606 - it takes this process's place, and so gets SIGTERM itself


if __name__ == "__main__":
    main()
