"""What does a user get who has a server started for a run? Through the command line; the server
that comes up has known answers (`sut.golden`).
"""

from __future__ import annotations

import os

import psutil
import pytest

from tests import command_line

FEW = "--scenario single-stream --num-samples 8 --max-new-tokens 8 --min-queries 64 --warmup 0"


@pytest.fixture
def run(tmp_path, tiny_llama):
    """run(words, code) -> (result.json, what stood on the screen, the folder)."""

    def call(words, code=0):
        folder = tmp_path / "runs"
        return *command_line.run(f"--model {tiny_llama} {FEW} {words}", folder, code), folder

    return call


def test_a_server_is_started_measured_and_ended(run, golden_environment):
    # its ids are not those of the model's tokenizer, which the rule `text` finds out
    words = f"--sut vllm --variant bf16 --server-python {golden_environment}"
    found, screen, folder = run(words, code=1)
    assert found["sut"] == "vllm"
    assert found["counts"]["completed"] == found["counts"]["samples"] >= 64
    assert found["counts"]["tokens"] == 6 * found["counts"]["samples"]
    started = found["sut_facts"]["started"]
    assert "bfloat16" in started["command"]
    assert found["memory"]["rss_peak_bytes"] > 1_000_000
    assert "vllm" in screen
    assert "ready" in next(folder.glob("*/sut.log")).read_text()
    mine = psutil.Process(os.getpid()).children(recursive=True)
    assert not [each for each in mine if "--port" in " ".join(each.cmdline())]


def test_one_that_does_not_come_up_ends_the_run_with_its_last_words(run, environment):
    words = f"--sut vllm --variant bf16 --server-python {environment} --server-arg=--dies"
    _, screen, folder = run(words, code=3)
    assert "starting vllm: it ended with exit code 1" in screen
    assert "CUDA out of memory, or so" in " ".join(screen.split())
    assert "CUDA" in next(folder.glob("*/sut.log")).read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--sut vllm --variant Q4_K_M", "variant of --sut vllm: 'Q4_K_M' is not known"),
        ("--sut local --variant Q4_K_M", "variant: 'Q4_K_M' is not known"),
        ("--sut vllm --base-url http://localhost:1", "starts its server itself"),
        ("--sut vllm --merge-adapter", "only a local model can do this"),
        ("--sut local --server-arg=--x", "--sut local starts no server"),
        ("--sut llama-server --variant native --server-python here", "no Python program"),
    ],
)
def test_what_does_not_go_together_is_refused(run, llama, words, complaint):
    assert complaint in " ".join(run(words, code=2)[1].split())
