"""Tunes a second over HTTP, against one tune at a time: `python -m benchmarks.serving --bundle build/music/export`.

Five servers in turn, each pinned to one core with the clients on another, asked for tunes of 500 characters: ours; ours
with one slot, which has our sampler and no batches; and three that are written as a notebook's loop would be, one
request, one tune, one character a call: onnxruntime on the same bundle, and eager torch with an `nn.LSTM` of the
course's own sizes and of the served model's. Clients ask again as soon as they are answered. On a busy machine the wall
clock says little, so tunes per second of processor time stand beside it.

`--validity` asks for valid tunes instead: with wrong bars drawn again, and thrown away until one is valid.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np
import psutil
import yaml

from benchmarks import music_validity
from benchmarks.generation import processor
from components.bundle import Bundle
from components.datasets.music.reader import TUNE_START
from components.files import write_json
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.prompt import conditioned
from components.labs.music.runtime.request import TuneRequest
from components.labs.music.runtime.sampler import generate

ROOT = Path(__file__).resolve().parent.parent
CHARACTERS = 500
CLIENTS = (1, 8, 32)
TUNES = {
    "ours": (40, 320, 1600),
    "one_slot": (40, 120, 240),
    "onnx_loop": (20, 40, 64),
    "eager_torch": (4, 8, 32),
    "eager_torch_same_size": (8, 16, 64),
}
"""Asked of each server, by number of clients."""
SECONDS = 120
"""Length of one measurement, at most; what was answered by then counts."""
TARGETS = {"one_slot": 10.0, "onnx_loop": 10.0, "eager_torch": 150.0, "eager_torch_same_size": None}
"""How many times their tunes per second with 32 clients."""


@dataclass
class Load:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    """Time of each tune, from the request to its end."""
    first: list[float] = field(default_factory=list)
    """To each stream's first character."""


async def ask(session: aiohttp.ClientSession, path: str, seed: int, load: Load) -> None:
    body = {"seed": seed, "max_length": CHARACTERS, "valid_only": False}  # so that no bar is drawn again
    started = time.perf_counter()
    async with session.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        if path == "/stream":
            await answer.content.readline()
            load.first.append(time.perf_counter() - started)
            last = (await answer.read()).decode().strip().rpartition("data: ")[2]
            abc = json.loads(last)["tune"]["abc"]
        else:
            abc = (await answer.json())["tunes"][0]["abc"]
    load.seconds.append(time.perf_counter() - started)
    assert len(abc) == CHARACTERS


async def bear(address: str, path: str, clients: int, tunes: int, seeds: list[int]) -> tuple[Load, float]:
    """`clients` ask for `tunes` altogether; returns what they saw and the seconds it took."""
    load, left = Load(), iter(range(tunes))
    deadline = time.perf_counter() + SECONDS

    async def client() -> None:
        for index in left:
            if time.perf_counter() > deadline:
                return
            await ask(session, path, seeds[index % len(seeds)], load)

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(address, connector=connector, timeout=aiohttp.ClientTimeout(600)) as session:
        await ask(session, path, seeds[0], Load())
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return load, time.perf_counter() - started


def measure(server: Server, path: str, clients: int, tunes: int, seeds: list[int]) -> dict[str, float]:
    before = server.processor_seconds()
    load, seconds = asyncio.run(bear(server.address, path, clients, tunes, seeds))
    used = server.processor_seconds() - before
    found = {
        "clients": clients,
        "tunes": len(load.seconds),
        "tunes_per_second": len(load.seconds) / seconds,
        "tunes_per_processor_second": (len(load.seconds) + 1) / used,
        "p50_ms": 1000 * float(np.percentile(load.seconds, 50)),
        "p99_ms": 1000 * float(np.percentile(load.seconds, 99)),
    }
    if load.first:
        found |= {f"first_character_p{p}_ms": 1000 * float(np.percentile(load.first, p)) for p in (50, 99)}
    return found


def measure_valid(server: Server, clients: int, requests: int, *, valid_only: bool, path: str) -> dict[str, float]:
    """Valid tunes per second. Where not only valid ones are asked for, all tunes are counted that happen to be so."""
    before = server.processor_seconds()
    load, valid, seconds = asyncio.run(_bear_valid(server.address, path, clients, requests, valid_only))
    used = server.processor_seconds() - before
    found = {
        "clients": clients,
        "requests": len(load.seconds),
        "valid_share": valid / len(load.seconds),
        "valid_tunes_per_second": valid / seconds,
        "valid_tunes_per_processor_second": valid / used,
        "p50_ms": 1000 * float(np.percentile(load.seconds, 50)),
        "p99_ms": 1000 * float(np.percentile(load.seconds, 99)),
    }
    if load.first:
        found |= {f"first_character_p{p}_ms": 1000 * float(np.percentile(load.first, p)) for p in (50, 99)}
    return found


