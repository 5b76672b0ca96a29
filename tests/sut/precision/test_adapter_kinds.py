"""Adapters as people have them: equal to peft's own model, or refused in words."""

from __future__ import annotations

import shutil

import pytest
import torch

from harness.kernel.errors import SetupFailed
from sut.model import findings
from sut.precision.lora import without_notices
from tests.sut.precision.test_table import answer
from tests.variant_helpers import edit_json, make_adapter

IDS = torch.arange(3, 35).view(2, 16)


def of_peft(base, adapter):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with without_notices():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    with torch.inference_mode():
        return model(input_ids=IDS).logits


def served(base, adapter, **options):
    _, sut = answer(base, adapter=str(adapter), **options)
    with torch.inference_mode():
        return sut._model(input_ids=IDS).logits.float()


@pytest.mark.parametrize("merge_adapter", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [5, 9]},
        {"target_modules": ["lm_head", "q_proj"]},
        {"rank_pattern": {"v_proj": 2}, "use_rslora": True},
    ],
)
def test_an_adapter_is_pefts_own(tiny_llama, tmp_path, changes, merge_adapter):
    adapter = make_adapter(tiny_llama, tmp_path / "a", lora_alpha=8, **changes)
    found = served(tiny_llama, adapter, variant="lora", merge_adapter=merge_adapter)
    assert torch.allclose(found, of_peft(tiny_llama, adapter), atol=1e-3, rtol=1e-4)


def test_an_adapter_of_the_output_head_is_merged_without_the_embedding(tiny_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    shutil.copytree(tiny_llama, base)
    edit_json(base / "config.json", tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.lm_head.weight = model.model.embed_tokens.weight
    model.config.tie_word_embeddings = True
    model.save_pretrained(base)
    adapter = make_adapter(base, tmp_path / "a", lora_alpha=8, target_modules=["lm_head", "q_proj"])
    found = served(base, adapter, variant="lora", merge_adapter=True)
    assert torch.allclose(found, of_peft(base, adapter), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("variant", ["lora-int8", "lora-int8-quanto", "lora-int4-quanto"])
@pytest.mark.parametrize("changes", [{"use_dora": True}, {"init_lora_weights": "pissa"}])
def test_what_needs_the_bases_weights_takes_no_integers(tiny_llama, tmp_path, variant, changes):
    adapter = make_adapter(tiny_llama, tmp_path / "a", **changes)
    with pytest.raises(SetupFailed, match=r"base's weights, .*Use --variant lora"):
        answer(tiny_llama, variant=variant, adapter=str(adapter))


def test_an_activated_lora_is_refused(tiny_llama, tmp_path):
    adapter = make_adapter(tiny_llama, tmp_path / "a", alora_invocation_tokens=[5, 6])
    with pytest.raises(SetupFailed, match="activated LoRA"):
        answer(tiny_llama, variant="lora", adapter=str(adapter))


def test_an_adapter_that_changes_nothing_is_told(tiny_llama, tmp_path):
    adapter = make_adapter(tiny_llama, tmp_path / "a", init_lora_weights=True)
    _, sut = answer(tiny_llama, variant="lora", adapter=str(adapter))
    assert any("changes nothing" in note for note in findings.of(sut._model).notes)


@pytest.mark.parametrize("kind", ["LOHA", "PREFIX_TUNING", "OFT", "XLORA", "ADALORA"])
def test_another_kind_is_refused(tiny_llama, tmp_path, kind):
    adapter = make_adapter(tiny_llama, tmp_path / "a")
    edit_json(adapter / "adapter_config.json", peft_type=kind)
    with pytest.raises(SetupFailed, match=f"kind '{kind}'.*only LORA"):
        answer(tiny_llama, variant="lora", adapter=str(adapter))
