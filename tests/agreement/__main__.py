"""See the package."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.agreement.clients import CLIENTS, TOKENS, Load, Means


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        raw, templated = _prompts(place, given.tokenizer, given.requests)
        pythons = {"harness run": sys.executable, "vllm bench serve": given.vllm}
        pythons["guidellm run"] = given.guidellm
        runs: dict[str, list[Means]] = {name: [] for name in CLIENTS if pythons[name]}
        for number in range(given.runs):
            load = Load(
                given.url, given.model, given.tokenizer, given.requests, given.rate, raw,
                templated, seed=number + 1,
            )  # fmt: skip
            for name, made in runs.items():
                folder = place / f"{name}-{number}".replace(" ", "-")
                folder.mkdir()
                made.append(CLIENTS[name](load, folder, pythons[name]))
                print(f"run {number + 1}, {name}: {made[-1]}", file=sys.stderr, flush=True)
        _show(runs, given.rate)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.agreement")
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--vllm", default="", help="Python that has vLLM")
    parser.add_argument("--guidellm", default="", help="Python that has guidellm")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.0)
    return parser.parse_args()


def _prompts(place: Path, tokenizer: str, count: int) -> tuple[Path, Path]:
    """Write the prompts as they are, and in the model's own template."""
    from transformers import AutoTokenizer

    from accuracy.datasets.files import load_dataset

    words = AutoTokenizer.from_pretrained(tokenizer)
    raw, templated = place / "raw.jsonl", place / "templated.jsonl"
    prompts = [sample.prompt for sample in load_dataset("qa", TOKENS, count).samples]
    made = [
        words.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]
    for file, texts in ((raw, prompts), (templated, made)):
        file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return raw, templated


def _show(runs: dict[str, list[Means]], rate: float) -> None:
    """Print a table: the mean of the runs, and half the distance between the extremes."""
    how = f"Poisson, {rate:g} requests a second" if rate else "one at a time"
    print(f"| {how} | requests | TTFT, ms | time per token, ms | whole answer, ms |")
    print("|---|---|---|---|---|")
    for name, made in runs.items():
        cells = []
        for column in ("ttft_ms", "tpot_ms", "latency_ms"):
            values = [getattr(each, column) for each in made]
            spread = (max(values) - min(values)) / 2
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        asked = "+".join(str(each.requests) for each in made)
        print(f"| {name} | {asked} | {' | '.join(cells)} |")


main()