async def _bear_valid(
    address: str, path: str, clients: int, requests: int, valid_only: bool
) -> tuple[Load, int, float]:
    """What the clients saw, how many tunes were valid, and the seconds it took."""
    load, seeds, valid = Load(), iter(range(requests)), 0
    deadline = time.perf_counter() + SECONDS

    async def client() -> None:
        nonlocal valid
        for seed in seeds:
            if time.perf_counter() > deadline:
                return
            asked = time.perf_counter()
            async with session.post(path, json={"seed": seed, "valid_only": valid_only}) as answer:
                if path == "/stream":
                    await answer.content.readline()
                    load.first.append(time.perf_counter() - asked)
                    tune = json.loads((await answer.read()).decode().strip().rpartition("data: ")[2])["tune"]
                else:
                    tune = (await answer.json())["tunes"][0] if answer.status == 200 else {"valid": False}
            valid += tune["valid"]
            load.seconds.append(time.perf_counter() - asked)

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(address, connector=connector, timeout=aiohttp.ClientTimeout(600)) as session:
        async with session.post("/generate", json={"seed": 0}) as first:  # finds memory allocated and code loaded
            assert first.status == 200, await first.text()
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return load, valid, time.perf_counter() - started


def validity(options: argparse.Namespace, cores: list[int]) -> dict[str, Any]:
    """Valid tunes per second in both ways, in one run of one server, and whether both kinds of tunes are alike."""
    bundle = Bundle.open(options.bundle)
    clients = CLIENTS[-1]
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        command = servers(options.bundle.resolve(), Path(scratch))["ours"]
        with started(cores[0], *command) as (server, _):
            for name, valid_only in (("rejection", False), ("bars_drawn_again", True)):
                result[name] = measure_valid(server, clients, options.requests, valid_only=valid_only, path="/generate")
            result["stream"] = measure_valid(server, clients, options.requests, valid_only=True, path="/stream")
    for unit in ("valid_tunes_per_second", "valid_tunes_per_processor_second"):
        result[f"ratio_{unit}"] = result["bars_drawn_again"][unit] / result["rejection"][unit]
    redraws = yaml.safe_load((ROOT / "params.yaml").read_text())["music"]["serve"]["redraws"]
    model = TuneModel.load(bundle, served_variant(bundle))
    return {
        **result,
        "alike": music_validity.compare(model, Options.of_spec(bundle.spec), options.requests // 4, redraws),
        "digest": bundle.digest,
    }


class Server:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.process = process

    def processor_seconds(self) -> float:
        return sum(used.user + used.system for used in (process.cpu_times() for process in self._processes()))

    def resident_megabytes(self) -> float:
        return float(sum(process.memory_info().rss for process in self._processes()) / 2**20)

    def _processes(self) -> list[psutil.Process]:
        """The server, and those that it has started."""
        whole = psutil.Process(self.process.pid)
        return [whole, *whole.children(recursive=True)]


@contextmanager
def started(core: int, *arguments: str) -> Iterator[tuple[Server, float]]:
    """A server on one core, ready, and the seconds that took."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments, "--port", str(port)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        start_new_session=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )
    try:
        while True:
            try:
                # The plain loops have no such page, so anything but "not yet" is ready.
                if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code != 503:
                    break
            except httpx.TransportError:
                assert process.poll() is None, f"{arguments} ended with {process.returncode}"
                time.sleep(0.01)
        yield Server(process, port), time.perf_counter() - begun
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def long_seeds(bundle: Bundle, wanted: int) -> list[int]:
    """Seeds whose tunes have not ended after CHARACTERS: about one in twenty-five of a trained model's."""
    model, first = TuneModel.load(bundle, served_variant(bundle)), 0
    options = Options.of_spec(bundle.spec)
    found: list[int] = []
    while len(found) < wanted:
        seeds = range(first, first + 128)
        requests = [conditioned(TuneRequest(seed, max_length=CHARACTERS), Conditions(), options) for seed in seeds]
        samples = generate(model, requests, batch=64)
        found += [seed for seed, sample in zip(seeds, samples, strict=True) if not sample.ended]
        first += 128
    return found


def served_variant(bundle: Bundle) -> str | None:
    report = bundle.folder / "evaluation.json"
    variant: str | None = json.loads(report.read_text())["serve"]["variant"] if report.exists() else None
    return variant


def onnx_loop(bundle: Bundle) -> Callable[[int], str]:
    """Writes a tune of so many characters with the graph that reads: each is drawn from its answer and read next."""
    model, draw = TuneModel.load(bundle, served_variant(bundle)), np.random.default_rng(0)

    def write(count: int) -> str:
        state, last = model.initial_state(1), int(model.vocabulary.encode(TUNE_START)[0])
        ids = []
        for _ in range(count):
            state, log_probs = model.read(np.array([[last]]), state)
            chances = np.exp(log_probs[0, -1].astype(np.float64))
            last = int(draw.choice(len(chances), p=chances / chances.sum()))
            ids.append(last)
        return model.vocabulary.decode(np.array(ids))

    return write


def torch_loop(bundle: Bundle, hidden: int, layers: int) -> Callable[[int], str]:
    """The same with eager torch; the weights are random."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    characters = bundle.spec["vocabulary"]
    embedding = nn.Embedding(len(characters), 256)
    lstm = nn.LSTM(256, hidden, layers, batch_first=True)
    decoder = nn.Linear(hidden, len(characters))

    def write(count: int) -> str:
        ids, state, text = torch.zeros(1, 1, dtype=torch.long), None, []
        with torch.inference_mode():
            for _ in range(count):
                out, state = lstm(embedding(ids), state)
                ids = torch.multinomial(torch.softmax(decoder(out[:, -1]), dim=-1), 1)
                text.append(characters[int(ids)])
        return "".join(text)

    return write


LOOPS: dict[str, Callable[[Bundle], Callable[[int], str]]] = {
    "onnx_loop": onnx_loop,
    "eager_torch": lambda bundle: torch_loop(bundle, 1024, 1),
    "eager_torch_same_size": lambda bundle: torch_loop(bundle, bundle.spec["hidden_size"], bundle.spec["layers"]),
}


def serve_loop(write: Callable[[int], str], port: int) -> None:
    """A server that answers each request with a tune of its own, one after the other."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request as HttpRequest
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    one_at_a_time = asyncio.Lock()

    async def answer(request: HttpRequest) -> JSONResponse:
        body = await request.json()
        async with one_at_a_time:
            return JSONResponse({"tunes": [{"abc": await run_in_threadpool(write, body["max_length"])}]})

    uvicorn.run(Starlette(routes=[Route("/generate", answer, methods=["POST"])]), port=port, log_level="warning")


def servers(bundle: Path, scratch: Path) -> dict[str, tuple[str, ...]]:
    """The command of each server."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    commands: dict[str, tuple[str, ...]] = {}
    for name, active in (("ours", params["music"]["serve"]["active_tunes"]), ("one_slot", 1)):
        params["music"]["serve"] |= {"active_tunes": active, "waiting_tunes": 128, "request_seconds": 600.0}
        path = scratch / f"{name}.yaml"
        path.write_text(yaml.safe_dump(params))
        commands[name] = ("serving.music.service", "--bundle", str(bundle), "--allow-unpromoted", "--params", str(path))
    for name in LOOPS:
        commands[name] = ("benchmarks.serving", "--bundle", str(bundle), "--serve-loop", name)
    return commands


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "music" / "export")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "serving.json")
    parser.add_argument("--validity", action="store_true", help="valid tunes: bars drawn again against whole tunes")
    parser.add_argument("--requests", type=int, default=1600, help="of each kind, with --validity")
    parser.add_argument("--serve-loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    if options.serve_loop:
        serve_loop(LOOPS[options.serve_loop](bundle), options.port)
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    load_before = os.getloadavg()[0]
    if options.validity:
        found = validity(options, cores) | {"load_before": load_before, "processor": processor()}
        write_json(options.out.with_name("music_validity.json"), found)
        print(json.dumps(found, indent=2))
        return
    seeds = long_seeds(bundle, 64)
    result: dict[str, Any] = {"characters_per_tune": CHARACTERS}
    with tempfile.TemporaryDirectory() as scratch:
        for name, arguments in servers(options.bundle.resolve(), Path(scratch)).items():
            with started(cores[0], *arguments) as (server, ready):
                rows = [
                    measure(server, "/generate", clients, tunes, seeds)
                    for clients, tunes in zip(CLIENTS, TUNES[name], strict=True)
                ]
                result[name] = {"ready_seconds": ready, "generate": rows}
                if name == "ours":
                    result[name]["stream"] = [
                        measure(server, "/stream", clients, tunes, seeds)
                        for clients, tunes in zip(CLIENTS, TUNES[name], strict=True)
                    ]
                result[name]["resident_megabytes"] = server.resident_megabytes()
            for row in result[name]["generate"] + result[name].get("stream", []):
                print(name, {key: round(value, 2) for key, value in row.items()}, flush=True)
    result["ratios"] = ratios(result)
    result["model"] = {
        "digest": bundle.digest,
        "layers": bundle.spec["layers"],
        "hidden_size": bundle.spec["hidden_size"],
        "steps_per_call": bundle.spec["steps_per_call"],
        "variant": TuneModel.load(bundle, served_variant(bundle)).variant,
    }
    result["machine"] = {
        "processor": processor(),
        "cores": len(cores),
        "load_before": load_before,
        "peak_client_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    write_json(options.out, result)
    print(json.dumps(result["ratios"], indent=2))


def ratios(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Ours against each of the others, with both sides of every ratio."""
    found = []
    for other, target in TARGETS.items():
        for index, clients in enumerate(CLIENTS):
            for unit in ("tunes_per_second", "tunes_per_processor_second"):
                ours, theirs = (result[name]["generate"][index][unit] for name in ("ours", other))
                ratio = {"against": other, "clients": clients, "unit": unit, "ours": ours, "theirs": theirs}
                found.append({**ratio, "ratio": ours / theirs, "target": target if clients == CLIENTS[-1] else None})
    return found


if __name__ == "__main__":
    main()
