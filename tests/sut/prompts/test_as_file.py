"""A tokenizer.json says how its texts are cut; some classes of transformers cut them otherwise."""

from __future__ import annotations

import shutil

import pytest

from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.types import Sample
from sut.local_model import LocalModel

TEXTS = ("sky", "the sky is", "why")


@pytest.fixture
def qwen2(tiny_llama, tmp_path):
    """A tiny Qwen2 beside the tokenizer files of the tiny Llama, which cut at white space."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path / "qwen2"
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen2Config(vocab_size=64, num_hidden_layers=1, intermediate_size=32, **sizes)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    for file in tiny_llama.glob("*token*.json"):
        shutil.copy(file, folder)
    return folder


def notes_of(folder) -> list[str]:
    clock = RealClock()
    sut = LocalModel(clock, path=str(folder))
    sut.load([Sample(i, text, max_new_tokens=4) for i, text in enumerate(TEXTS)], Recorder(clock))
    return sut.facts()["notes"]


def test_texts_that_transformers_cuts_by_rules_of_its_own_are_counted(qwen2):
    note = next(note for note in notes_of(qwen2) if "tokenizer.json" in note)
    assert note.startswith("Qwen2Tokenizer of transformers cuts 3 of 3 texts into other tokens")


def test_the_files_own_rules_need_no_word(tiny_llama):
    assert not any("tokenizer.json" in note for note in notes_of(tiny_llama))
