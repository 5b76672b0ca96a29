"""Weights that are not the model's, not all of them, or not what the variant's name says."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.kernel.errors import SetupFailed
from sut.model import digest, findings
from sut.precision.table import TABLE
from tests.variant_helpers import edit_json

PLAIN = ("fp32", "bf16", "fp16", "int8", "nf4", "int8-quanto", "int4-quanto")


def load(variant, path):
    return TABLE[variant].load(str(path), device="cpu").eval()


@pytest.fixture
def copied(tiny_llama, tmp_path):
    """A copy of the tiny Llama, with tensors added and configuration changed."""

    def make(added=(), **config):
        folder = tmp_path / "model"
        shutil.copytree(tiny_llama, folder)
        file = folder / "model.safetensors"
        save_file(load_file(file) | dict(added), file, metadata={"format": "pt"})
        edit_json(folder / "config.json", **config)
        return folder

    return make


def test_weights_of_more_layers_than_the_configuration_counts_are_refused(copied):
    with pytest.raises(SetupFailed, match=r"9 tensors \(\d+ % of their bytes\).*layers\.1"):
        load("fp32", copied(num_hidden_layers=1))


@pytest.mark.parametrize("name", ["self_attn.q_proj.bias", "self_attn.k_proj.weight_scale"])
def test_a_part_that_the_layers_have_no_place_for_is_refused(copied, name):
    with pytest.raises(SetupFailed, match="has no place"):
        load("fp32", copied({f"model.layers.0.{name}": torch.ones(32)}))


@pytest.mark.parametrize("name", ["model.vision_tower.patch.weight", "mtp.layers.0.fc.weight"])
def test_a_part_that_is_no_language_model_is_told(copied, name):
    (note,) = findings.of(load("fp32", copied({name: torch.ones(8, 8)}))).notes
    assert name in note
    assert "1 tensor (" in note


def test_a_checkpoint_in_nf4_is_itself_and_nothing_else(tiny_llama, tmp_path):
    load("nf4", tiny_llama).save_pretrained(tmp_path)
    for variant in PLAIN:
        with pytest.raises(SetupFailed, match=r"already quantised \(bitsandbytes nf4\).*asis"):
            load(variant, tmp_path)
    assert findings.of(load("native", tmp_path)).facts["quantised_layer_share"] == 1


def test_fused_experts_that_would_stay_as_they_are_are_refused(tmp_path):
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 4}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads)).save_pretrained(tmp_path)
    for variant in ("int8", "nf4", "int8-quanto", "int4-quanto"):
        with pytest.raises(SetupFailed, match=r"would quantise \d+ % .*experts"):
            load(variant, tmp_path)
    load("bf16", tmp_path)


def test_two_models_have_two_digests_and_one_has_one(tiny_llama, copied):
    ours = load("fp32", tiny_llama)
    assert digest.of_tensors(ours) == digest.of_tensors(load("fp32", tiny_llama))
    with torch.no_grad():
        ours.model.norm.weight[3] += 1e-6
    assert digest.of_tensors(ours) != digest.of_tensors(load("fp32", tiny_llama))
