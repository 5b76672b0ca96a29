"""Steady under load? `python -m tests.bench.server_peer MODEL VARIANT QUERIES NEW_TOKENS` prints
rates and TPOT.

Two runs of the harness as a user would make them (process border, driver, recorder): offline gives
the rate that the engine can do, server then offers 70 % of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.options.settings import load_config
from harness.result.result import Result
from harness.running.session import Run

LOAD = 0.7


def figures(model: str, variant: str, queries: int, new_tokens: int) -> dict[str, Any]:
    flags = {
        "model": model, "variant": variant, "max_new_tokens": new_tokens, "min_queries": queries,
        "warmup": min(queries, 64),
    }  # fmt: skip
    offline_tokens_per_s = _run(flags | {"scenario": "offline", "target_qps": 1.0}).throughput[
        "tokens_per_s"
    ]
    assert offline_tokens_per_s
    qps = LOAD * offline_tokens_per_s / new_tokens
    tpot_ms = _run(flags | {"scenario": "server", "target_qps": qps}).latency["tpot_ms"]
    return {
        "offline_tokens_per_s": offline_tokens_per_s,
        "qps": qps,
        "tpot_p50_ms": tpot_ms["p50"],
        "tpot_p99_ms": tpot_ms["p99"],
    }


def _run(flags: dict[str, Any]) -> Result:
    with tempfile.TemporaryDirectory() as scratch:
        config = load_config(flags | {"output_dir": Path(scratch)})
        with Run(config, lambda text: None, progress=False) as run:
            result = run.execute()
    assert result.status in (
        "VALID",
        "INVALID",
    ), result.status_reason  # its limits are not ours to judge here
    return result


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
