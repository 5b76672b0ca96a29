"""Touchstone as a model provider of Inspect, found by its entry point:

    inspect eval task.py --model touchstone/smollm2-135m@int8 -M max_len=4096

Greedy, as what Touchstone measures, unless the task or the command line sets a temperature.
"""

from __future__ import annotations

from typing import Any

from inspect_ai.model import GenerateConfig, ModelAPI, modelapi
from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI

from harness.evaluators.plugins.variant import NO_KEY, served

NAME = "touchstone"


class Touchstone(OpenAICompatibleAPI):  # type: ignore[misc]
    """A variant, MODEL@VARIANT, served while Inspect runs. `model_args` are those of -M."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **model_args: Any,
    ) -> None:
        model, at, variant = model_name.rpartition("@")
        found = served(model if at else model_name, variant if at else "fp32", **model_args)
        super().__init__(
            model_name=found.model,
            base_url=found.url,
            api_key=NO_KEY,
            config=config or GenerateConfig(),
            service=NAME,
        )

    async def generate(
        self, input: Any, tools: Any, tool_choice: Any, config: GenerateConfig
    ) -> Any:
        """Answer greedily unless a temperature is asked for."""
        if config.temperature is None:
            config = config.model_copy(update={"temperature": 0.0})
        return await super().generate(input, tools, tool_choice, config)


@modelapi(name=NAME)  # type: ignore[untyped-decorator]
def touchstone() -> type[ModelAPI]:
    """Return the provider."""
    return Touchstone
