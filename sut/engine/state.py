"""By what name does a model take and give back its state (key-value cache, recurrent state)?

transformers renamed it: `past_key_values` and `cache_params` until 5.23, `cache` from 5.24 on, the
old names to go in 5.40; RWKV says `state`, and models with code of their own keep what they had.
Only names are decided here. Whether the model then really decodes over that state is another
question, and `sut.engine.agreement` answers it.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

NAMES = ("cache", "past_key_values", "cache_params", "state")  # the newest first


class NoState(LookupError):
    """A model that takes no state under any known name, or hands none back."""


def parameters(model: Any) -> Collection[str]:
    """Return the names of what `forward` takes; of an adapter's model, what its base takes."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inspect.signature(base.forward).parameters


def argument(model: Any) -> str:
    """Return the name under which `forward` takes the state. Raises NoState."""
    known = parameters(model)
    for name in NAMES:
        if name in known:
            return name
    raise NoState(f"its forward pass takes none of {', '.join(NAMES)}")


def returned(outputs: Any) -> Any:
    """Return the state that a forward pass handed back. Raises NoState."""
    for name in NAMES:
        state = getattr(outputs, name, None)
        if state is not None:
            return state
    raise NoState(f"its forward pass returned none of {', '.join(NAMES)}")
