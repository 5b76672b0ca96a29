"""The evaluation tools of others, by the name that `--with` takes."""

from harness.evaluators.tool import Tool
from harness.evaluators.tools import deepeval, evals, hf_evaluate, inspect, lm_eval, simple_evals

TABLE: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        lm_eval.TOOL, inspect.TOOL, deepeval.TOOL, evals.TOOL, simple_evals.TOOL, hf_evaluate.TOOL,
    )
}  # fmt: skip
