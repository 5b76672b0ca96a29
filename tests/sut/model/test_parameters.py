"""How many parameters a model has, and how many are trained, as every report says it."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from sut.model.convert import convert
from sut.model.weights import weigh
from tests.gguf_helpers import tied_qwen, write_gguf
from tests.variant_helpers import make_adapter

TEXTS = ["abcd efgh ijkl", "mnop qrst uvwx", "a b c d e f g", "the sky is blue", "so it is, so"]


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> Path:
    """A tied model that came from a GGUF file with the head stored once more, rounded otherwise."""
    folder, model = tmp_path_factory.mktemp("gguf"), tied_qwen()
    head = model.get_input_embeddings().weight
    file = write_gguf(model, folder / "model.gguf", head, "Q8_0", "Q4_0")
    convert(file, folder / "qwen")
    return folder / "qwen"


def measure(model: Path, place: Path, *flags: str) -> dict:
    place.mkdir(exist_ok=True)
    file = place / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    words = ["perplexity", "--model", model, "--dataset", file, "--output-dir", place / "out"]
    fixed = ["--device", "cpu", "--in-process", "--json"]
    done = CliRunner().invoke(app, [*map(str, words), *fixed, *flags])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_head_that_repeats_the_embedding_counts_once_and_is_noted(qwen, tmp_path):
    once = weigh(tied_qwen()).parameters
    repeated = tied_qwen().get_input_embeddings().weight.numel()
    found = measure(qwen, tmp_path, "--variants", "fp32,bf16,int4-quanto")
    for row in found["subjects"]:
        assert row["parameters"] == row["trainable_parameters"] == once
        assert row["repeated_parameters"] == repeated
    assert found["subjects"][0]["figures"]["weights_bytes"] >= 4 * (once + repeated)
    note = f"its output head repeats its embedding matrix ({repeated:,} values, held twice)"
    assert any(note in one for one in found["notes"])
    page = unescape((Path(found["folder"]) / "perplexity.html").read_text())
    assert f"{once / 1e3:.3g}k parameters</bdi></small>" in page
    assert note in page


@pytest.mark.parametrize("merged", [False, True])
def test_of_a_lora_the_adapters_are_trained_of_a_model_all(tiny_llama, tmp_path, merged):
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    flags = ["--variants", "fp32,lora", "--adapter", str(adapter)]
    found = measure(tiny_llama, tmp_path, *flags, *["--merge-adapter"] * merged)
    base, tuned = found["subjects"]
    values = 2 * 4 * ((32 + 32) + (32 + 16))  # rank 4 on q and v of 2 layers
    assert base["trainable_parameters"] == base["parameters"]
    assert tuned["trainable_parameters"] == values
    assert (base["trainable"], tuned["trainable"]) == ("all of the model", "the adapter's")
    assert tuned["parameters"] == base["parameters"] + values * (not merged)
    page = unescape((Path(found["folder"]) / "perplexity.html").read_text())
    assert f"parameters, {values} trainable</bdi></small>" in page
    assert "Trainable: all parameters of a model, but" in page
