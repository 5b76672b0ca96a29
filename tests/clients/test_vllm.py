"""`vllm bench serve`, through the functions of its command line: the command itself asks for a
package called vllm, and the build for CPUs is called otherwise.
"""

from __future__ import annotations

import json

import pytest

PROGRAM = "vllm"
RUN = """
import argparse
from vllm.benchmarks.serve import add_cli_args, main

parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_a_benchmark_finds_every_request_answered(program, served, folder, tmp_path, backend):
    path = "/v1/chat/completions" if backend == "openai-chat" else "/v1/completions"
    program.run(
        "python", "-c", RUN, "--backend", backend, "--endpoint", path,
        "--base-url", served["url"].removesuffix("/v1"), "--model", served["models"][0],
        "--tokenizer", folder, "--dataset-name", "random", "--random-input-len", "32",
        "--random-output-len", "8", "--num-prompts", "8", "--max-concurrency", "4", "--ignore-eos",
        "--seed", "1", "--save-result", "--result-dir", str(tmp_path),
        "--result-filename", "found.json",
    )  # fmt: skip
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["completed"], found["total_output_tokens"]) == (8, 64)
    assert found["mean_ttft_ms"] > 0
    assert found["mean_itl_ms"] > 0
