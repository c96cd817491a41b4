"""Mutation testing of the modules that guard: `make mutants`, or `python -m infra.mutants --help`.

Cosmic Ray changes one thing in a module, such as a comparison or a number, and the tests that prove the module must
then fail. It does so in a copy of the working tree. Results are kept in build/mutants, so a run that was killed goes on
where it was; a module or a test that has changed since makes the results of its module void.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import random
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field

from components.config import Section, checked_section
from components.errors import UserError
from components.files import write_text
from components.settings import project_root
from components.stats import wilson_interval

if TYPE_CHECKING:
    from cosmic_ray.work_db import WorkDB

CONFIG = Path("infra", "mutants.toml")
BUILD = Path("build", "mutants")
PYTEST = (
    *("env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", "PYTHONDONTWRITEBYTECODE=1"),
    *(sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"),
)
"""Loading plugins that no test here needs takes longer than most of the tests. Byte code is recognised by the size and
the second of its module, which a mutant may share with it."""
LEAST_SECONDS, PATIENCE = 120.0, 10.0
"""A mutant counts as killed when its tests take so many times as long as without it, and at least so long."""


class Guarded(Section):
    """A module and the tests that prove it."""

    path: str
    tests: tuple[str, ...] = Field(min_length=1)
    """As pytest takes them: files, and which tests of them."""
    most: int = Field(10_000, ge=1)
    """Mutants, where its tests are slow."""

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".")


class Mutants(Section):
    """The file mutants.toml."""

    sample: int = Field(ge=0)
    """Mutants of each module; 0: all."""
    seed: int = Field(ge=0)
    modules: tuple[Guarded, ...] = Field(min_length=1)


def copy_tree(root: Path, tree: Path) -> None:
    """The files that git does not ignore, for mutants to be made in, and the data beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(tree, ignore_errors=True)
    for name in listed.stdout.split("\0"):
        if name and (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, tree / name)
    if (root / "data").is_dir():
        (tree / "data").symlink_to(root / "data")


def run(module: Guarded, config: Mutants, build: Path, survivors: bool) -> None:
    """Runs a module's tests on those of its mutants that have no result yet. The working directory is changed.

    survivors: only on those that the tests did not notice before, whatever has changed since. Raises UserError where
    the tests fail without a mutant.
    """
    from cosmic_ray.commands import execute
    from cosmic_ray.config import ConfigDict
    from cosmic_ray.work_db import use_db

    command = [*PYTEST, *module.tests]
    of, now = build / f"{module.name}.json", _fingerprint(module, config)
    with use_db(str(build / f"{module.name}.sqlite")) as work:
        if survivors:
            _forget_survivors(work)
        elif not of.exists() or json.loads(of.read_text())["drawn"] != now:
            of.write_text(json.dumps({"all": _draw(work, module, config), "drawn": now}))
        if not work.pending_work_items:
            return
        started = time.monotonic()
        whole = subprocess.run(command, capture_output=True, text=True, check=False)
        if whole.returncode != 0:
            raise UserError(f"{' '.join(module.tests)} fail without a mutant:\n{whole.stdout[-3000:]}")
        seconds = max(LEAST_SECONDS, PATIENCE * (time.monotonic() - started))
        options = {"test-command": shlex.join(command), "timeout": seconds, "distributor": {"name": "local"}}
        execute(work, ConfigDict(options))


def report(config: Mutants, build: Path) -> str:
    """The score of each module, with its 95 % interval, and the survivors, as Markdown."""
    from cosmic_ray.work_db import use_db

    rows, survivors, whole = [], [], [0, 0]
    for module in config.modules:
        if not (build / f"{module.name}.json").exists():
            continue
        with use_db(str(build / f"{module.name}.sqlite")) as work:
            results = [(item.mutations[0], result) for item, result in work.completed_work_items]
            left = len(work.pending_work_items)
        alive = [(mutation, result.diff or "") for mutation, result in results if not result.is_killed]
        killed = len(results) - len(alive)
        whole = [whole[0] + killed, whole[1] + len(results)]
        drawn = f"{len(results)} of {json.loads((build / f'{module.name}.json').read_text())['all']}"
        rows.append(f"| `{module.path}` | {drawn} | {_score(killed, len(results))} | {left or ''} |")
        survivors += [_survivor(mutation, diff) for mutation, diff in sorted(alive, key=lambda one: one[0].start_pos)]
    head = "| module | mutants | killed | not run yet |\n|---|---|---|---|\n"
    table = head + "\n".join([*rows, f"| all | {whole[1]} | {_score(*whole)} | |"])
    return f"# Mutants\n\nSeed {config.seed}.\n\n{table}\n\n## Survivors\n\n" + "\n".join(survivors) + "\n"


