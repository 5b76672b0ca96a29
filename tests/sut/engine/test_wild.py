"""Models from public reports, through the command line: short prompts beside a long one get the
answers of the plain loop, or the run ends with a sentence.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.architectures import tiny
from tests.prompt_helpers import harness

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about its own old names
LENGTHS = (7, 9, 15, 97)
NEW_TOKENS = 12
NEW = ("--max-new-tokens", NEW_TOKENS)


@pytest.fixture
def made(tmp_path):
    """made(name, **changes) -> folder of the model, its dataset, the ids of its prompts"""

    def make(name, change=None, **changes):
        model = tiny.model_of(name, **changes)
        model.config.architectures = [type(model).__name__]
        if change is not None:
            change(model)
        folder, data = tmp_path / "model", tmp_path / "prompts.jsonl"
        model.save_pretrained(folder)
        words_of(folder)
        drawn = np.random.default_rng(3)
        ids = [drawn.integers(4, tiny.VOCABULARY, length).tolist() for length in LENGTHS]
        rows = [{"question": " ".join(f"w{i}" for i in prompt), "answer": "w5"} for prompt in ids]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder, data, ids

    return make


def words_of(folder):
    """Save a tokenizer whose words are the names of their ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}
    words |= {f"w{i}": i for i in range(4, tiny.VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    known = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    known.save_pretrained(folder)


def run(folder, data, place, *words):
    """An accuracy run; what it said, and where it is."""
    options = ("--scenario", "offline", "--mode", "accuracy", "--in-process", *words)
    done = harness("run", *options, "--model", folder, "--dataset", data, "--output-dir", place)
    return done, next(place.glob("*/samples.parquet"), None)


def plain_answers(folder, prompts):
    """The whole text through the model for every token, one text at a time."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    for prompt in prompts:
        ids = list(prompt)
        while len(ids) < len(prompt) + NEW_TOKENS:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            ids.append(int(logits.argmax()))
            if ids[-1] == 2:
                break
        yield ids[len(prompt) :]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gpt_neo", {}),
        ("phi3, LongRoPE", {}),
        ("mamba", {}),  # narrower than what is packed
        ("mamba", {"hidden_size": 64}),
        ("bloom", {}),
        ("falcon, ALiBi", {}),
        ("openai-gpt", {}),
        ("llama4_text", {}),
    ],
)
def test_short_prompts_beside_a_long_one_get_the_plain_loops_answers(made, tmp_path, name, changes):
    folder, data, prompts = made(name, **changes)
    done, samples = run(folder, data, tmp_path / "runs", *NEW)
    assert done.exit_code == 0, done.output
    rows = pq.read_table(samples, columns=["index", "token_ids"]).to_pylist()
    answers = {row["index"]: row["token_ids"] for row in rows}
    assert [answers[i] for i in range(len(prompts))] == list(plain_answers(folder, prompts))


@pytest.mark.parametrize("words", [("run",), ("perplexity",)])
def test_a_masked_model_is_no_causal_one(made, tmp_path, words):
    folder, data, _ = made("bert")
    refused(words[0], folder, data, tmp_path, "the logits of a token change with the tokens that")


@pytest.mark.parametrize("command", ["run", "perplexity"])
def test_a_variant_whose_logits_are_no_numbers_has_no_figures(made, tmp_path, command):
    def overflow(model):
        for layer in model.model.layers:
            layer.mlp.up_proj.weight.data *= 3000
            layer.mlp.gate_proj.weight.data *= 30

    folder, data, _ = made("llama", overflow)
    words = "its logits are not finite (NaN or infinite)"
    refused(command, folder, data, tmp_path, words, "fp16")
    done, _ = run(folder, data, tmp_path / "runs", *NEW)
    assert done.exit_code == 0  # float32 reaches far enough


def refused(command, folder, data, place, words, variant="fp32"):
    if command == "run":
        done, _ = run(folder, data, place / "refused", *NEW, "--variant", variant)
    else:
        options = ("--text-column", "question", "--variants", variant, "--in-process")
        where = ("--dataset", data, "--output-dir", place / "refused")
        done = harness("perplexity", "--model", folder, *options, *where)
    assert done.exit_code == 3, done.output
    assert words in " ".join(done.output.replace("│", " ").split())
