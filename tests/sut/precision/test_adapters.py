"""LoRA on any base: which adapter, whether it fits, attached or merged; and the one that is
shipped.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel.errors import BadInput, SetupFailed
from sut.precision import lora
from sut.precision.table import TABLE
from sut.precision.train_adapter import evaluate, read_examples, split
from tests import ROOT
from tests.sut.precision.test_table import TOLERANCE, answer, difference, logits
from tests.variant_helpers import edit_json, make_adapter, resized

SHIPPED = lora.SHIPPED["smollm2-135m"]


@pytest.fixture(scope="module")
def tiny_adapter(tiny_llama, tmp_path_factory):
    return make_adapter(tiny_llama, tmp_path_factory.mktemp("adapter"))


def load(variant, path, **options):
    return TABLE[variant].load(str(path), device="cpu", **options).eval()


def refused(path, adapter, kind=SetupFailed):
    with pytest.raises(kind) as info:
        answer(path, variant="lora", adapter=str(adapter))
    assert "\n" not in str(info.value)
    return str(info.value)


@pytest.mark.parametrize("base", TOLERANCE)
def test_an_adapter_on_any_base_is_close_to_the_adapter_on_fp32(base, tiny_llama, tiny_adapter):
    variant = "lora" if base == "fp32" else f"lora-{base}"
    with_it = logits(load("lora", tiny_llama, adapter=tiny_adapter))
    without = logits(load("fp32", tiny_llama))
    assert difference(with_it, without) > 0.5  # it does something
    assert (
        difference(logits(load(variant, tiny_llama, adapter=tiny_adapter)), with_it)
        <= TOLERANCE[base] * 1.5
    )


@pytest.mark.parametrize(
    ("variant", "limit"),
    [("lora", 1e-5), ("lora-bf16", 0.05), ("lora-int8", 0.1), ("lora-nf4", 0.6)],
)
def test_merged_is_attached_but_for_rounding(variant, limit, tiny_llama, tiny_adapter):
    attached = load(variant, tiny_llama, adapter=tiny_adapter)
    merged = load(variant, tiny_llama, adapter=tiny_adapter, merge_adapter=True)
    assert difference(logits(merged), logits(attached)) <= limit
    assert any("lora_" in name for name, _ in attached.named_parameters())
    assert not any("lora_" in name for name, _ in merged.named_parameters())


def test_quantos_packed_weights_take_no_merged_adapter(tiny_llama, tiny_adapter):
    with pytest.raises(SetupFailed, match=r"--merge-adapter: .* Attach it"):
        load("lora-int8-quanto", tiny_llama, adapter=tiny_adapter, merge_adapter=True)


def test_the_facts_say_which_adapter_and_how_large(tiny_llama, tiny_adapter):
    log, sut = answer(tiny_llama, variant="lora-int8", adapter=str(tiny_adapter))
    facts = sut.facts()
    assert log.completed.all()
    assert facts["adapter"] == {
        "path": str(tiny_adapter),
        "rank": 4,
        "trained_on": "tiny",
        "parameters": 896,
        "merged": False,
    }
    assert facts["trainable_parameters"] == 896
    assert facts["disk_bytes"] > (tiny_llama / "model.safetensors").stat().st_size


def test_an_adapter_of_a_transposed_model_fits_it(tiny_gpt2, tmp_path):
    adapter = make_adapter(
        tiny_gpt2, tmp_path / "adapter", target_modules=["c_attn"], fan_in_fan_out=True
    )
    log, _ = answer(tiny_gpt2, variant="lora-int4-quanto", adapter=str(adapter))
    assert log.completed.all()


# ---- which adapter


def test_without_a_given_one_only_the_shipped_models_have_an_adapter(tiny_llama):
    assert lora.find("/anywhere/models/smollm2-135m", None) == SHIPPED
    with pytest.raises(
        BadInput,
        match=r"no adapter is given for .*one is shipped for smollm2-135m. Pass --adapter FOLDER",
    ):
        answer(tiny_llama, variant="lora")


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_that_is_no_adapter_says_what_it_lacks(
    missing, tiny_llama, tiny_adapter, tmp_path
):
    shutil.copytree(tiny_adapter, tmp_path / "a")
    (tmp_path / "a" / missing).unlink()
    with pytest.raises(BadInput, match=f"it has no {missing}"):
        lora.check(str(tiny_llama), tmp_path / "a")


# ---- does it fit


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 64}, r"lora_A.weight is \(4, 64\); this one needs \(4, 32\)"),
        (
            {"num_key_value_heads": 4},
            r"v_proj.lora_B.weight is \(32, 4\); this one needs \(16, 4\)",
        ),
        ({"num_hidden_layers": 3}, r"no place for base_model.model.model.layers.2"),
        ({"num_hidden_layers": 1}, r"nothing for base_model.model.model.layers.1"),
    ],
)
def test_an_adapter_for_another_base_model_is_refused(changes, words, tiny_llama, tmp_path):
    other = resized(tiny_llama, tmp_path / "other", **changes)
    said = refused(tiny_llama, make_adapter(other, tmp_path / "adapter"))
    assert "it is for another base model" in said
    assert re.search(words, said), said


def test_an_adapter_for_layers_that_are_not_there_is_refused(tiny_llama, tiny_gpt2, tmp_path):
    adapter = make_adapter(
        tiny_gpt2, tmp_path / "adapter", target_modules=["c_attn"], fan_in_fan_out=True
    )
    assert "its layers (c_attn) are not in this one" in refused(tiny_llama, adapter)


def test_another_name_matters_only_between_hub_ids(tiny_llama):
    def check(ours, theirs):
        lora._check_name(ours, Path("adapter"), theirs)

    check("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct")
    check("mirror/qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B")
    check(str(tiny_llama), "Qwen/Qwen2.5-0.5B")
    check("Qwen/Qwen2.5-0.5B", None)
    check("Qwen/Qwen2.5-0.5B", "/home/someone/checkpoints/7")
    with pytest.raises(
        SetupFailed, match=r"trained on 'HuggingFaceTB/SmolLM-135M'; the model is .*Use --model"
    ):
        check("HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM-135M")


def test_a_damaged_adapter_is_refused(tiny_llama, tiny_adapter, tmp_path):
    for content in (
        b"",
        b"\xff" * 100,
        (tiny_adapter / "adapter_model.safetensors").read_bytes()[:-10],
    ):
        folder = tmp_path / str(len(content))
        shutil.copytree(tiny_adapter, folder)
        (folder / "adapter_model.safetensors").write_bytes(content)
        assert "adapter_model.safetensors is damaged" in refused(tiny_llama, folder)


def test_a_config_that_is_no_lora_is_refused(tiny_llama, tiny_adapter, tmp_path):
    for i, (changes, words) in enumerate(
        [({"peft_type": "IA3"}, "LORA is supported"), ({"peft_type": "FROB"}, "of kind 'FROB'")]
    ):
        folder = tmp_path / str(i)
        shutil.copytree(tiny_adapter, folder)
        edit_json(folder / "adapter_config.json", **changes)
        assert words in refused(tiny_llama, folder)
    (folder / "adapter_config.json").write_text("{")
    assert "adapter_config.json" in refused(tiny_llama, folder)


# ---- the one that is shipped


def test_the_shipped_adapter_is_small_and_knows_no_machine():
    config = json.loads((SHIPPED / "adapter_config.json").read_text())
    assert (config["r"], sorted(config["target_modules"])) == (8, ["q_proj", "v_proj"])
    assert config["base_model_name_or_path"] == "smollm2-135m"
    assert 1e6 < (SHIPPED / "adapter_model.safetensors").stat().st_size < 2e6
    assert not any(
        re.search(r"/(home|root|work|tmp|Users)/", file.read_text())
        for file in SHIPPED.glob("*.[jm]*")
    )


def test_the_shipped_adapters_readme_reports_a_better_loss_on_what_it_has_not_seen():
    text = (SHIPPED / "README.md").read_text()
    before, after = (
        float(re.search(rf"loss {when} \| ([0-9.]+) nats", text)[1]) for when in ("before", "after")
    )
    assert after < before
    keys = json.loads((SHIPPED / "split.json").read_text())
    assert not set(keys["train"]) & set(keys["held_out"])
    assert (len(keys["train"]), len(keys["held_out"])) == (150, 50)


def test_the_shipped_adapter_is_in_the_package(tmp_path):
    root = ROOT
    code = (
        "from setuptools import Distribution; d = Distribution({'script_name': 'setup.py'});"
        " d.parse_config_files(); b = d.get_command_obj('build_py'); b.ensure_finalized(); print([f"
        " for p, s, t, fs in b.data_files if p.startswith('sut') for f in fs])"
    )
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    ).stdout
    for name in ("adapter_model.safetensors", "adapter_config.json", "README.md", "split.json"):
        assert name in out


@pytest.fixture(scope="module")
def real(smollm2):
    from sut.model.find import resolve

    return resolve(smollm2, print).path


@pytest.mark.model
def test_the_shipped_adapter_lowers_the_loss_on_held_out_questions(real):
    data = ROOT / "accuracy" / "datasets" / "qa.jsonl"
    _, held_out = split(read_examples(real, data), 50, 1)
    assert (
        sorted(e.key for e in held_out)
        == json.loads((SHIPPED / "split.json").read_text())["held_out"]
    )
    some = held_out[:8]
    assert (
        evaluate(load("lora-bf16", real, adapter=SHIPPED), some, "after")
        < evaluate(load("bf16", real), some, "before") - 0.2
    )


@pytest.mark.model
@pytest.mark.parametrize("variant", ["lora", "lora-int8", "lora-nf4"])
def test_the_real_model_answers_with_the_shipped_adapter(variant, real):
    log, sut = answer(real, ["Name three colours.", "Why is the sky blue?"], 8, variant=variant)
    texts = sut.decode([log.record(i).token_ids.tolist() for i in range(2)])
    assert all(sum(c.isalpha() for c in text) > 10 for text in texts), texts
    assert sut.facts()["trainable_parameters"] == 460_800
