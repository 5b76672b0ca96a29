"""Models of random weights in the shapes that people serve, made on the device: no network, and no
file where the engine alone is measured.

8B and 1B are the shapes of Llama 3.1 8B and Llama 3.2 1B. Their tokenizer has a token for each
byte, so a prompt of n letters has n tokens. A dry run has the same parts over tiny shapes.
"""

from __future__ import annotations

import string
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

_LLAMA = {
    "num_key_value_heads": 8, "num_attention_heads": 32, "vocab_size": 128_256,
    "max_position_embeddings": 8192, "rope_theta": 500_000.0,
}  # fmt: skip
_SHAPES: dict[str, dict[str, Any]] = {
    "8B": _LLAMA | {
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "tie_word_embeddings": False,
    },
    "1B": _LLAMA | {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
_TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 320, "max_position_embeddings": 2048,
}  # fmt: skip
_BOS, _EOS = 256, 257


class Setup(NamedTuple):
    """Where a part runs: `scratch` is a folder with room for a model of 8B."""

    device: str
    tiny: bool
    scratch: str


class Work(NamedTuple):
    """How much is asked of the engines."""

    rows: tuple[int, ...]  # of a decode step
    batches: tuple[int, ...]  # requests at once, for the whole engine
    prompt_tokens: int
    new_tokens: int
    context_tokens: int  # in the cache of each row while steps are timed
    timed_steps: int
    window_tokens: int
    windows: int
    queries: int  # of the scenarios
    questions: int  # whose answers are compared, token for token


_FULL = Work((1, 8, 32, 128), (1, 8, 32), 128, 128, 512, 20, 1024, 64, 768, 50)
_DRY = Work((1, 2), (1, 2), 8, 4, 16, 2, 16, 6, 6, 3)


def work_of(setup: Setup) -> Work:
    return _DRY if setup.tiny else _FULL


def config_of(setup: Setup, shape: str) -> LlamaConfig:
    sizes = _SHAPES[shape] | (_TINY if setup.tiny else {})
    if setup.tiny:
        sizes.pop("head_dim", None)
    return LlamaConfig(**sizes, bos_token_id=_BOS, eos_token_id=_EOS, pad_token_id=_EOS)


def drawn(setup: Setup, shape: str, dtype: torch.dtype = torch.bfloat16) -> Any:
    """Return a model of random weights, made where it runs."""
    torch.manual_seed(20261127)
    with torch.device(setup.device):
        model = AutoModelForCausalLM.from_config(config_of(setup, shape), dtype=dtype)
    model.generation_config.eos_token_id = None  # every answer is as long as it is asked to be
    return model.eval().requires_grad_(False)


def described(setup: Setup, shape: str) -> Path:
    """Return a folder with the configuration and the tokenizer, but no weights."""
    folder = Path(setup.scratch) / f"{shape}-described"
    if not folder.is_dir():
        _describe(setup, shape, folder)
    return folder


def stored(setup: Setup, shape: str) -> Path:
    """Return a folder with the whole checkpoint in bf16; made once."""
    folder = Path(setup.scratch) / f"{shape}-stored"
    if not (folder / "done").is_file():
        _describe(setup, shape, folder)
        drawn(setup, shape).save_pretrained(folder)
        (folder / "done").touch()
    return folder


def _describe(setup: Setup, shape: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config_of(setup, shape).save_pretrained(folder)
    _bytes_tokenizer().save_pretrained(folder)


def _bytes_tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)} | {"<bos>": _BOS, "<eos>": _EOS}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    )


def texts(count: int, tokens: int, seed: int = 1) -> list[str]:
    """Return random letters, as many as tokens."""
    draw = Random(seed)
    return ["".join(draw.choices(string.ascii_lowercase, k=tokens)) for _ in range(count)]


def ids(count: int, tokens: int, seed: int = 1) -> list[list[int]]:
    """Return random ids of the tokenizer's letters, (count, tokens)."""
    draw = Random(seed)
    return [[draw.randrange(32, 128) for _ in range(tokens)] for _ in range(count)]
