"""The served variant as a completion function of OpenAI Evals, which finds it by its registry. Its
own class takes no `registry`, though every completion function of a registry is given one.
"""

from __future__ import annotations

import json
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
    """Ask `model` at `api_base`, greedily unless the eval itself, or `options`, says otherwise.

    `options` are fields of the request, such as max_tokens: the user's own --completion_args.
    """

    def __init__(
        self,
        registry: Any = None,
        model: str | None = None,
        api_base: str | None = None,
        n_ctx: int | None = None,
        **options: Any,
    ) -> None:
        fields = {name: _value(text) for name, text in options.items()}
        super().__init__(model=model, api_base=api_base, n_ctx=n_ctx, extra_options=fields)

    def __call__(self, prompt: Any, **fields: Any) -> Any:
        """Ask one question."""
        return super().__call__(prompt, **{"temperature": 0, **fields})


def _value(text: Any) -> Any:
    """Return a number as one; other words as they are."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
