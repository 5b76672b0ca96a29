"""One run of a client: how it is called, and where it writes what it has measured.

All give milliseconds: the mean time to the first token, the mean time per token after it, and the
mean of the whole answer.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests import ROOT

TOKENS = 32
_LIMIT_S = 3_600


class Load(NamedTuple):
    """What is asked, of whom. `rate` 0: one at a time. `raw` has a prompt a line, `templated` the
    same in the model's own template.
    """

    url: str
    model: str
    tokenizer: str
    requests: int
    rate: float
    raw: Path
    templated: Path
    seed: int


class Means(NamedTuple):
    requests: int
    ttft_ms: float
    tpot_ms: float
    latency_ms: float


def ours(load: Load, folder: Path, python: str) -> Means:
    rate = ("--scenario", "server", "--target-qps", str(load.rate))
    words = [
        python, "-m", "harness", "run", *(rate if load.rate else ("--scenario", "single-stream")),
        "--base-url", load.url, "--model", load.model, "--tokenizer", load.tokenizer,
        "--shared-prefix", "--dataset", str(load.raw), "--prompt-column", "prompt",
        "--num-samples", str(load.requests), "--issue", "unique", "--min-duration", "0",
        "--min-queries", str(load.requests), "--max-queries", str(load.requests),
        "--max-new-tokens", str(TOKENS), "--warmup", "0", "--seeds", f"{load.seed},1,1",
        "--output-dir", str(folder),
    ]  # fmt: skip
    _run(words, {"PYTHONPATH": str(ROOT)})
    found = _json(next(folder.glob("*/result.json")))
    means = [found["latency"][name]["mean"] for name in ("ttft_ms", "tpot_ms", "latency_ms")]
    return Means(found["counts"]["completed"], *means)


def vllm_bench(load: Load, folder: Path, python: str) -> Means:
    start = "import argparse;from vllm.benchmarks import serve as s;p=argparse.ArgumentParser();"
    start += "s.add_cli_args(p);s.main(p.parse_args())"  # `vllm` itself wants the package's name
    rate = ("--request-rate", str(load.rate)) if load.rate else ("--max-concurrency", "1")
    words = [
        python, "-c", start, "--backend", "openai", "--base-url", load.url.removesuffix("/v1"),
        "--endpoint", "/v1/completions", "--model", load.model, "--tokenizer", load.tokenizer,
        "--dataset-name", "custom", "--dataset-path", str(load.templated), "--skip-chat-template",
        "--custom-output-len", str(TOKENS), "--disable-shuffle", "--temperature", "0", *rate,
        "--num-prompts", str(load.requests), "--seed", str(load.seed), "--save-result",
        "--result-dir", str(folder), "--result-filename", "found.json",
        "--percentile-metrics", "ttft,tpot,e2el",
    ]  # fmt: skip
    _run(words)
    found = _json(folder / "found.json")
    means = [found[f"mean_{name}_ms"] for name in ("ttft", "tpot", "e2el")]
    return Means(found["completed"], *means)


def guidellm(load: Load, folder: Path, python: str) -> Means:
    profile = f"kind=poisson,rate={load.rate}" if load.rate else "kind=synchronous"
    target = load.url.removesuffix("/v1")
    words = [
        python, "-m", "guidellm", "run", "--profile", profile,
        "--backend", f"kind=openai_http,target={target},model={load.model},"
        f"request_format=/v1/completions,extras.body.max_tokens={TOKENS},"
        "extras.body.temperature=0",
        "--tokenizer", f"kind=huggingface_auto,model={load.tokenizer}",
        "--data", f"kind=json_file,path={load.templated}", "--disable-console",
        "--constraint", f"kind=max_requests,count={load.requests}",
        "--seed", f"kind=static,value={load.seed}",
        "--output", f"kind=json,path={folder / 'found.json'}",
    ]  # fmt: skip
    _run(words)
    (found,) = _json(folder / "found.json")["benchmarks"]
    metrics = found["metrics"]
    names = ("time_to_first_token_ms", "inter_token_latency_ms", "request_latency")
    ttft, tpot, latency_s = (metrics[name]["successful"]["mean"] for name in names)
    return Means(found["metrics"]["request_totals"]["successful"], ttft, tpot, 1e3 * latency_s)


CLIENTS = {"harness run": ours, "vllm bench serve": vllm_bench, "guidellm run": guidellm}


def _run(words: list[str], more: dict[str, str] | None = None) -> None:
    """Run a client to its end; show what it said if it failed. Our own may find a run INVALID."""
    variables = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", **(more or {})}
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, **variables}, timeout=_LIMIT_S
    )
    if done.returncode not in (0, 1) or (done.returncode and "harness" not in words):
        sys.exit(f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
