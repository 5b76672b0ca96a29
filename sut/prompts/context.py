"""How many tokens does a model take? As its configuration says, under whichever name."""

from __future__ import annotations

from typing import Any


def context_of(config: Any) -> int:
    """Return how many tokens the model's configuration allows."""
    text = config.get_text_config()
    names = ("max_position_embeddings", "n_positions")
    return next((found for name in names if (found := getattr(text, name, None))), 2048)
