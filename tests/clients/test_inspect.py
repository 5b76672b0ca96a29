"""Inspect, the evaluations of the UK's AI Security Institute."""

from __future__ import annotations

import json

PROGRAM = "inspect"
ASK = """
import json
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes

model = get_model("openai-api/touchstone/{model}", config=GenerateConfig(
    temperature=0, max_tokens=16, logprobs=True, top_logprobs=2, max_connections=4))
task = Task(dataset=[Sample("What is the capital of France?", target="Paris")], scorer=includes())
(log,) = eval(task, model=model, display="none", log_dir="logs")
sample = log.samples[0]
choice = sample.output.choices[0]
print(json.dumps({{
    "status": log.status, "score": sample.scores["includes"].value, "text": choice.message.text,
    "logprobs": len(choice.logprobs.content), "tokens": sample.output.usage.output_tokens,
}}))
"""


def test_a_task_is_run_and_scored(program, served):
    code = ASK.format(model=served["models"][0])
    found = program.python(
        code,
        TOUCHSTONE_API_KEY="none",
        TOUCHSTONE_BASE_URL=served["url"],
        INSPECT_LOG_LEVEL="error",
    )
    told = json.loads(found.splitlines()[-1])
    assert (told["status"], told["score"]) == ("success", "C")
    assert told["logprobs"] == told["tokens"]
