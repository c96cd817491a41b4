"""A run's journal: what a step did, appended to a file, until somebody uploads it to MLflow.

Writing one costs nothing and can't fail for want of a server. The first line names the process that owns it, so that a
killed run is known for what it is.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from components.files import write_json

JOURNALS = Path("build/.runs")
START, EVENTS, ARTIFACTS = "start.json", "events.jsonl", "artifacts"


class Run:
    """A run that is being journalled. Safe to use from several threads."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.id = folder.name
        self.name = name
        self._lock = threading.Lock()

    @classmethod
    def open(cls, name: str, parent: str | None, tags: Mapping[str, str]) -> Run:
        run = cls(JOURNALS / uuid.uuid4().hex, name)
        process = psutil.Process()
        start = {"name": name, "parent": parent, "tags": dict(tags), "time": milliseconds()}
        write_json(run.folder / START, {**start, "pid": process.pid, "process_started": process.create_time()})
        return run

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self._append({"metrics": {name: float(value) for name, value in metrics.items()}, "step": step})

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._append({"params": {name: str(value) for name, value in params.items()}})

    def log_dataset(self, name: str, digest: str) -> None:
        self._append({"dataset": {"name": name, "digest": digest}})

    def log_artifact(self, path: Path) -> None:
        """Keeps a copy of a file or folder: the step's output may be replaced before it is uploaded."""
        target = self.folder / ARTIFACTS / path.name
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(path, target)

    def end(self, status: str) -> None:
        """status: MLflow's FINISHED, FAILED or KILLED."""
        self._append({"end": status})

    def _append(self, event: dict[str, Any]) -> None:
        line = json.dumps({**event, "time": milliseconds()}) + "\n"
        with self._lock, (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(line)


@dataclass(frozen=True)
class Journal:
    """A journal as its uploader reads it. events: whole lines only, in order."""

    folder: Path
    start: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def artifacts(self) -> Path:
        return self.folder / ARTIFACTS

    @property
    def status(self) -> str:
        """RUNNING, or how it ended: KILLED when its process is gone and never said."""
        for event in reversed(self.events):
            if "end" in event:
                return str(event["end"])
        return "RUNNING" if self._owner_lives() else "KILLED"

    @property
    def ended(self) -> int:
        """Milliseconds since 1970 at the last thing known of it."""
        return int((self.events or [self.start])[-1]["time"])

    def _owner_lives(self) -> bool:
        try:
            process = psutil.Process(self.start["pid"])
            same = bool(process.create_time() == self.start["process_started"])
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def journals() -> list[Journal]:
    """Journals that are not uploaded to their end yet, oldest first: a parent before its children."""
    found = [journal for path in JOURNALS.glob(f"*/{START}") if (journal := _read(path.parent))]
    return sorted(found, key=lambda journal: int(journal.start["time"]))


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _read(folder: Path) -> Journal | None:
    """None when another process has just uploaded it to its end."""
    try:
        start = json.loads((folder / START).read_text(encoding="utf-8"))
        events = (folder / EVENTS).read_text(encoding="utf-8") if (folder / EVENTS).exists() else ""
    except FileNotFoundError:
        return None
    whole_lines = events.split("\n")[:-1]
    return Journal(folder, start, [json.loads(line) for line in whole_lines])
