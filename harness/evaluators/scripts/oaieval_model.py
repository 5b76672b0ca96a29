"""The served variant as a completion function of OpenAI Evals, which finds it by its registry. Its
own class takes no `registry`, though every completion function of a registry is given one.
"""

from __future__ import annotations

from typing import Any

from evals.completion_fns.openai import OpenAIChatCompletionFn


class Served(OpenAIChatCompletionFn):  # type: ignore[misc]
    """Ask `model` at `api_base`."""

    def __init__(self, registry: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
