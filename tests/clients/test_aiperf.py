"""AIPerf, NVIDIA's load generator, in both of its endpoint types."""

from __future__ import annotations

import json

import pytest

PROGRAM = "aiperf"


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_a_profile_finds_every_request_answered(program, served, folder, tmp_path, kind):
    program.run(
        "aiperf", "profile", "--model", served["models"][0], "--tokenizer", folder,
        "--url", served["url"].removesuffix("/v1"), "--endpoint-type", kind, "--streaming",
        "--request-count", "8", "--concurrency", "2", "--random-seed", "1",
        "--synthetic-input-tokens-mean", "32", "--output-tokens-mean", "8",
        "--extra-inputs", "ignore_eos:true", "--ui", "none", "--artifact-dir", str(tmp_path),
        HF_HUB_OFFLINE="",  # else AIPerf looks for the folder in the cache of the hub
    )  # fmt: skip
    (file,) = tmp_path.glob("**/profile_export_aiperf.json")
    found = json.loads(file.read_text())
    assert found["request_count"]["avg"] == 8
    assert found["output_sequence_length"]["avg"] == pytest.approx(8, abs=1)
    assert found["time_to_first_token"]["avg"] < found["request_latency"]["avg"]
    assert "error_request_count" not in found
