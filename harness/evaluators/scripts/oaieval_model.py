"""The served variant as a completion function of OpenAI Evals, which finds it by its registry. Its
own class takes no `registry`, though every completion function of a registry is given one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from evals.completion_fns import openai
from evals.completion_fns.openai import OpenAIChatCompletionFn


def _recorded(record: Any, usage: Any = None, **event: Any) -> None:
    """Record how many tokens were used, and not their details: Evals adds up all it is given."""
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    record(usage=usage and {name: getattr(usage, name) for name in counts}, **event)


openai.record_sampling = partial(_recorded, openai.record_sampling)


class Served(OpenAIChatCompletionFn):  # type: ignore[misc]
    """Ask `model` at `api_base`."""

    def __init__(self, registry: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
