"""Tokens a second of the chat API, against eager transformers and llama.cpp: `python -m benchmarks.chat`.

Four servers in turn, each pinned to one core with the clients on another, are asked for the same answers over OpenAI's
API, streamed: ours, tuned to a style; llama.cpp (in the wheel xllamacpp) with the same weights, which are the base's
own GGUF file and our adapter as another; llama.cpp with the base alone; and eager transformers with the base alone in
32-bit floats, one answer at a time, as a notebook's loop would write it. llama.cpp has as many slots as ours. An answer
has TOKENS tokens, fewer where the model ends it; the servers count them. Clients ask again as soon as they are
answered. On a busy machine the wall clock says little, so tokens per second of processor time stand beside it.

`--same-seed` instead says how many answers of a seed come out equal alone and beside others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from benchmarks.generation import processor
from benchmarks.serving import ROOT, Server, started
from components.bundle import Bundle
from components.datasets.styles.template_reader import Message
from components.files import write_json
from components.labs.chat.params import Sampling
from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import ask as request_of
from components.labs.chat.runtime.sampler import write_all
from components.labs.chat.training.base import GGUF_NAMES
from components.labs.chat.training.network import PRODUCTS

TOKENS = 64
CLIENTS = (1, 4, 8, 16)
ANSWERS = {
    "ours": (8, 16, 64, 64),
    "llama_cpp": (8, 16, 64, 64),
    "llama_cpp_base": (8, 16, 32, 32),
    "eager": (3, 4, 8, 8),
}
"""Asked of each server, by number of clients."""
SLOTS = 8
"""Answers that a server writes together; ours has as many."""
CONTEXT = 1024
TARGETS = {("eager", 1): 4.0, ("eager", 8): 10.0, **{("llama_cpp", clients): 1.0 for clients in CLIENTS}}
"""How many times their tokens per processor second."""
SAME_SEED = 32
"""Answers that are written alone and together."""


def questions(count: int) -> list[str]:
    """They ask for more than TOKENS tokens."""
    things = ("a river", "bread", "the moon", "a ship", "winter", "a forest", "music", "a city", "honey", "a bridge")
    asked = ("Tell me a long story about {}.", "Explain to a child, in detail, what {} is.", "Write an essay on {}.")
    return [asked[index % 3].format(things[index // 3 % 10]) for index in range(count)]


@dataclass
class Load:
    """What the clients saw."""

    tokens: int = 0
    first: list[float] = field(default_factory=list)
    """Seconds to each answer's first characters."""
    seconds: list[float] = field(default_factory=list)
    """To each answer's end."""