def _score(killed: int, tried: int) -> str:
    if not tried:
        return "-"
    low, high = wilson_interval(killed, tried)
    return f"{100 * killed / tried:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def _survivor(mutation: Any, diff: str) -> str:
    lines = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("---", "+++")]
    return "\n".join([f"`{mutation.module_path}:{mutation.start_pos[0]}`", "```diff", *lines, "```"])


def _draw(work: WorkDB, module: Guarded, config: Mutants) -> int:
    """Fills the session with a sample of the module's mutants, and returns of how many.

    Of an operator's or a number's many replacements at one place one is drawn, or most mutants would be divisions of
    paths by each other's names. Annotations that are never evaluated are not mutated.
    """
    from cosmic_ray.commands import init

    init([Path(module.path)], work, {})
    dead = [*_not_evaluated(Path(module.path).read_text())]
    items = [item for item in work.work_items if not _within(item.mutations[0].start_pos, dead)]
    items.sort(key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence))
    random.Random(f"{module.name}:{config.seed}").shuffle(items)  # noqa: S311 - chooses mutants
    places = {(item.mutations[0].operator_name.split("_")[0], item.mutations[0].start_pos): item for item in items}
    work.clear()
    work.add_work_items(list(places.values())[: min(config.sample or len(places), module.most)])
    return len(places)


def _forget_survivors(work: WorkDB) -> None:
    items, results = work.work_items, dict(work.results)
    work.clear()
    work.add_work_items(items)
    for job, result in results.items():
        if result.is_killed:
            work.set_result(job, result)


def _fingerprint(module: Guarded, config: Mutants) -> dict[str, Any]:
    files = [name for name in (module.path, *module.tests) if Path(name).is_file()]
    hashes = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in files}
    return {"sample": config.sample, "seed": config.seed, "module": module.model_dump(mode="json"), "files": hashes}


def _not_evaluated(code: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end, in a module that does not evaluate them, and code for type checkers only."""
    tree = ast.parse(code)
    later = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    for node in ast.walk(tree):
        found: Sequence[ast.AST | None] = ()
        if later and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found = (node.returns,)
        elif later and isinstance(node, ast.arg | ast.AnnAssign):
            found = (node.annotation,)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found = (node,)
        for each in found:
            if isinstance(each, ast.expr | ast.stmt):
                yield (each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0)


def _within(place: tuple[int, int], spans: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    return any(start <= tuple(place) < end for start, end in spans)


def main(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Paths of modules; by default all of mutants.toml.")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=0, help="Mutants of each module; 0: all.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed draws other mutants.")] = None,
    survivors: Annotated[
        bool, typer.Option("--survivors", help="Run the tests again on the mutants that they did not notice.")
    ] = False,
    only_report: Annotated[bool, typer.Option("--report", help="Run nothing; write the report again.")] = False,
) -> None:
    """Breaks guarding modules on purpose and counts what their tests notice: build/mutants/report.md."""
    root = project_root()
    try:
        config = checked_section(Mutants, tomllib.loads((root / CONFIG).read_text()), CONFIG, "mutants")
        given = {name: value for name, value in (("sample", sample), ("seed", seed)) if value is not None}
        config = config.model_copy(update=given)
        if unknown := sorted(set(modules or ()) - {module.path for module in config.modules}):
            raise UserError(f"{CONFIG} has no module {unknown[0]}")
        build = root / BUILD
        build.mkdir(parents=True, exist_ok=True)
        if not only_report:
            copy_tree(root, build / "tree")
            with contextlib.chdir(build / "tree"):
                for module in config.modules:
                    if not modules or module.path in modules:
                        typer.echo(f"{module.path} ...", err=True)
                        run(module, config, build, survivors)
        write_text(build / "report.md", report(config, build))
        typer.echo((build / "report.md").read_text())
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
