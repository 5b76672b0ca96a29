"""Do prompts and answers have the lengths that were asked for, where a server reads token ids?"""

from __future__ import annotations

import json

from harness.engine import runlog
from tests.command_line import run


def test_a_trace_asks_a_server_for_its_lengths_and_shares_its_prefixes(golden, tmp_path):
    golden.set(ttft_ms=2, per_token_ms=0.1, tokens=3, prefix_cache=True)
    file = tmp_path / "moon.jsonl"
    rows = [
        {
            "timestamp": 30 * i,
            "input_length": 1100 + i,
            "output_length": 5 + i % 7,
            "hash_ids": [7, 8, 100 + i],
        }
        for i in range(64)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    words = (
        f"--base-url {golden.url} --tokenizer smollm2-135m --endpoint completions --warmup 0"
        f" --scenario server --load trace:{file} --min-queries 64 --min-duration 0"
    )
    result, _ = run(words, tmp_path / "runs", code=None)
    (folder,) = (tmp_path / "runs").iterdir()
    log, _ = runlog.read_log(folder)
    assert result["counts"]["completed"] == 64
    salt = log.seen[0].prompt_tokens - 1100
    assert 1 <= salt <= 4
    for i, row in enumerate(rows):
        assert log.seen[i].prompt_tokens == row["input_length"] + salt
    assert log.tokens.tolist() == [row["output_length"] for row in rows]
    shared = [log.seen[i].cached_tokens for i in range(1, 64)]
    assert min(shared) >= 1024 - 16, "the two blocks that all have in common"
    assert max(shared) < 1100
