"""Runs of one tokenizer over the same samples were asked the same, and one name means one model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.study.comparison.sameness import other_prompts, other_weights
from tests.variant_helpers import fp8_checkpoint

SAMPLES = {"dataset": "qa 1234", "samples": "8", "new tokens": "8", "machine": "a"}


def row(label, digest, tokenizer="t", conditions=SAMPLES, **facts):
    prompts = {"prompts_sha256": digest, "template_date": None, "truncated_samples": []} | facts
    return {"label": label, "tokenizer": tokenizer, "prompts": prompts, "conditions": conditions}


def test_the_same_prompts_are_no_difference():
    assert other_prompts([row("fp32", "a"), row("bf16", "a")]) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, "rules of the tokenizer, such as its start token"),
        ({"template_date": "2024-07-26"}, "the date that it was told"),
        ({"truncated_samples": [3]}, "the prompts that were cut"),
        ({"chat_template_sha256": "x", "truncated_samples": [3]},
         "the chat template, the prompts that were cut"),
    ],
)  # fmt: skip
def test_other_prompts_are_told_with_what_is_known_of_the_cause(facts, why):
    (said,) = other_prompts([row("fp32", "a"), row("bf16", "b", **facts), row("int8", "a")])
    assert said.startswith("prompts: a (fp32, int8); b (bf16): ")
    assert said.endswith(f"what differs: {why}")


@pytest.mark.parametrize(
    "other",
    [
        row("b", "b", tokenizer="u"),  # another model, whose prompts are its own
        row("b", "b", conditions=SAMPLES | {"samples": "16"}),  # varied on purpose, or told already
        row("b", "b", conditions=SAMPLES | {"new tokens": "16"}),
        {"label": "b", "tokenizer": "t", "prompts": None, "conditions": SAMPLES},  # of text alone
        {"label": "b", "tokenizer": "t", "conditions": SAMPLES},  # of an earlier version
    ],
)
def test_what_is_not_of_one_tokenizer_and_the_same_samples_may_differ(other):
    assert other_prompts([row("a", "a"), other]) == []


def test_another_machine_is_no_reason_for_other_prompts():
    assert other_prompts([row("a", "a"), row("b", "b", conditions=SAMPLES | {"machine": "b"})])


def weighed(label, files, tensors, model="m"):
    weights = {"model": model, "files_digest": files, "tensors_digest": tensors}
    return {"label": label, "variant": label.split()[0], "weights": weights}


def test_variants_of_the_same_files_with_tensors_of_their_own_are_no_difference():
    rows = [weighed("fp32", "f", "a"), weighed("int8", "f", "b"), weighed("fp32 (2)", "f", "a")]
    assert other_weights([*rows, weighed("x", "g", "c", model="n"), {"label": "http"}]) == []


def test_one_name_for_other_weight_files_is_told():
    (said,) = other_weights([weighed("fp32", "f", "a"), weighed("int8", "g", "b")])
    assert said.startswith("weight files of m: f (fp32); g (int8): ")


def test_two_variants_with_the_same_tensors_are_told():
    (said,) = other_weights([weighed("fp32", "f", "a"), weighed("int8", "f", "a")])
    assert said.startswith("weights: fp32, int8 have the same tensors")


def test_tensors_that_are_not_all_in_memory_say_nothing():
    assert other_weights([weighed("fp32", "f", ""), weighed("int8", "f", "")]) == []


MODEL = ("--max-new-tokens", "6", "--in-process")


@pytest.fixture
def asked(tmp_path):
    """Flags for questions in the words that the tiny models know."""
    words = ["why", "is", "the", "sky", "blue", "what", "how", "a", "b", "c", "d", "e", "f"]
    rows = [{"question": " ".join(words[i : i + 5]), "answer": "the sky"} for i in range(8)]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ("--dataset", file, *MODEL)


def test_a_gate_between_two_names_of_one_model_is_undecided(tiny_llama, asked, tmp_path):
    options = ("--reference", "fp32", "--candidates", "asis,bf16", "--no-control")
    done = harness("gate", "--model", tiny_llama, *options, *asked, "--output-dir", tmp_path)
    (found,) = tmp_path.glob("*/gate.json")
    asis, bf16 = json.loads(found.read_text())["rows"]
    assert done.exit_code == 1
    assert asis["status"] == "UNDECIDED"
    assert asis["reason"].startswith("fp32 and asis have the same tensors")
    assert "same tensors" not in bf16["reason"]


def test_a_gate_of_one_name_for_two_models_is_refused(tiny_llama, asked, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(tiny_llama, model)
    folders = []
    for variant in ("fp32", "bf16"):
        out = tmp_path / variant
        options = ("--scenario", "offline", "--mode", "accuracy", "--variant", variant)
        harness("run", *options, "--model", model, *asked, "--output-dir", out)
        folders += [path.parent for path in out.glob("*/result.json")]
        file = model / "model.safetensors"
        tensors = load_file(file)
        tensors["lm_head.weight"] = torch.flip(tensors["lm_head.weight"], [0])
        save_file(tensors, file, metadata={"format": "pt"})
    done = harness("gate", "--reference", folders[0], "--candidates", folders[1])
    assert done.exit_code == 2
    assert "weight files of" in " ".join(done.output.split())
    done = harness("compare", *folders, "--output-dir", tmp_path / "compared")
    assert done.exit_code == 1
    assert "weight files of" in " ".join(done.output.split())


def test_a_checkpoint_in_few_bits_is_named_in_tables_results_and_pages(tiny_llama, asked, tmp_path):
    model = fp8_checkpoint(Path(shutil.copytree(tiny_llama, tmp_path / "model")))
    options = ("--scenario", "offline", "--mode", "accuracy", "--variants", "fp32,asis")
    done = harness("compare", *options, "--model", model, *asked, "--output-dir", tmp_path)
    names = ["fp32 (float32 of fp8-block16)", "asis (float32 of fp8-block16)"]
    (found,) = tmp_path.glob("*/compare.json")
    rows = json.loads(found.read_text())["rows"]
    assert [row["label"] for row in rows] == [row["variant"] for row in rows] == names
    page = found.with_name("compare.html").read_text()
    for name, row in zip(names, rows, strict=True):
        assert name.partition(" ")[2] in done.output
        assert name in page
        result = json.loads((found.parent / row["run"] / "result.json").read_text())
        assert result["variant"] == name
        assert result["sut_facts"]["stored_quantisation"] == "fp8 e4m3, blocks of 16 x 16"


def harness(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])
