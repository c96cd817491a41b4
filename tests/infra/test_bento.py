"""BentoML's own way to carry an API: one folder with its code, its requirements and its promoted model."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import yaml

from components.bundle import Bundle

PROJECT = Path(__file__).resolve().parent.parent.parent


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


def environment(home: Path) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("SERVE_")}
    return {**given, "PYTHONPATH": str(PROJECT), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}


def test_a_bento_carries_its_promoted_model_and_serves_it(promoted_bundle: Path, tmp_path: Path) -> None:
    home, digest = tmp_path / "home", Bundle.open(promoted_bundle).digest
    done = command(home, "infra.bento", "music", "--bundle", str(promoted_bundle))
    assert done.returncode == 0, done.stderr
    tag = done.stdout.strip()
    assert tag == f"music:{digest[:12]}"

    bento = home / "bentos" / "music" / digest[:12]
    assert yaml.safe_load((bento / "bento.yaml").read_text())["labels"]["model_digest"] == digest
    assert Bundle.open(bento / "src" / "bundle").digest == digest
    assert not (bento / "src" / "data").exists()
    requirements = (bento / "src" / "requirements.txt").read_text().splitlines()
    assert any(line.startswith("onnxruntime==") for line in requirements)
    assert not any(line.startswith(("torch", "onnxruntime-gpu")) for line in requirements)
    pinned = [line for line in requirements if line and line[0] not in " #"]
    assert all("==" in line for line in pinned)
    assert sum("--hash=sha256:" in line for line in requirements) >= len(pinned)

    port = _free_port()
    variables = environment(home)
    del variables["PYTHONPATH"]  # its own code is in the bento
    words = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=tmp_path, env=variables, stdout=output, stderr=output)
    try:
        for _ in range(3000):
            assert process.poll() is None, log.read_text()
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/info", timeout=600).json()
            except httpx.TransportError:
                time.sleep(0.2)
            else:
                break
        else:
            raise AssertionError(log.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(300)
    assert answer["model"]["model_digest"] == digest
    assert answer["model"]["promoted"] is True


def _free_port() -> int:
    """A port that the system gives nobody by itself, so that no client or server takes it before the API does."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)  # noqa: S311
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def test_only_a_promoted_model_of_the_named_lab_gets_a_bento(promoted_bundle: Path, tmp_path: Path) -> None:
    unpromoted = tmp_path / "bundle"
    shutil.copytree(promoted_bundle, unpromoted)
    (unpromoted / "promotion.json").unlink()
    for lab, words in (("music", "is not promoted"), ("transfer", "is a bundle of the lab music")):
        done = command(tmp_path / "home", "infra.bento", lab, "--bundle", str(unpromoted))
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert words in done.stderr
