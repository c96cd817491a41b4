"""Pictures a second over HTTP, beside the usual ways to serve: `python -m benchmarks.faces_serving --bundle <folder>`.

Servers in turn, each on one core with the clients on another, sent the same 640 x 480 JPEGs: ours; FastAPI with the
same network in eager torch; BentoML with a typed image method, as its quickstart has it, and the bundle's own graph;
`mlflow models serve` with that graph in a pyfunc. Clients ask again as soon as they are answered. On a busy machine the
wall clock says little, so pictures per second of processor time stand beside it. The bundle must be evaluated: a folder
that promote registered, or `models:/faces@champion`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

from benchmarks.generation import processor
from benchmarks.serving import ROOT, Server, started
from components.bundle import Bundle
from components.datasets.faces.reader import SIZE
from components.files import write_json
from components.labs.faces import LAB
from components.labs.faces.params import Train
from components.labs.faces.runtime.model import FaceModel
from components.params import load
from serving.core.bundles import open_bundle

CLIENTS = (1, 16)
REQUESTS = (200, 1600)
SIDES = (640, 480)
PICTURES = 32
QUALITY = 85
TARGET, P99_MS, DETECT_MS = 2.5, 35.0, 60.0
"""Times the best of the others with 16 clients, milliseconds at 16 clients, and of /detect with one client."""
OTHERS = ("fastapi_eager_torch", "bentoml_quickstart", "mlflow_models_serve")


def pictures(data: Path) -> list[bytes]:
    """Photographs without people and faces alike, each as a JPEG of SIDES."""
    from itertools import islice

    from components.sources.archive import read_tar

    half = PICTURES // 2
    photographs = islice(read_tar(data / "caltech101" / "caltech101_nonfaces.tar"), 0, 20 * half, 20)
    faces = islice(read_tar(data / "fairface" / "fairface_val_5k.tar"), half)
    made = []
    for _, content in (*photographs, *faces):
        with Image.open(io.BytesIO(content)) as image:
            content_of = io.BytesIO()
            image.convert("RGB").resize(SIDES, Image.Resampling.BICUBIC).save(content_of, "JPEG", quality=QUALITY)
        made.append(content_of.getvalue())
    return made


def request_of(server: str, content: bytes) -> dict[str, Any]:
    """What aiohttp posts: each server gets a picture the way it takes one."""
    if server == "ours":
        return {"data": content, "headers": {"content-type": "image/jpeg"}}
    if server == "mlflow_models_serve":
        return {"json": {"dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(content).decode()]]}}}
    form = aiohttp.FormData()
    form.add_field("image", content, filename="picture.jpg", content_type="image/jpeg")
    return {"data": form}


async def bear(server: str, address: str, path: str, clients: int, count: int, images: list[bytes]) -> Any:
    """`clients` send `count` pictures altogether; returns the seconds of each answer, and of all of it."""
    seconds: list[float] = []
    left = iter(range(count))

    async def ask(session: aiohttp.ClientSession, index: int) -> float:
        wish = request_of(server, images[index % len(images)])
        begun = time.perf_counter()
        async with session.post(path, **wish) as answer:
            content = await answer.read()
            assert answer.status == 200, content
        return time.perf_counter() - begun

    async def client(session: aiohttp.ClientSession) -> None:
        for index in left:
            seconds.append(await ask(session, index))  # noqa: PERF401 - all clients take from one iterator

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(address, connector=connector, timeout=aiohttp.ClientTimeout(300)) as session:
        for index in range(len(images)):
            await ask(session, index)
        begun = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        return seconds, time.perf_counter() - begun


def measure(server: Server, name: str, path: str, clients: int, count: int, images: list[bytes]) -> dict[str, float]:
    before = server.processor_seconds()
    seconds, whole = asyncio.run(bear(name, server.address, path, clients, count, images))
    used = server.processor_seconds() - before
    return {
        "clients": clients,
        "requests": len(seconds),
        "requests_per_second": len(seconds) / whole,
        "requests_per_processor_second": (len(seconds) + len(images)) / used,
        "p50_ms": 1000 * float(np.percentile(seconds, 50)),
        "p99_ms": 1000 * float(np.percentile(seconds, 99)),
    }


def reduced(content: bytes) -> np.ndarray:
    """(1, SIZE, SIZE, 3) uint8, the way most would write it."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))[None]


def serve_fastapi(port: int) -> None:
    """The network of params.yaml in eager torch, untrained: a picture takes it the same time."""
    import fastapi
    import torch
    import uvicorn

    from components.labs.faces.export.bundle import scaled
    from components.labs.faces.training.model import FaceClassifier

    torch.set_num_threads(1)
    params = load(LAB, ROOT / "params.yaml").train
    assert isinstance(params, Train)
    model = FaceClassifier(params).eval()
    app = fastapi.FastAPI()

    def classify(image: fastapi.UploadFile) -> dict[str, float]:
        with torch.inference_mode():
            logits = model.encoder(scaled(torch.from_numpy(reduced(image.file.read()).copy())))
        return {"probability": float(torch.sigmoid(logits.flatten()[0]))}

    classify.__annotations__ = {"image": fastapi.UploadFile, "return": dict[str, float]}
    app.post("/classify")(classify)
    uvicorn.run(app, port=port, log_level="warning")


