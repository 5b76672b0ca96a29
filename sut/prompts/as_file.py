"""Does the tokenizer cut texts as the model's own tokenizer.json says?

transformers builds the tokenizers of many families from their vocabulary alone, with the rules of
the family: what another tokenizer.json says of cutting is dropped without a word, and the model
gets tokens that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST_TEXTS = 256  # enough to see other rules, and done in a moment


def note(tokenizer: Any, path: str, texts: Sequence[str]) -> str:
    """Say how many of these texts are cut in another way; empty if none, or if there is no file."""
    rules = _rules(tokenizer, path)
    texts = texts[:_MOST_TEXTS]
    if rules is None or not texts:
        return ""
    ours = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    theirs = [one.ids for one in rules.encode_batch(list(texts), add_special_tokens=False)]
    differing = sum(one != other for one, other in zip(ours, theirs, strict=True))
    if not differing:
        return ""
    name = type(tokenizer).__name__
    return (
        f"{name} of transformers cuts {differing} of {len(texts)} texts into other tokens than the"
        " model's tokenizer.json does; the answers are those to transformers' tokens"
    )


def _rules(tokenizer: Any, path: str) -> Any:
    """Return what tokenizer.json itself says, without its cuts and padding to a length; None if
    there is no such file, or the tokenizer is not made for one.
    """
    from tokenizers import Tokenizer
    from transformers.utils.hub import cached_file

    if not tokenizer.is_fast:
        return None
    found = cached_file(
        path,
        "tokenizer.json",
        local_files_only=True,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    if found is None:
        return None
    rules = Tokenizer.from_file(found)
    rules.no_truncation()
    rules.no_padding()
    return rules
