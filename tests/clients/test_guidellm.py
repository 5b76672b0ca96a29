"""guidellm, the load generator of the vLLM project."""

from __future__ import annotations

import json

PROGRAM = "guidellm"


def test_a_benchmark_finds_every_request_answered(program, served, folder, tmp_path):
    root = served["url"].removesuffix("/v1")
    program.run(
        "guidellm", "run", "--disable-console",
        "--backend", f"kind=openai_http,target={root}",
        "--profile", "kind=concurrent,streams=4",
        "--constraint", "kind=max_requests,count=12",
        "--tokenizer", f"kind=huggingface_auto,model={folder}",
        "--data", "kind=synthetic_text,prompt_tokens=32,output_tokens=16",
        "--output", f"kind=json,path={tmp_path}/found.json",
    )  # fmt: skip
    (found,) = json.loads((tmp_path / "found.json").read_text())["benchmarks"]
    totals = found["metrics"]["request_totals"]
    assert (totals["successful"], totals["errored"]) == (12, 0)
    tokens = found["metrics"]["output_token_count"]["successful"]
    assert tokens["min"] == tokens["max"] == 16, "it asks to ignore the model's own end"
    first = found["metrics"]["time_to_first_token_ms"]["successful"]
    whole = found["metrics"]["request_latency"]["successful"]
    assert 0 < first["mean"] < 1e3 * whole["mean"]
