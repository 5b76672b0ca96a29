"""Which special tokens does a tokenizer put around a text, and which does the text itself become?

What stands before a text opens it: BOS, or several ids as GLM has them. What stands after it (the
</s> of T5 or of `add_eos_token`, the [SEP] of BERT) closes it: fine for training, but an answer
would begin after the end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_PLAIN = ("a", "0", "的")  # texts that hardly any tokenizer makes nothing of
_MORE = 20  # pieces of its own vocabulary to try after these


class Around(NamedTuple):
    """Ids that the tokenizer puts before and after a text."""

    before: list[int]
    after: list[int]


def around(tokenizer: Any) -> Around:
    """Return what the tokenizer itself puts around a text."""
    text, bare = plain_text(tokenizer)
    ids: list[int] = tokenizer(text)["input_ids"]
    starts = range(len(ids) - len(bare) + 1)
    where = next((k for k in starts if ids[k : k + len(bare)] == bare), 0)
    return Around(ids[:where], ids[where + len(bare) :])


def plain_text(tokenizer: Any) -> tuple[str, list[int]]:
    """Return a text that the tokenizer makes ids of, and these."""
    pieces = sorted(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens))
    for text in (*_PLAIN, *pieces[:_MORE]):
        if bare := tokenizer(text, add_special_tokens=False)["input_ids"]:
            return text, bare
    return "", []


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Return the ids of tokens that mean no text, but for the one of unknown text."""
    added = tokenizer.added_tokens_decoder.items()
    marked = {number for number, token in added if token.special}
    return frozenset(marked | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}
