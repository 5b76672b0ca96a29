"""`python -m sut.precision.train_adapter`: where does the shipped LoRA adapter come from? From
here: seeded, small, nothing hidden.

Part of a question set is trained on, the rest is held out. The loss is teacher-forced on the
answers alone (the end token included); questions go through the model's chat template, as in a run.
The model's weights stay as they are, in bfloat16 while training (half the time); both losses that
are reported are computed in FP32.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel import files
from harness.kernel.clock import RealClock
from sut.model.find import resolve
from sut.precision.lora import SHIPPED, without_notices

_MODEL = "smollm2-135m"
_DATA = Path(__file__).parents[2] / "accuracy" / "datasets" / "qa.jsonl"
_IGNORED = -100  # label of a position that does not count


class Example(NamedTuple):
    key: str
    prompt_ids: list[int]
    answer_ids: list[int]


def main() -> None:
    from transformers.utils import logging as notices

    args = _arguments()
    notices.set_verbosity_error()  # type: ignore[no-untyped-call]
    notices.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it
    clock = RealClock()
    start_ns = clock.now_ns()
    path = resolve(args.model, print).path
    train, held_out = split(read_examples(path, args.data), args.held_out, args.seed)
    before = evaluate(_model(path, "float32"), held_out, "loss before", args.batch)
    tuned = tune(_model(path, "bfloat16"), train, args)
    tuned.peft_config["default"].base_model_name_or_path = args.model
    args.output.mkdir(parents=True, exist_ok=True)
    tuned.save_pretrained(str(args.output), save_embedding_layers=False)
    after = evaluate(_with_adapter(path, args.output), held_out, "loss after", args.batch)
    minutes = (clock.now_ns() - start_ns) / 60e9
    counts = {
        "train": sum(len(e.answer_ids) for e in train),
        "held_out": sum(len(e.answer_ids) for e in held_out),
    }
    keys = {"train": sorted(e.key for e in train), "held_out": sorted(e.key for e in held_out)}
    files.write_json(args.output / "split.json", keys)
    readme = _readme(args, tuned, before, after, counts, minutes)
    files.write_text(args.output / "README.md", readme)
    print(f"held-out loss {before:.4f} -> {after:.4f}, written to {args.output}")


def read_examples(path: str, data: Path) -> list[Example]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = [
        json.loads(line)
        for line in data.read_text(encoding="utf-8-sig").split("\n")
        if line.strip()
    ]
    return [_example(tokenizer, row) for row in rows]


def split(
    examples: Sequence[Example], held_out: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """Return (to train on, held out), by a seeded shuffle."""
    shuffled = random.Random(seed).sample(examples, len(examples))
    return shuffled[held_out:], shuffled[:held_out]


def tune(model: Any, examples: Sequence[Example], args: argparse.Namespace) -> Any:
    """Train the adapter alone by AdamW; the rate falls linearly to 0."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(args.seed)
    config = LoraConfig(
        r=args.rank,
        lora_alpha=2 * args.rank,
        target_modules=["q_proj", "v_proj"],
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    with without_notices():
        tuned = get_peft_model(model, config).train()
    batches = [
        b for epoch in range(args.epochs) for b in _batches(examples, args.batch, args.seed + epoch)
    ]
    optimizer = torch.optim.AdamW(
        [p for p in tuned.parameters() if p.requires_grad], args.learning_rate, weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    for batch in _shown(batches, "training"):
        total, count = _loss(tuned, batch)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return tuned.eval()


def evaluate(model: Any, examples: Sequence[Example], what: str, size: int = 8) -> float:
    """Return the mean negative log likelihood per answer token, in nats."""
    import torch

    with torch.inference_mode():
        parts = [
            _loss(model, batch)
            for batch in _shown(
                [examples[i : i + size] for i in range(0, len(examples), size)], what
            )
        ]
    return sum(float(total) for total, _ in parts) / sum(count for _, count in parts)


def _example(tokenizer: Any, row: dict[str, str]) -> Example:
    turns = [{"role": "user", "content": row["question"]}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, row["answer"])
    ]
    return Example(row["id"], ids[0], [*ids[1], tokenizer.eos_token_id])


def _loss(model: Any, batch: Sequence[Example]) -> tuple[Any, int]:
    """Return (summed loss, answer tokens). Padded on the right: no real token sees padding."""
    import torch

    longest = max(len(e.prompt_ids) + len(e.answer_ids) for e in batch)
    ids, labels = (
        torch.zeros((len(batch), longest), dtype=torch.long),
        torch.full((len(batch), longest), _IGNORED),
    )
    for i, (_, prompt, answer) in enumerate(batch):
        end = len(prompt) + len(answer)
        ids[i, :end] = torch.tensor(prompt + answer)
        labels[i, len(prompt) : end] = torch.tensor(answer)
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
    )
    return total, int((labels != _IGNORED).sum())


def _batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    shuffled = random.Random(seed).sample(examples, len(examples))
    for i in range(0, len(shuffled), size):
        yield shuffled[i : i + size]


def _shown(batches: Sequence[Any], what: str) -> Iterator[Any]:
    from rich.progress import track

    return iter(track(batches, what))


def _model(path: str, dtype_name: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype_name))
    return model.eval()


def _with_adapter(path: str, adapter: Path) -> Any:
    from peft import PeftModel

    with without_notices():
        return PeftModel.from_pretrained(_model(path, "float32"), str(adapter)).eval()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sut.precision.train_adapter",
        description="Train a LoRA adapter on a question set.",
    )
    parser.add_argument("--model", default=_MODEL)
    parser.add_argument("--data", type=Path, default=_DATA, help="JSONL with id, question, answer")
    parser.add_argument("--output", type=Path, default=SHIPPED[_MODEL])
    parser.add_argument("--held-out", type=int, default=50)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _readme(
    args: argparse.Namespace,
    tuned: Any,
    before: float,
    after: float,
    answer_tokens: dict[str, int],
    minutes: float,
) -> str:
    import peft
    import torch
    import transformers

    chosen = ("held_out", "rank", "epochs", "batch", "learning_rate", "seed")
    flags = " ".join(f"--{name.replace('_', '-')} {getattr(args, name):g}" for name in chosen)
    count = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    trained_on = (
        f"{answer_tokens['train']:,} answer tokens, {args.epochs} epochs, {minutes:.1f} minutes"
    )
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (torch, transformers, peft))

    def loss(nats: float) -> str:
        return f"{nats:.4f} nats per answer token (perplexity {math.exp(nats):.2f}), FP32"

    return f"""# A LoRA adapter for {args.model}

Rank {args.rank} on `q_proj` and `v_proj`: {count:,} parameters. Trained on part of
`{args.data.name}`. Apache-2.0, like the model.

| | |
|---|---|
| reproduce | `python -m sut.precision.train_adapter {flags}` |
| split | shuffled with seed {args.seed}; the ids are in `split.json` |
| trained on | {trained_on} |
| held out | {args.held_out} questions, {answer_tokens["held_out"]:,} answer tokens |
| evaluation loss before | {loss(before)} |
| evaluation loss after | {loss(after)} |
| made with | {versions} |

Scores on the questions it was trained on say nothing about the adapter: compare on the held-out
ids.
"""


if __name__ == "__main__":
    main()
