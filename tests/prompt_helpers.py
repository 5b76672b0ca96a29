"""Tiny tokenizers with start and end tokens of every kind, models around them, and their runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from harness.cli import app
from tests.variant_helpers import edit_json

PROMPTS = ["why is the sky blue?", "what is the sum of two and three?"]
_TEXTS = [*PROMPTS, "because of light, which scatters in the air.", "Ünïcode ☂ and 日本語"]
SPECIAL = ("<s>", "</s>", "<unk>")
ROWS = 320
CHAT = (
    "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>{% endif %}"
)


def tokenizer(
    post: str = "",
    special: tuple[str, ...] = SPECIAL,
    normalizer: Any = None,
    added: tuple[str, ...] = (),
    **names: Any,
) -> Any:
    """A byte-level tokenizer of ROWS ids. `post` is what it puts around a text: "<s> $A </s>"."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if normalizer is not None:
        inner.normalizer = normalizer
    letters = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        _TEXTS * 20,
        trainers.BpeTrainer(
            vocab_size=ROWS, special_tokens=list(special), initial_alphabet=letters
        ),
    )
    assert inner.get_vocab_size() == ROWS
    inner.add_tokens(list(added))
    if post:
        words = [word for word in post.split() if word != "$A"]
        ids = [(word, inner.token_to_id(word)) for word in words]
        inner.post_processor = processors.TemplateProcessing(single=post, special_tokens=ids)
    known = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | names
    given = {name: token for name, token in known.items() if token is not None}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **given)


def model(
    folder: Path,
    known: Any,
    config: Any = None,
    template: str | None = None,
    defaults: dict[str, Any] | None = None,
) -> Path:
    """A tiny model (a Llama without `config`) with this tokenizer, saved in `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    if config is None:
        config = LlamaConfig(**SIZES)
    torch.manual_seed(7)
    made = AutoModelForCausalLM.from_config(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    edit_json(folder / "generation_config.json", **(defaults or {}))
    known.chat_template = template
    known.save_pretrained(folder)
    return folder


SIZES: dict[str, Any] = {
    "vocab_size": ROWS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def with_template(base: Path, folder: Path, template: str) -> Path:
    """A copy of a model with another chat template."""
    shutil.copytree(base, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def dataset(folder: Path, prompts: list[str], reference: str = "the sky is blue") -> Path:
    file = folder / "prompts.jsonl"
    rows = [json.dumps({"prompt": prompt, "reference": reference}) for prompt in prompts]
    file.write_text("\n".join(rows) + "\n")
    return file


def harness(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def run(folder: Path, place: Path, prompts: list[str] = PROMPTS, *words: Any) -> Any:
    """An accuracy run of eight tokens an answer, in this process."""
    place.mkdir(exist_ok=True)
    file = dataset(place, prompts)
    given = ["--scenario", "offline", "--mode", "accuracy", "--model", folder, "--dataset", file]
    given += ["--max-new-tokens", 8, "--warmup", 0, "--output-dir", place / "runs"]
    return harness("run", *given, "--json", "--in-process", *words)


def facts(done: Any) -> dict[str, Any]:
    """The facts of a valid run, with all its notes."""
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    return found["sut_facts"] | {"notes": found["notes"]}


def perplexity(folder: Path, place: Path, texts: list[str], *words: Any) -> Any:
    place.mkdir(exist_ok=True)
    file = place / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    given = ["--model", folder, "--dataset", file, "--output-dir", place / "runs"]
    return harness("perplexity", *given, "--in-process", *words)
