"""Has the model a row of its embedding for each id? A tokenizer may know tokens that were added
after the model was saved; the other way round, rows without a token are padding and fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.kernel.errors import SetupFailed

_TODO = "Use the tokenizer that was saved with the weights, or leave such texts out."


def embedding_rows(config: Any) -> int | None:
    """Return how many ids the configuration says the embedding has; None if it does not say."""
    return getattr(config.get_text_config(), "vocab_size", None)


def rows_of(model: Any) -> int | None:
    """Return how many ids the loaded model's embedding has; None if it is no plain matrix."""
    embedding = model.get_input_embeddings()
    return getattr(embedding, "num_embeddings", None)


def check_ids(name: str, ids: Sequence[int], rows: int | None, tokenizer: Any) -> None:
    """Refuse ids that the embedding has no row for. Raises SetupFailed naming the first one."""
    if rows is None or not ids or max(ids) < rows:
        return
    position, beyond = next((i, one) for i, one in enumerate(ids) if one >= rows)
    token = tokenizer.convert_ids_to_tokens(beyond)
    found = f"token {position} is {token!r} with id {beyond}"
    fine = f"the model's embedding has {rows:,} rows: ids 0 to {rows - 1}"
    raise SetupFailed(name, found, fine, _TODO)
