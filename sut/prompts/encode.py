"""Which ids does the model get for a prompt? Its text through the chat template, if there is one,
and the tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.kernel.errors import SetupFailed
from harness.kernel.types import Sample


class Prompts(NamedTuple):
    """Ids by the index of their sample, and the indices of the prompts that were cut."""

    ids: dict[int, list[int]]
    truncated: list[int]


def encode(tokenizer: Any, samples: Sequence[Sample], context: int, truncate: bool) -> Prompts:
    """Tokenise the prompt of every sample; refuse (or cut at the front, if `truncate`) those that
    leave no room for the answer. Raises SetupFailed.
    """
    made = Prompts({}, [])
    for sample in samples:
        ids, room = _ids(tokenizer, sample.prompt), context - sample.max_new_tokens
        if len(ids) > room:
            if not truncate or room < 1:
                raise _too_long(sample, len(ids), context)
            ids = ids[-room:]
            made.truncated.append(sample.index)
        made.ids[sample.index] = ids
    return made


def _ids(tokenizer: Any, prompt: str) -> list[int]:
    if tokenizer.chat_template is None:
        ids: list[int] = tokenizer(prompt)["input_ids"] or [tokenizer.bos_token_id or 0]
        return ids
    turns = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _too_long(sample: Sample, tokens: int, context: int) -> SetupFailed:
    found = f"its prompt has {tokens} tokens and the answer may take {sample.max_new_tokens}"
    fine = f"the model's context is {context} tokens"
    todo = "Shorten the prompt, lower --max-new-tokens, or pass --truncate."
    return SetupFailed(f"sample {sample.index}", found, fine, todo)
