"""What transformers' loader drops of a GGUF file is carried over, or the file is refused."""

from __future__ import annotations

import gguf
import pytest
import torch

from harness.kernel.errors import SetupFailed
from sut.model.convert import convert
from tests.gguf_helpers import tied_qwen, write_gguf

IDS = torch.arange(40)[None]
KINDS = gguf.RopeScalingType


def converted(folder, monkeypatch, add):
    """The model of a file to which `add` wrote keys."""
    from transformers import AutoModelForCausalLM

    write = gguf.GGUFWriter.write_header_to_file

    def with_more(self):
        add(self)
        write(self)

    monkeypatch.setattr(gguf.GGUFWriter, "write_header_to_file", with_more)
    convert(write_gguf(tied_qwen(), folder / "m.gguf", None), folder / "m")
    return AutoModelForCausalLM.from_pretrained(folder / "m")


def linear(file):
    file.add_rope_scaling_type(KINDS.LINEAR)
    file.add_rope_scaling_factor(4.0)


def yarn(file):
    file.add_rope_scaling_type(KINDS.YARN)
    file.add_rope_scaling_factor(4.0)
    file.add_rope_scaling_orig_ctx_len(32)


@pytest.mark.parametrize(
    ("add", "scaling"),
    [
        (linear, {"rope_type": "linear", "factor": 4.0}),
        (yarn, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
    ],
)
def test_scaled_positions_are_carried_over(tmp_path, monkeypatch, add, scaling):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    plain = tied_qwen()
    changes = {"rope_parameters": plain.config.rope_parameters | scaling}
    source = Qwen2ForCausalLM(Qwen2Config(**(plain.config.to_dict() | changes))).eval()
    source.load_state_dict(plain.state_dict())
    found = converted(tmp_path, monkeypatch, add)
    assert torch.allclose(found(IDS).logits, source(IDS).logits, atol=1e-5)
    assert not torch.allclose(found(IDS).logits, plain(IDS).logits, atol=1e-2)


@pytest.mark.parametrize(
    ("add", "key"),
    [
        (lambda file: file.add_sliding_window(16), "attention.sliding_window"),
        (lambda file: file.add_expert_count(4), "expert_count"),
        (lambda file: file.add_attn_logit_softcapping(30.0), "attn_logit_softcapping"),
        (lambda file: file.add_rope_scaling_type(KINDS.LONGROPE), "rope.scaling.type"),
    ],
)
def test_what_has_no_place_is_refused_by_its_name(tmp_path, monkeypatch, add, key):
    with pytest.raises(SetupFailed, match=f"its {key} is"):
        converted(tmp_path, monkeypatch, add)