async def ask(session: aiohttp.ClientSession, question: str, load: Load) -> None:
    body = {
        "model": "yoda",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begun, first, tokens = time.perf_counter(), 0.0, 0
    async with session.post("/v1/chat/completions", json=body) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if not first and any(choice["delta"].get("content") for choice in chunk["choices"]):
                first = time.perf_counter() - begun
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    assert first and tokens, "no text, or nobody counted its tokens"
    load.first.append(first)
    load.seconds.append(time.perf_counter() - begun)
    load.tokens += tokens


async def bear(address: str, clients: int, answers: int) -> tuple[Load, float]:
    """`clients` ask for `answers` altogether; returns what they saw and the seconds it took."""
    load, left = Load(), iter(questions(answers))

    async def client() -> None:
        for question in left:
            await ask(session, question, load)

    connector = aiohttp.TCPConnector(force_close=True)  # llama.cpp's server hangs up on a connection that it kept
    async with aiohttp.ClientSession(address, connector=connector, timeout=aiohttp.ClientTimeout(1800)) as session:
        await ask(session, "Hello!", Load())
        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return load, time.perf_counter() - begun


def measure(server: Server, clients: int, answers: int) -> dict[str, float]:
    before = server.processor_seconds()
    load, seconds = asyncio.run(bear(server.address, clients, answers))
    used = server.processor_seconds() - before
    return {
        "clients": clients,
        "answers": len(load.seconds),
        "tokens": load.tokens,
        "tokens_per_second": load.tokens / seconds,
        "tokens_per_processor_second": load.tokens / used,
        **{f"first_text_p{p}_ms": 1000 * float(np.percentile(load.first, p)) for p in (50, 99)},
        "answer_p50_seconds": float(np.percentile(load.seconds, 50)),
    }


def write_lora(bundle: Bundle, style: str, path: Path) -> None:
    """A style's adapter in llama.cpp's format, taken out of the exported graph."""
    import onnx
    from gguf import GGUFWriter

    graph = onnx.load(bundle.folder / bundle.manifest.graphs["int8"].file).graph
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    rank, styles, size = bundle.spec["rank"], bundle.spec["styles"], bundle.spec["head_size"]
    writer = GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))  # the graph's weights are scaled already
    first = (styles.index(style) - len(styles)) * rank
    rows = slice(first, first + rank or None)
    sizes = dict.fromkeys(("q", "o", "down"), bundle.spec["size"])
    sizes |= dict.fromkeys(("k", "v"), bundle.spec["kv_heads"] * size)
    for layer in range(bundle.spec["layers"]):
        for product, names in PRODUCTS.items():
            a = np.ascontiguousarray(weights[f"{product}_{layer}_down"][:, rows].T)
            b = weights[f"{product}_{layer}_up"][rows].T
            start = 0
            for name in names:
                count = sizes.get(name, len(b) // len(names))
                part, start = b[start : start + count], start + count
                if name in ("q", "k"):  # ggml keeps the two numbers that a rotation turns side by side
                    part = part.reshape(-1, 2, size // 2, rank).swapaxes(1, 2).reshape(count, rank)
                there = f"blk.{layer}.{GGUF_NAMES[name]}.weight"
                writer.add_tensor(f"{there}.lora_a", a)
                writer.add_tensor(f"{there}.lora_b", np.ascontiguousarray(part))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve_llama_cpp(base: Path, port: int, lora: Path | None = None) -> None:
    from xllamacpp import CommonAdapterLoraInfo, CommonParams, Server

    params = CommonParams()
    if lora:
        adapter = CommonAdapterLoraInfo()
        adapter.path, adapter.scale = str(lora), 1.0
        params.lora_adapters = [adapter]
    params.model.path = str(base)
    params.port, params.n_parallel, params.n_ctx = port, SLOTS, SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


def serve_eager(base: Path, port: int) -> None:
    """transformers' own `generate`, streamed, one answer at a time."""
    import threading

    import torch
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import iterate_in_threadpool
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

    torch.set_num_threads(1)
    tokenizer: Any = AutoTokenizer.from_pretrained(base.parent, gguf_file=base.name)
    model: Any = AutoModelForCausalLM.from_pretrained(base.parent, gguf_file=base.name, dtype=torch.float32)
    model.eval()
    one_at_a_time = asyncio.Lock()

    def pieces(messages: list[dict[str, str]], most: int) -> Iterator[bytes]:
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        written: list[Any] = []

        def write() -> None:
            with torch.inference_mode():
                written.append(model.generate(**prompt, max_new_tokens=most, do_sample=False, streamer=streamer))

        thread = threading.Thread(target=write)
        thread.start()
        for text in streamer:
            yield chunk([{"delta": {"content": text}}])
        thread.join()
        yield chunk([], usage={"completion_tokens": written[0].shape[1] - prompt["input_ids"].shape[1]})

    def chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return f"data: {json.dumps({'choices': choices, **more})}\n\n".encode()

    async def answer(request: Request) -> StreamingResponse:
        body = await request.json()

        async def stream() -> Any:
            async with one_at_a_time:
                async for piece in iterate_in_threadpool(pieces(body["messages"], body["max_tokens"])):
                    yield piece

        return StreamingResponse(stream(), media_type="text/event-stream")

    routes = [Route("/v1/chat/completions", answer, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning")


PEERS = ("llama_cpp", "llama_cpp_base", "eager")


def same_seed(bundle: Bundle) -> dict[str, Any]:
    """How many of SAME_SEED answers are equal, token by token, alone and written SLOTS at a time."""
    found: dict[str, Any] = {"answers": SAME_SEED, "tokens": TOKENS}
    model = ChatModel.load(bundle, SLOTS)
    for temperature in (0.0, 0.8):
        sampling = Sampling(temperature=temperature, top_k=0, top_p=1.0, repetition_penalty=1.2, max_tokens=TOKENS)
        asked = [
            request_of(model, [Message("user", text)], "yoda", sampling, seed)
            for seed, text in enumerate(questions(SAME_SEED))
        ]
        written = [
            [answer.tokens for together in each for answer in write_all(model, together)]
            for each in ([asked], [[request] for request in asked])
        ]
        found[f"equal_at_temperature_{temperature}"] = sum(map(list.__eq__, *written)) / SAME_SEED
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "chat" / "export")
    parser.add_argument("--base", type=Path, default=ROOT / "data/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "chat.json")
    parser.add_argument("--same-seed", action="store_true", help="only how often a seed's answer depends on others")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--lora", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve = serve_eager if options.serve == "eager" else partial(serve_llama_cpp, lora=options.lora)
        serve(options.base, options.port)
        return
    if options.same_seed:
        print(json.dumps(same_seed(Bundle.open(options.bundle)), indent=2))
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    result: dict[str, Any] = {"tokens_per_answer": TOKENS, "slots": SLOTS, "load_before": os.getloadavg()[0]}
    ours = ("serving", "chat", "--bundle", str(options.bundle.resolve()), "--allow-unpromoted")
    lora = options.out.resolve().with_suffix(".gguf")
    write_lora(Bundle.open(options.bundle), "yoda", lora)
    for name in ANSWERS:
        peer = ["benchmarks.chat", "--serve", name, "--base", str(options.base.resolve())]
        if name == "llama_cpp":
            peer += ["--lora", str(lora)]
        with started(cores[0], *(ours if name == "ours" else peer)) as (server, ready):
            rows = []
            for load in zip(CLIENTS, ANSWERS[name], strict=True):
                rows.append(measure(server, *load))
                print(name, {key: round(value, 2) for key, value in rows[-1].items()}, flush=True)
            result[name] = {"ready_seconds": ready, "rows": rows, "resident_megabytes": server.resident_megabytes()}
    lora.unlink()
    result["ratios"] = ratios(result)
    result["model_digest"] = Bundle.open(options.bundle).digest
    result["machine"] = {"processor": processor(), "cores": len(cores)}
    write_json(options.out, result)
    print(json.dumps(result["ratios"], indent=2))


def ratios(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Ours against each of the others, with both sides of every ratio."""
    found = []
    for other in PEERS:
        for index, clients in enumerate(CLIENTS):
            ours, theirs = (result[name]["rows"][index]["tokens_per_processor_second"] for name in ("ours", other))
            ratio = {"against": other, "clients": clients, "ours": ours, "theirs": theirs, "ratio": ours / theirs}
            found.append({**ratio, "target": TARGETS.get((other, clients))})
    return found


if __name__ == "__main__":
    main()
