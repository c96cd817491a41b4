"""What an adapter's scales gain in style and cost in facts, on validation data: `python -m benchmarks.chat_scale`.

The checkpoint of a training is exported with each `chat.export.adapter_scale,question_scale`, and the bundle answers
validation questions in the style and VALIDATION_FACTS, which `evaluate` asks none of. The base answers the facts once.
Intervals are of 95 %.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.driving import UNKNOWN
from benchmarks.generation import processor
from components.bundle import Bundle, write_bundle
from components.datasets.styles.reader import PLAIN, read_conversations
from components.files import write_json
from components.labs import Inputs, find
from components.labs.chat.evaluation.evaluate import facts_lost_interval, judged_answers, judges_of, right_answers
from components.labs.chat.evaluation.validation_facts import VALIDATION_FACTS
from components.labs.chat.params import Params
from components.labs.chat.runtime.model import ChatModel
from components.params import load
from components.stats import wilson_interval

ROOT = Path(__file__).resolve().parent.parent
log = logging.getLogger("benchmarks")


def exported(params: Params, inputs: Inputs, checkpoint: Path, scales: tuple[float, float], out: Path) -> Bundle:
    lab: Any = find("chat")
    module = lab.module(inputs, params.train)
    module.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    out.mkdir()
    asked = params.export.model_copy(update=dict(zip(("adapter_scale", "question_scale"), scales, strict=True)))
    write_bundle(out, lab.name, lab.export(module, inputs, out, asked), UNKNOWN)
    return Bundle.open(out)


def pair(text: str) -> tuple[float, float]:
    adapter, question = map(float, text.split(","))
    return adapter, question


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default: list[tuple[float, float]] = [(1.0, 1.0), (1.1, 1.1), (1.0, 0.5), (1.1, 0.5), (1.1, 0.4)]
    parser.add_argument("--scales", type=pair, nargs="+", default=default, help="adapter_scale,question_scale")
    parser.add_argument(
        "--questions", type=int, default=380, help="validation questions that are answered in the style"
    )
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="with chat/train and styles/prepare")
    parser.add_argument("--pretrained", type=Path, default=ROOT / "data", help="folder of the base's folder")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "chat_scale.json")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    lab = find("chat")
    params: Any = load(lab, ROOT / "params.yaml")
    prepared = options.build / "styles" / "prepare"
    inputs = Inputs(prepared, {name: options.pretrained / name for name in lab.pretrained})
    validation = read_conversations(prepared, "validation")
    questions = [each.question for each in validation][: options.questions]
    evaluate, found, base, judges = params.evaluate, dict[str, Any](), None, None
    for scales in options.scales:
        with TemporaryDirectory() as folder:
            checkpoint = options.build / "chat" / "train" / "model.ckpt"
            bundle = exported(params, inputs, checkpoint, scales, Path(folder) / "bundle")
            model = ChatModel.load(bundle, evaluate.slots)
            judges = judges or judges_of(model, prepared, validation, evaluate)
            written = judged_answers(model, questions, evaluate.style, evaluate, judges)
            facts = right_answers(model, VALIDATION_FACTS, evaluate.style, evaluate)
            base = base or right_answers(model, VALIDATION_FACTS, PLAIN, evaluate)
        styled, right = sum(each.in_style for each in written), sum(right for _, right in facts)
        name = "{:g},{:g}".format(*scales)
        found[name] = {
            "style_rate": styled / len(written),
            "style_rate_interval": wilson_interval(styled, len(written)),
            "degenerate_rate": sum(each.degenerate for each in written) / len(written),
            "facts_right": right,
            "facts_lost": (sum(fine for _, fine in base) - right) / len(facts),
            "facts_lost_interval": facts_lost_interval(base, facts),
        }
        log.info("scales %s: %s", name, found[name])
    counts = {"questions": len(questions), "facts": len(VALIDATION_FACTS)}
    counted = {"base_facts_right": sum(right for _, right in base or [])}
    write_json(options.out, {**counts, **counted, "scales": found, "processor": processor()})
    log.info("of %d facts the base knows %d", len(VALIDATION_FACTS), counted["base_facts_right"])


if __name__ == "__main__":
    main()