def serve_bentoml(bundle: Path, port: int) -> None:
    import bentoml
    import uvicorn

    model = FaceModel.load(Bundle.open(bundle))

    class Quickstart:
        def classify(self, image: Image.Image) -> dict[str, float]:
            crop = np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))[None]
            return {"probability": float(model.probabilities(crop)[0])}

    Quickstart.classify.__annotations__ = {"image": Image.Image, "return": dict[str, float]}
    Quickstart.classify = bentoml.api(Quickstart.classify)  # type: ignore[method-assign]
    uvicorn.run(bentoml.service(Quickstart).to_asgi(), port=port, log_level="warning")


def save_mlflow(bundle: Path, folder: Path) -> None:
    import mlflow
    import pandas as pd

    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(Path(__file__).with_name("mlflow_faces.py")),
        artifacts={"bundle": str(bundle)},
        pip_requirements=[],
        signature=mlflow.models.infer_signature(pd.DataFrame({"image": ["text"]}), [0.5]),
    )


def servers(reference: str, bundle: Path, scratch: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Path of the route and command of each server."""
    save_mlflow(bundle, scratch / "model")
    this = ("benchmarks.faces_serving", "--bundle", str(bundle), "--serve")
    return {
        "ours": ("/classify", ("serving.faces.service", "--bundle", reference, "--allow-unpromoted")),
        "fastapi_eager_torch": ("/classify", (*this, "fastapi")),
        "bentoml_quickstart": ("/classify", (*this, "bentoml")),
        "mlflow_models_serve": (
            "/invocations",
            ("mlflow", "models", "serve", "-m", str(scratch / "model"), "--env-manager", "local"),
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", default="models:/faces@champion")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "faces")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faces_serving.json")
    parser.add_argument("--serve", choices=("fastapi", "bentoml"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "fastapi":
        serve_fastapi(options.port)
    elif options.serve == "bentoml":
        serve_bentoml(Path(options.bundle), options.port)
    else:
        compare(options.bundle, options.data, options.out)


def compare(reference: str, data: Path, out: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    images = pictures(data)
    result: dict[str, Any] = {"picture": {"sides": SIDES, "bytes": float(np.mean([len(image) for image in images]))}}
    with open_bundle(reference, ("faces",), allow_unpromoted=True) as served, tempfile.TemporaryDirectory() as scratch:
        bundle = served.bundle
        for name, (path, arguments) in servers(reference, bundle.folder.resolve(), Path(scratch)).items():
            with started(cores[0], *arguments) as (server, ready):
                rows = [
                    measure(server, name, path, clients, count, images)
                    for clients, count in zip(CLIENTS, REQUESTS, strict=True)
                ]
                result[name] = {"ready_seconds": ready, "classify": rows}
                if name == "ours":
                    result[name]["detect"] = [measure(server, name, "/detect", 1, 100, images)]
                result[name]["resident_megabytes"] = server.resident_megabytes()
            for row in rows + result[name].get("detect", []):
                print(name, {key: round(value, 2) for key, value in row.items()}, flush=True)
        result["model"] = {"digest": bundle.digest, "spec": bundle.spec}
    result["ratios"] = ratios(result)
    result["targets"] = targets(result)
    result["machine"] = {"processor": processor(), "cores": len(cores), "load_before": os.getloadavg()[2]}
    write_json(out, result)
    print(json.dumps(result["ratios"] + result["targets"], indent=2))


def ratios(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Ours against each of the others, with both sides of every ratio; the target is for the best of them."""
    found = []
    for other in OTHERS:
        for index, clients in enumerate(CLIENTS):
            for unit in ("requests_per_second", "requests_per_processor_second"):
                ours, theirs = (result[name]["classify"][index][unit] for name in ("ours", other))
                ratio = {"against": other, "clients": clients, "unit": unit, "ours": ours, "theirs": theirs}
                found.append({**ratio, "ratio": ours / theirs, "target": TARGET if clients == CLIENTS[-1] else None})
    return found


def targets(result: dict[str, Any]) -> list[dict[str, Any]]:
    ours = result["ours"]
    return [
        {"what": "classify, p99 at 16 clients, ms", "value": ours["classify"][-1]["p99_ms"], "target": P99_MS},
        {"what": "detect, p50 at one client, ms", "value": ours["detect"][0]["p50_ms"], "target": DETECT_MS},
    ]


if __name__ == "__main__":
    main()
