"""Touchstone as a model of lm-eval. lm-eval 0.4.13 looks for no entry points, so its command line
is started by way of this module, which registers the model first:

    python -m harness.evaluators.plugins.lm_eval_model \\
        --model touchstone --model_args model=smollm2-135m,variant=int8 --tasks arc_easy
"""

from __future__ import annotations

from typing import Any

from lm_eval.api.registry import register_model
from lm_eval.models.openai_completions import LocalCompletionsAPI

from harness.evaluators.plugins.variant import served

NAME = "touchstone"
_CONCURRENCY = 8
_OF_SERVE = ("python", "sut", "adapter", "max_len", "max_concurrency")


@register_model(NAME)
class Touchstone(LocalCompletionsAPI):  # type: ignore[misc]
    """A variant, served while lm-eval runs. Its prompts are tokenized by the server. lm-eval's own
    `device` says cuda:0 on every machine, so the server chooses.
    """

    def __init__(self, model: str, variant: str = "fp32", **arguments: Any) -> None:
        ours = {name: arguments.pop(name) for name in _OF_SERVE if arguments.get(name) is not None}
        found = served(model, variant, **ours)
        usual = {
            "max_length": found.context,
            "num_concurrent": min(_CONCURRENCY, found.concurrency),
        }
        super().__init__(
            base_url=f"{found.url}/completions",
            model=found.model,
            tokenizer_backend="remote",
            **{**usual, **arguments},
        )


def main() -> None:
    """Run lm-eval's own command line."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
