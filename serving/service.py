"""The API that SERVE_API names: what a serving image runs, since it has no shell to spell the name into a command."""

from __future__ import annotations

import typer

from components.apis import apis
from components.errors import UserError
from components.settings import settings
from serving.core.server import run
from serving.core.service import definition


def main() -> None:
    """Serves it, with the options of its own command. Ends in one line where there is no such API."""
    try:
        api = settings().serve_api
        if api not in apis():
            raise UserError(f"SERVE_API is '{api}': it names one of {', '.join(apis())}")
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    run(definition(api))


if __name__ == "__main__":
    main()
