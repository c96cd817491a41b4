"""A run's journal: what a step did, appended to a file, until somebody uploads it to MLflow.

Writing one costs nothing and can't fail for want of a server. The first line names the process that owns it, so that a
killed run is known for what it is.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from components.files import write_json
from components.redaction import redacted

log = logging.getLogger(__name__)

NAME = ".runs"
"""Name of the folder of journals, in the folder of the steps' outputs."""
JOURNALS = Path("build", NAME)
START, EVENTS, ARTIFACTS = "start.json", "events.jsonl", "artifacts"


class Start(BaseModel):
    """start.json. time: milliseconds since 1970; process_started: seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parent: str | None
    tags: dict[str, str]
    time: int
    pid: int
    process_started: float


class Run:
    """A run that is being journalled. Safe to use from several threads."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.id = folder.name
        self.name = name
        self._lock = threading.Lock()
        self._whole = True

    @classmethod
    def open(
        cls, name: str, parent: str | None, tags: Mapping[str, str], journals: Path = JOURNALS, id: str | None = None
    ) -> Run:
        """id: of a run that may have been journalled before and goes on; by default a new one."""
        run = cls(journals / (id or uuid.uuid4().hex), name)
        process = psutil.Process()
        start = Start(
            name=name,
            parent=parent,
            tags={key: redacted(value) for key, value in tags.items()},
            time=milliseconds(),
            pid=process.pid,
            process_started=process.create_time(),
        )
        write_json(run.folder / START, start.model_dump())
        if (run.folder / EVENTS).exists():  # nobody could upload what an earlier process wrote
            run._append({"resumed": True})
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
        with self._written():
            if path.is_dir():
                shutil.copytree(path, target, dirs_exist_ok=True)
            else:
                target.parent.mkdir(exist_ok=True)
                shutil.copy2(path, target)

    def end(self, status: str) -> None:
        """status: MLflow's FINISHED, FAILED or KILLED."""
        self._append({"end": status})

    def _append(self, event: dict[str, Any]) -> None:
        line = redacted(json.dumps({**event, "time": milliseconds()})) + "\n"
        with self._lock, self._written(), (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(line)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """A full disk costs a step its record, with one warning: whether it can go on, its own output tells."""
        try:
            yield
        except OSError as error:
            if self._whole:
                log.warning("NOT RECORDED: %s cannot write %s (%s)", self.name, self.folder, error.strerror or error)
            self._whole = False


@dataclass(frozen=True)
class Journal:
    """A journal as its uploader reads it. events: whole lines only, in order."""

    folder: Path
    start: Start
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
            if "resumed" in event:
                break
        return "RUNNING" if self._owner_lives() else "KILLED"

    @property
    def ended(self) -> int:
        """Milliseconds since 1970 at the last thing known of it."""
        return int(self.events[-1]["time"]) if self.events else self.start.time

    def _owner_lives(self) -> bool:
        try:
            process = psutil.Process(self.start.pid)
            same = bool(process.create_time() == self.start.process_started)
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def journals(folder: Path = JOURNALS) -> list[Journal]:
    """Journals that are not uploaded to their end yet, oldest first: a parent before its children.

    A damaged one is set aside, with a warning.
    """
    found = [journal for path in folder.glob(f"*/{START}") if (journal := _read(path.parent))]
    return sorted(found, key=lambda journal: journal.start.time)


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _read(folder: Path) -> Journal | None:
    """None when another process has just uploaded it to its end, and for a damaged one."""
    start = folder / START
    try:
        first = Start.model_validate_json(start.read_bytes())
        events = (folder / EVENTS).read_text(encoding="utf-8", errors="replace") if (folder / EVENTS).exists() else ""
    except FileNotFoundError:
        return None
    except ValidationError:
        aside = start.with_name(f"{START}.damaged")
        log.warning("%s is damaged: the run is not recorded; what it journalled stays beside %s", start, aside)
        start.replace(aside)
        return None
    return Journal(folder, first, [event for line in events.split("\n")[:-1] if (event := _event(line)) is not None])


def _event(line: str) -> dict[str, Any] | None:
    """None for a line that a full disk cut, and to which the next one was appended."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("time"), int) else None
