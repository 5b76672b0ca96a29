"""`harness compare` over servers, beside one another and beside variants that are loaded here."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import BadInput
from harness.study.cells import cells_of

HERE, THERE = "http://127.0.0.1:8001", "http://127.0.0.1:8002/v1#lora"


def test_servers_and_variants_are_cells_of_one_study(tiny_llama):
    model = str(tiny_llama)
    names = f"fp32,vllm:bf16,{HERE},{THERE}"
    cells = cells_of({"model": model, "dataset": "qa"}, names)
    assert [cell.name for cell in cells] == [
        "fp32", "vllm:bf16", "127.0.0.1:8001", "lora at 127.0.0.1:8002",
    ]  # fmt: skip
    here, started, only, named = (cell.config for cell in cells)
    assert (here.sut, here.variant, here.evaluate) == ("local", "fp32", True)
    assert (started.sut, started.variant, started.evaluate) == ("vllm", "bf16", False)
    assert (only.sut, only.base_url, only.evaluate) == ("served", HERE, False)
    assert (named.base_url, named.model) == ("http://127.0.0.1:8002/v1", "lora")
    assert only.tokenizer == named.tokenizer == model  # the prompts are the same for all


def test_servers_alone_are_asked_in_words_unless_a_tokenizer_is_named(tiny_llama):
    assert [cell.config.tokenizer for cell in cells_of({}, f"{HERE},{THERE}")] == [None, None]
    given = {"tokenizer": str(tiny_llama)}
    cells = cells_of(given, f"{HERE},{THERE}")
    assert [cell.config.tokenizer for cell in cells] == [str(tiny_llama)] * 2


def test_several_rates_of_several_servers_make_a_product():
    cells = cells_of({"scenario": "server", "target_qps": "5,10"}, f"{HERE},{THERE}")
    assert [cell.name for cell in cells] == [
        "127.0.0.1:8001 target-qps=5", "127.0.0.1:8001 target-qps=10",
        "lora at 127.0.0.1:8002 target-qps=5", "lora at 127.0.0.1:8002 target-qps=10",
    ]  # fmt: skip


def test_a_sut_without_variants_is_still_refused():
    with pytest.raises(BadInput, match="simulated SUT has no variants"):
        cells_of({"sut": "simulated"}, "fp32,bf16")


def test_two_models_of_a_server_stand_side_by_side(tmp_path, golden):
    golden.set(tokens=6, ttft_ms=5, per_token_ms=1)
    url = f"http://127.0.0.1:{golden.port}"
    words = ["compare", "--variants", f"{url},{url}/v1", "--scenario", "server", "--target-qps",
             "50", "--min-queries", "60", "--min-duration", "1s", "--dataset", "qa", "--warmup",
             "0", "--output-dir", tmp_path, "--json"]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in words])
    found = json.loads(done.stdout.splitlines()[-1])
    rows = found["rows"]
    assert len(rows) == 2, done.stderr
    assert all(row["tokens_per_s"] > 0 for row in rows)
    assert {row["model"] for row in rows} == {"golden"}
    assert len(list(tmp_path.glob("*_compare*/compare.html"))) == 1
