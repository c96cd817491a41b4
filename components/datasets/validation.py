"""Great Expectations over a dataset's tables: the suites are JSON in its folder expectations/, one for each table."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.deferred_imports import deferred
from components.errors import UserError
from components.files import write_json, write_text
from components.report.validation_page import render

if TYPE_CHECKING:
    import pandas as pd

NAMED_ROWS = 10
"""Offending rows that a message names; the report names all."""

NOT_USED_HERE = ("altair", "scipy.stats")
"""What Great Expectations imports for expectations about distributions."""
FOR_OTHER_SOURCES = ("azure", "boto3", "botocore", "google", "pyspark", "sqlalchemy")
"""Optional packages with which it reads tables from databases and stores; they take more time than a suite does."""
FOR_OTHER_COLUMNS = ("rfc3987_syntax",)
"""What jsonschema checks addresses in JSON with, where it is installed: it builds a parser for a second."""


@dataclass(frozen=True)
class Failure:
    """An expectation that the table did not meet."""

    table: str
    expectation: str
    column: str | None
    rows: tuple[str, ...]
    """Offending rows, as "id (line 12)"; empty where the expectation is about the table as a whole."""
    observed: str

    def __str__(self) -> str:
        subject = f"column '{self.column}'" if self.column else "the table"
        text = f"{self.table}: {self.expectation} failed for {subject}: {self.observed}"
        if self.rows:
            more = f" and {len(self.rows) - NAMED_ROWS} more" if len(self.rows) > NAMED_ROWS else ""
            text += f"; rows {', '.join(self.rows[:NAMED_ROWS])}{more}"
        return text


def read_suite(folder: Path, table: str) -> dict[str, Any]:
    """A suite in Great Expectations' own format. Raises UserError when it is missing, damaged or empty."""
    path = folder / f"{table}.json"
    try:
        suite: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: every table needs a suite of expectations") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    # Great Expectations calls a suite without expectations a success.
    if not suite.get("expectations"):
        raise UserError(f"{path} holds no expectations")
    return suite


def validate_tables(folder: Path, tables: dict[str, pd.DataFrame], out: Path) -> list[Failure]:
    """Checks each table against its suite in `folder`; writes validation.json and a page for each table into `out`.

    Returns what failed, the most telling first: the fewest rows named. What it writes depends on tables and suites
    alone (no times, no random ids), so that the steps after it need not run again.
    """
    failures: list[Failure] = []
    report: dict[str, Any] = {}
    for name, table in tables.items():
        suite = read_suite(folder, name)
        result = run_suite(suite, table)
        items = result.to_json_dict()["results"]
        failures += [_failure(name, table, item) for item in items if not item["success"]]
        report[name] = {"rows": len(table), "success": result.success, "expectations": _summary(items)}
        write_text(out / f"{name}.html", render(suite, result))
    write_json(out / "validation.json", report)
    return sorted(failures, key=lambda failure: (not failure.rows, len(failure.rows)))


def run_suite(suite: dict[str, Any], table: pd.DataFrame) -> Any:
    """Great Expectations' result (an ExpectationSuiteValidationResult) for a suite over a table."""
    # Before the import: it tells in a hundred lines how it registers its methods.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with deferred(later=NOT_USED_HERE, absent=FOR_OTHER_SOURCES + FOR_OTHER_COLUMNS):
        import great_expectations as gx
        from great_expectations.data_context.types import base

    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),
        progress_bars=base.ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset(suite["name"])
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    expectations = context.suites.add(gx.ExpectationSuite(**suite))
    names = [name for name in ("id", "line") if name in table]
    return batch.validate(
        expectations, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": names}
    )


def _summary(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "type": item["expectation_config"]["type"],
            "kwargs": {key: value for key, value in item["expectation_config"]["kwargs"].items() if key != "batch_id"},
            "success": item["success"],
            "observed": _observed(item),
        }
        for item in items
    ]


def _failure(name: str, table: pd.DataFrame, item: dict[str, Any]) -> Failure:
    config = item["expectation_config"]
    column = config["kwargs"].get("column")
    offending = item["result"].get("unexpected_index_list") or []
    if config["type"] == "expect_column_sum_to_be_between" and column in table:
        # A count of faults: every row that has the fault, the known ones too.
        offending = table[table[column] != 0].to_dict("records")
    rows = tuple(f"{row['id']} (line {row['line']})" if "line" in row else str(row["id"]) for row in offending)
    return Failure(name, config["type"], column, rows, _observed(item))


def _observed(item: dict[str, Any]) -> str:
    """What was found, in a few words."""
    result = item["result"]
    if "observed_value" in result:
        return f"found {result['observed_value']}"
    if "unexpected_count" in result:
        values = sorted({str(value) for value in result["partial_unexpected_list"]})
        shown = f", such as {values[0][:40]!r}" if values else ""
        return f"{result['unexpected_count']} of {result['element_count']} rows{shown}"
    errors = [info["exception_message"] for info in item["exception_info"].values() if isinstance(info, dict)]
    return errors[0] if errors else str(item["exception_info"].get("exception_message"))
