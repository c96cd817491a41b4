"""Real servers on free ports, with a small model that knows a few tunes by heart."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import yaml

from components.bundle import Bundle, BundleSpec, Evaluation, EvaluationReport, write_bundle
from components.labs.music.graphs import reading_graph, sampling_graph
from components.labs.music.graphs.weights import Weights
from components.params import Bound, Gate
from components.promotion import Promotion, decide

PROJECT = Path(__file__).resolve().parent.parent.parent
WEAKNESS = "It knows six tunes."

EASY = {"key": "G Major", "metre": "6/8", "type": "reel", "temperature": 0.5}
"""What the small model writes well."""


class Server:
    """A process of `python -m serving.music`, and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.address, timeout=60)
        self._log = log

    def log(self) -> str:
        return self._log.read_text()

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or with these written out."""
        for line in self.client.get("/metrics").text.splitlines():
            if line.rpartition(" ")[0] == name:
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no metric {name}")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until something has become true of the server; a minute is an eternity."""
        for _ in range(3000):
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"it never happened; the server's log:\n{self.log()}")


def command(bundle: Path | str, port: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "serving.music", "--bundle", str(bundle), "--port", str(port), *options]


@contextmanager
def serving(
    bundle: Path | str, folder: Path, *options: str, project: Path = PROJECT, **limits: Any
) -> Iterator[Server]:
    """A server of the bundle, ready; limits: of serve.music in params.yaml."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["serve"]["music"] |= limits
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = folder / "server.log"
    arguments = command(bundle, port, "--params", str(folder / "params.yaml"), *options)
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=project, stdout=output, stderr=output)
    server = Server(process, port, log)
    try:
        server.wait_for(lambda: process.poll() is not None or _answers(server))
        assert process.poll() is None, server.log()
        yield server
    finally:
        server.client.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def _answers(server: Server) -> bool:
    try:
        return server.client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def promoted_bundle(music_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with the records that its evaluation, its gate and its promotion leave beside it."""
    folder = tmp_path_factory.mktemp("promoted") / "music"
    shutil.copytree(music_bundle, folder)
    bundle = Bundle.open(folder)
    evaluation = EvaluationReport.of(
        bundle, Evaluation(metrics={"bits_per_char": 1.3}, serve={"graph": "int8"}, weaknesses=(WEAKNESS,))
    )
    decision = decide(evaluation, None, Gate(metrics={"bits_per_char": Bound(max=1.425)}), date(2026, 1, 1))
    promotion = Promotion.of(decision, mlflow_run="1" * 32)
    records = {"evaluation": evaluation, "decision": decision, "promotion": promotion}
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record.model_dump(mode="json")))
    return folder


@pytest.fixture(scope="session")
def endless_bundle(music_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose model never writes a line's end, so that its tunes go on until they are cut off. Not promoted."""
    given = Bundle.open(music_bundle)
    characters, hidden = given.spec["vocabulary"], 16
    draw = np.random.default_rng(0)
    weights = Weights(
        table=draw.normal(size=(len(characters), 4 * hidden)).astype(np.float32),
        products=[draw.normal(size=(hidden, 4 * hidden)).astype(np.float32)],
        biases=[],
        decoder=draw.normal(size=(hidden, len(characters))).astype(np.float32),
        decoder_bias=np.where(np.array(characters) == "\n", -1e9, 0).astype(np.float32),
        query=draw.normal(size=(hidden, 4)).astype(np.float32),
        key=draw.normal(size=(hidden, 4)).astype(np.float32),
        value=draw.normal(size=(len(characters), 4)).astype(np.float32),
        output=draw.normal(size=(4, len(characters))).astype(np.float32),
        lag=given.spec["attention_lag"],
        window=32,
    )
    folder = tmp_path_factory.mktemp("endless")
    paths = {"float_read": folder / "float_read.onnx", "float_sample": folder / "float_sample.onnx"}
    onnx.save(reading_graph(weights, "float"), paths["float_read"])
    onnx.save(sampling_graph(weights, "float"), paths["float_sample"])
    spec = {**given.spec, "layers": 1, "hidden_size": hidden, "variants": ["float"]}
    write_bundle(folder, "music", BundleSpec(paths, spec), given.manifest.provenance)
    return folder


@pytest.fixture(scope="session")
def server(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(promoted_bundle, tmp_path_factory.mktemp("server")) as running:
        yield running
