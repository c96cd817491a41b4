"""Half an hour at capacity with faults: `python -m benchmarks.soak --bundle build/music/export`.

Two replicas of the music API serve the champion of an MLflow server. One is never touched: its memory must stay flat.
The other is killed (SIGKILL) or ended (SIGTERM) every few minutes and started again at once, as Kubernetes would, also
while MLflow is away: MLflow's server is killed and comes back a minute later. Meanwhile a run is journalled for MLflow,
ten lines a second. Clients (`benchmarks.soak_clients`) want more tunes than there are places and come back when
they are told to (429), read slowly or never, leave in the middle, or never finish their requests. Nothing may be lost:
every tune that is asked for is answered by one replica or the other, equal seeds give equal tunes, what is read slowly
arrives whole, and every line of the run reaches MLflow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.soak_clients import Crowd
from benchmarks.soak_servers import Faults, Replica, free_port, mlflow_server, wait_for_mlflow
from components.bundle import Bundle
from components.files import write_json
from components.settings import settings

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results" / "soak.json"
FLAT = 0.05
"""Growth of the untouched replica's memory that counts as flat: from the most of the third to fifth tenths of the run
to the last tenth. Before, it takes what its limits let it hold."""
LINES_A_SECOND = 10


def register(bundle: Path) -> None:
    """Makes a bundle's folder the champion, without a gate: what is tried here is the server, not the model."""
    from components.tracking.mlflow_client import connect

    mlflow = connect()
    run = mlflow.create_run(mlflow.create_experiment("soak"))
    mlflow.log_artifacts(run.info.run_id, str(bundle), "bundle")
    mlflow.create_registered_model("music")
    version = mlflow.create_model_version("music", f"{run.info.artifact_uri}/bundle", run.info.run_id)
    mlflow.set_registered_model_alias("music", "champion", version.version)


def record(lines: list[int], stop: threading.Event, folder: Path) -> None:
    """Journals a run for MLflow until it is told to stop. lines: how many there are, once it is told."""
    from components.tracking.runs import tracked

    with tracked("music", "soak", {}, {}, None, live=True, folder=folder) as run:
        written = 0
        while not stop.wait(1 / LINES_A_SECOND):
            run.log_metrics({"line": float(written)}, written)
            written += 1
        lines.append(written)


def lines_in_mlflow(folder: Path) -> int:
    """Lines of the run that MLflow has, after all journals were uploaded."""
    from components.tracking.journal import journals
    from components.tracking.mlflow_client import connect
    from components.tracking.upload import upload

    upload(folder)
    assert journals(folder) == [], "a journal was not uploaded whole"
    mlflow = connect()
    experiment = mlflow.get_experiment_by_name("labs")
    assert experiment
    (run,) = mlflow.search_runs([experiment.experiment_id], "tags.step = 'soak'")
    return len(mlflow.get_metric_history(run.info.run_id, "line"))


def pid_of(replica: Replica) -> int:
    assert replica.process
    return replica.process.pid


def medians(measured: list[tuple[float, float]], parts: int = 10) -> list[float]:
    """Median memory in each part of the run, in MB."""
    times, megabytes = np.array(measured).T
    part = np.minimum(times / times[-1] * parts, parts - 1).astype(int)
    return [round(float(np.median(megabytes[part == index])), 1) for index in range(parts) if (part == index).any()]


def soak(bundle: Path, seconds: float, clients: int, scratch: Path) -> dict[str, Any]:
    mlflow = mlflow_server(scratch)
    os.environ |= {
        "MLFLOW_TRACKING_URI": mlflow.address,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    settings.cache_clear()
    command = [sys.executable, "-m", "serving", "music", "--bundle", "models:/music@champion", "--allow-unpromoted"]
    steady, killed = (
        Replica([*command, "--port", str(port)], port, scratch / f"{name}.log")
        for name, port in (("steady", free_port()), ("killed", free_port()))
    )
    try:
        mlflow.keep()
        wait_for_mlflow(mlflow)
        register(bundle)
        for replica in (steady, killed):
            replica.wait_until_ready()
        faults, folder = Faults(steady, killed, mlflow, seconds), scratch / "journals"
        lines: list[int] = []
        stop = threading.Event()
        journal = threading.Thread(target=record, args=(lines, stop, folder), daemon=True)
        crowd = Crowd([steady.address, killed.address], clients)
        journal.start()
        faults.start()
        asyncio.run(crowd.run(seconds))
        took = time.monotonic() - faults.began
        stop.set()
        journal.join()
        faults.stop.set()
        faults.join()
        mlflow.keep()
        wait_for_mlflow(mlflow)
        resident = medians(steady.resident)
        return {
            "minutes": took / 60,
            "clients": clients,
            "faults": [f"{at:.0f} s: {what}" for at, what in faults.log],
            **crowd.counts(),
            "steady_starts": steady.starts,
            "killed_starts": killed.starts,
            "seconds_without_mlflow": faults.seconds_without_mlflow,
            "starts_that_failed_without_mlflow": killed.failed_starts,
            "resident_megabytes": {"in tenths": resident, "most": max(each for _, each in steady.resident)},
            "growth": resident[-1] / max(resident[2:5]) - 1,
            "connections_at_the_end": len(psutil.Process(pid_of(steady)).net_connections()),
            "lines_written": lines[0],
            "lines_in_mlflow": lines_in_mlflow(folder),
        }
    finally:
        for replica in (steady, killed, mlflow):
            replica.end(signal.SIGTERM)
        for replica in (steady, killed, mlflow):
            if replica.process is not None:
                replica.process.wait(120)


def faults_of(found: dict[str, Any]) -> list[str]:
    """What was lost, wrong or not flat, in words."""
    checks = {
        f"{found['lost']} tunes were never answered": found["lost"] == 0,
        f"{found['wrong']} answers were wrong: {found['wrong_answers']}": found["wrong"] == 0,
        f"{found['cut_short']} slow readers got less than was announced": found["cut_short"] == 0,
        f"{found['failed_probes']} probes of the steady replica failed": found["failed_probes"] == 0,
        f"memory grew by {100 * found['growth']:.1f} %": found["growth"] < FLAT,
        "the untouched replica was started again": found["steady_starts"] == 1,
        "MLflow was never away": found["seconds_without_mlflow"] > 0,
        "lines of the run are missing in MLflow": found["lines_in_mlflow"] == found["lines_written"],
    }
    return [words for words, fine in checks.items() if not fine]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "music" / "export")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--clients",
        type=int,
        default=320,
        help="that ask for tunes, each again once it is answered; two replicas write 64 tunes and let 192 wait",
    )
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle, "music")
    with tempfile.TemporaryDirectory() as scratch:
        found = soak(bundle.folder, 60 * options.minutes, options.clients, Path(scratch))
    wrong = faults_of(found)
    write_json(RESULTS, {"digest": bundle.digest, "cores": os.cpu_count(), **found, "faults_found": wrong})
    print(RESULTS.read_text())
    sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
