"""What stands between a model and text: its tokenizer, which ids end an answer, which ids mean
which pieces.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from harness.kernel.errors import SetupFailed, first_line


def load(path: str, **options: Any) -> Any:
    """Return the tokenizer of the model at `path`. Raises SetupFailed."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fine = "tokenizer.json, or what the model's own tokenizer class reads"
        raise SetupFailed(f"loading the tokenizer of {path!r}", first_line(error), fine) from error


def fingerprint(tokenizer: Any) -> str:
    """Return which ids mean which pieces: the same for every model that shares a vocabulary."""
    pieces = json.dumps(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(pieces.encode()).hexdigest()[:16]


def eos_ids(tokenizer: Any, model: Any) -> frozenset[int]:
    """Return the model's own ids: its generation config may name several; the tokenizer's is one of
    them.
    """
    ids: set[int] = set()
    for owner in (model.generation_config, model.config, tokenizer):
        value = owner.eos_token_id
        ids.update(value if isinstance(value, list) else [value])
    return frozenset(ids - {None})
